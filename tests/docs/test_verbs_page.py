"""Every Python block of docs/verbs.md runs, in its order, in one session."""

from __future__ import annotations

import pytest

import odin_graph as og
from odin_graph import example
from tests.docs.pages import run_page
from tests.stored import filled


def test_every_example_runs(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(db, example.build, experiments=1)
    names = run_page("verbs.md", db, monkeypatch)
    assert names["history"]["after"].tolist() == ["normal"]
    assert "Left: pictures" in str(names["report"])
    assert db.doctor(deep=True).sound
