"""Sources that packages add: by Cypher or as a table, checked, explained, written as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.graph.moment import Moment
from odin_graph.query.names.cypher_source import cypher_source
from odin_graph.query.names.sources import SOURCES
from odin_graph.query.plan.plan import Cypher
from tests.workspaces import add_digits


@pytest.fixture(autouse=True)
def _sources() -> Iterator[None]:
    """Three sources, for a test."""

    @SOURCES.register("older-than")
    def older_than(at: Moment, n: int, *, but: tuple[str, ...] = ()) -> Cypher:
        text = "MATCH (i:Image) WHERE i.n > $n AND NOT i.id IN $but RETURN i ORDER BY i.n DESC"
        return cypher_source(text, {"n": n, "but": but})

    @SOURCES.register("by-id")
    def by_id(at: Moment, ids: tuple[str, ...]) -> pa.Table:
        return pa.table({"id": pa.array(ids, pa.string())})

    @SOURCES.register("nonsense")
    def nonsense(at: Moment) -> Any:
        return pa.table({"n": [1]})

    yield
    for name in ("older-than", "by-id", "nonsense"):
        del SOURCES._entries[name]


def test_cypher_and_tables(db: og.Workspace) -> None:
    add_digits(db, 20)
    ids = [image.id for image in db.images()]
    old = db.images(og.source("older-than", n=15, but=[ids[17]]))
    assert [image.id for image in old] == [ids[19], ids[18], ids[16]]
    named = db.images(og.source("by-id", ids=[ids[3], ids[1], ids[3]]))
    assert [image.id for image in named] == [ids[3], ids[1]]
    assert named.union(old).where(F("n") < 18).count() == 3
    assert str(old.explain()).startswith("the source older-than")
    assert repr(named) == f'Query(images(source("by-id", ids={[ids[3], ids[1], ids[3]]})))'
    for query in (old, named):
        assert og.Query.from_json(query.address, query.to_json()).keys().tolist() == query.keys().tolist()
    statement = old.to_cypher()
    assert len(list(db.cypher(statement.text, **statement.parameters))) == 3
    with pytest.raises(og.QueryError, match="'by-id' has no form in Cypher"):
        named.to_cypher()


def test_what_is_no_source_says_why(db: og.Workspace) -> None:
    add_digits(db, 3)
    with pytest.raises(og.UnknownNameError, match=r"no image source 'oldr-than'. Did you mean 'older-than'"):
        db.images(og.source("oldr-than", n=3))
    with pytest.raises(og.QueryError) as caught:
        db.images(og.source("older-than", age=3))
    assert str(caught.value) == (
        "The image source 'older-than' does not take these parameters (missing a required argument: 'n'): it takes n, "
        "but."
    )
    with pytest.raises(og.QueryError, match=r"\$n cannot travel in a query"):
        og.source("older-than", n=object())
    with pytest.raises(og.QueryError) as caught:
        db.images(og.source("nonsense")).count()
    assert str(caught.value) == (
        "The image source 'nonsense' gave Table with the columns n: a source gives cypher_source(...), or a table with "
        "'key' or 'id'."
    )
    with pytest.raises(og.OdinError, match="nobody"):
        db.images(og.source("by-id", ids=["nobody"])).count()
