"""Runs the Python of a guide, block by block, in one session."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import odin_graph as og

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```python(?: raises=(\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks_of(page: str) -> list[tuple[str, str]]:
    """The Python of a page: the error that a block raises, if any, and its source."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks: list[tuple[str, str]] = _BLOCK.findall(text)
    assert len(blocks) == text.count("```python") > 0
    return blocks


def run_page(page: str, db: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Every block in its order, with ``og.connect`` giving ``db``; the names that they made."""
    monkeypatch.setattr(
        og, "connect", lambda *_, **__: db
    )  # the page opens a folder; here it is this engine's workspace
    names: dict[str, Any] = {}
    for raises, source in blocks_of(page):
        code = compile(source, page, "exec")
        if raises:
            with pytest.raises(getattr(og.errors, raises)):
                exec(code, names)
        else:
            exec(code, names)
    return names
