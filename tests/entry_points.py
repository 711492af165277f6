"""Tests are of this tree: its own entry points are found, of whatever commit it was installed."""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import entry_points, version
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = "odin_graph."


def find_those_of_this_tree() -> None:
    """Where an editable install knows others, write its metadata anew into the tree, which is looked into first."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    named = {(group, name, value) for group, points in groups.items() for name, value in points.items()}
    found = {(group, point.name, point.value) for group in groups for point in entry_points(group=group)}
    if named <= found and all(
        value in {value for _, _, value in named} for _, _, value in found if value.startswith(OURS)
    ):
        return
    info = ROOT / "odin_graph.egg-info"  # git ignores it
    info.mkdir(exist_ok=True)
    text = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in groups.items()
    )
    for name, body in (
        ("PKG-INFO", f"Metadata-Version: 2.1\nName: odin-graph\nVersion: {version('odin-graph')}\n"),
        ("entry_points.txt", text),
    ):
        (info / f"{name}.{os.getpid()}").write_text(body)
        (info / f"{name}.{os.getpid()}").replace(info / name)
