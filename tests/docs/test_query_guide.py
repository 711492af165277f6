"""Every Python block of docs/query.md runs, in its order, in one session."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import odin_graph as og
from odin_graph import example
from tests.stored import filled

GUIDE = Path(__file__).parents[2] / "docs" / "query.md"
_BLOCK = re.compile(r"^```python(?: raises=(\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_example_runs(db: og.Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    filled(db, example.build, experiments=2)
    monkeypatch.setattr(og, "connect", lambda _: db)  # the guide opens a folder; here it is this engine's workspace
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    blocks = _BLOCK.findall(GUIDE.read_text())
    assert len(blocks) == GUIDE.read_text().count("```python") > 0
    for raises, source in blocks:
        code = compile(source, str(GUIDE), "exec")
        if raises:
            with pytest.raises(getattr(og.errors, raises)):
                exec(code, names)
        else:
            exec(code, names)
    assert len(names["neighbors"]) == 5
    assert 1 <= len(names["few"]) <= 3
    assert len(names["by_age"][:10]) == 10
    assert (tmp_path / "wrong.png").read_bytes().startswith(b"\x89PNG")
