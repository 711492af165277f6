"""What the guides read is the same through a server as beside the workspace: each statement of theirs runs in both."""

from __future__ import annotations

from pathlib import Path

import pytest

import odin_graph as og
from odin_graph import example
from tests.docs.near_and_far import run_both
from tests.stored import filled

pytestmark = pytest.mark.one_engine  # far and near ask one graph: both engines run the guides in the tests of each page


@pytest.mark.parametrize("page", ["query.md", "neurons.md", "verbs.md"])
def test_the_example(page: str, db: og.Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    filled(db, example.build, experiments=2 if page == "query.md" else 1)
    monkeypatch.chdir(tmp_path)
    names, _ = run_both(page, db, monkeypatch)
    assert names


@pytest.mark.parametrize("page", ["results.md", "data.md"])
def test_what_makes_its_own(page: str, db: og.Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    names, refused = run_both(page, db, monkeypatch)
    assert names
    assert refused  # they begin with what is stored
