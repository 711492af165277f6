"""docs/results.md: every Python block runs; its tables are those of the tasks and measures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import odin_graph as og
from odin_graph.schema.tasks import TASKS
from tests.docs.pages import DOCS, run_page

TEXT = (DOCS / "results.md").read_text(encoding="utf-8")


def test_every_example_runs(db: og.Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names = run_page("results.md", db, monkeypatch)
    assert names["results"].n == 300
    assert names["graded_results"]["mean-absolute-error"] == pytest.approx(4 / 6)
    assert set(names["whole"].ids()) == {"every-second-pixel", "every-fifth-pixel", "grader"}
    assert {path.name for path in tmp_path.iterdir()} >= {"confusion.png", "writers.png", "grades.png"}


def test_the_table_lists_every_task_and_its_measures() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", TEXT, re.M)
    assert {name for name, _ in rows} == set(TASKS)
    said = {name: set(re.findall(r"`([a-z0-9-]+)`", measures)) for name, measures in rows}
    said["ordinal"] = said["ordinal"] - {"multi-class"} | said["multi-class"]
    for name in TASKS:
        derived = {m for m in TASKS.get(name).metrics if m.endswith(("-micro", "-weighted")) or m == "confusion"}
        assert said[name] == set(TASKS.get(name).metrics) - derived
