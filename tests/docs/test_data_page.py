"""docs/data.md: every Python block runs; its table of operations is the registry's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import odin_graph as og
from odin_graph.ops import OPS
from odin_graph.ops.op import parameter_names
from tests.docs.pages import DOCS, run_page


def test_every_example_runs(db: og.Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page("data.md", db, monkeypatch)
    assert names["report"].counts["lineage"]["pairs"] > 0
    assert not names["clean"]
    assert names["same"]
    assert {path.name for path in tmp_path.iterdir()} >= {"leaks.png", "impact.png", "exported"}


def test_the_table_lists_every_operation() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \|([^|]*)\|", (DOCS / "data.md").read_text(encoding="utf-8"), re.M)
    said = {name: set(re.findall(r"`(\w+)`", parameters)) for name, parameters in rows}
    assert said == {name: set(parameter_names(OPS.get(name))) for name in OPS if not name.startswith("test-")}
