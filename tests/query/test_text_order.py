"""Texts are ordered by code points, also where Neo4j would go by UTF-16: emoji stand after full-width signs."""

from __future__ import annotations

import operator

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F

TEXTS: list[str | None] = [
    "",
    "a",
    "日",
    "\ue000",
    "\uff5e",
    "😀",
    "a\uff5e",
    "a😀b",
    "😀\uff5e",
    "\uff5e\uff5e😀",
    "\uff08x\uff09",
    "𠮷野",
    "￿",
    "\U0010ffff",
    None,
]


@pytest.mark.parametrize("compare", [operator.lt, operator.le, operator.gt, operator.ge])
def test_a_condition_on_a_text_and_its_cypher(db: og.Workspace, compare: object) -> None:
    assert callable(compare)
    pixels = np.arange(len(TEXTS) * 64, dtype=np.uint8).reshape(-1, 8, 8)
    db.images.add(images=pixels, ids=[f"i{n:02}" for n in range(len(TEXTS))], metadata={"site": TEXTS})
    images = db.images().order_by(F("id"))
    for text in TEXTS[:-1]:
        right = [f"i{n:02}" for n, other in enumerate(TEXTS) if other is not None and compare(other, text)]
        for said in (compare(F("site"), text), compare(F("site").strip(), text)):
            query = images.where(said)
            assert query.to_arrow("id").column("id").to_pylist() == right
            statement = query.to_cypher()
            rows = db._stores.graph.user_read(statement.text, statement.parameters)
            assert [row["id"] for row in rows] == right, (text, statement)
        unlike = [f"i{n:02}" for n, other in enumerate(TEXTS) if other is not None and not compare(other, text)]
        statement = images.where(~compare(F("site"), text)).to_cypher()
        rows = db._stores.graph.user_read(statement.text, statement.parameters)
        assert [row["id"] for row in rows] == unlike, "a missing text is neither"
