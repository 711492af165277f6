"""Every Python block of docs/verbs.md runs, in its order, in one session."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import odin_graph as og
from tests.query import digits

PAGE = Path(__file__).parents[2] / "docs" / "verbs.md"
_BLOCK = re.compile(r"^```python(?: raises=(\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_example_runs(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    digits.build(db, experiments=1)
    monkeypatch.setattr(og, "connect", lambda _: db)  # the page opens a folder; here it is this engine's workspace
    names: dict[str, Any] = {}
    blocks = _BLOCK.findall(PAGE.read_text())
    assert len(blocks) == PAGE.read_text().count("```python") > 0
    for raises, source in blocks:
        code = compile(source, str(PAGE), "exec")
        if raises:
            with pytest.raises(getattr(og.errors, raises)):
                exec(code, names)
        else:
            exec(code, names)
    assert names["history"]["after"].tolist() == ["normal"]
    assert "Left: pictures" in str(names["report"])
    assert db.doctor(deep=True).sound
