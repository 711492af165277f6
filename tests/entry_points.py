"""Tests are of this tree: its own entry points are found, of whatever commit it was installed."""

from __future__ import annotations

import os
import tomllib
from importlib.metadata import entry_points, metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
OURS = "odin_graph."


def find_those_of_this_tree() -> None:
    """Where an editable install knows others, write its metadata anew into the tree, which is looked into first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {**project["entry-points"], "console_scripts": project["scripts"]}
    named = {(group, name, value) for group, points in groups.items() for name, value in points.items()}
    found = {(group, point.name, point.value) for group in groups for point in entry_points(group=group)}
    same = named == {point for point in found if point in named or point[2].startswith(OURS)}
    if same and metadata(project["name"])["Version"] == project["version"]:
        return
    info = ROOT / "odin_graph.egg-info"  # git ignores it
    info.mkdir(exist_ok=True)
    about = [f"Name: {project['name']}", f"Version: {project['version']}"]
    _write(info / "PKG-INFO", ["Metadata-Version: 2.1", *about, f"Requires-Python: {project['requires-python']}"])
    lines = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    _write(info / "entry_points.txt", lines)


def _write(path: Path, lines: list[str]) -> None:
    """Whole or not at all: several processes may write the same."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text("\n".join(lines) + "\n")
    part.replace(path)
