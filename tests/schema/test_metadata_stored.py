"""Metadata in the engines: what goes in comes out, and Cypher compares it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odin_graph.errors import MetadataError
from odin_graph.graph import Graph
from odin_graph.graph.writer import create_nodes
from odin_graph.schema.metadata import FieldType, decode, encode, record_types, type_of
from odin_graph.schema.reserved import check_name
from tests.shares import share


def store(graph: Graph, metadata: Mapping[str, Any], id: str = "a", key: int = 1) -> None:  # noqa: A002
    """As the catalog does it: names checked, types recorded, values encoded, one transaction."""

    def work(tx: Any) -> None:
        for name in metadata:
            check_name("Image", name)
        found = {name: held for name, value in metadata.items() if (held := type_of(value)) is not None}
        types = record_types(tx.run, "Image", found)
        encoded = {name: encode(value, types.get(name), name) for name, value in metadata.items()}
        create_nodes(tx, ["Image"], [{"id": id, "key": key, **encoded}])

    graph.execute(work)


def held(graph: Graph, name: str, id: str = "a") -> Any:  # noqa: A002
    (row,) = graph.read("MATCH (i:Image {id: $id}) RETURN i AS node", {"id": id})
    return decode(row["node"].get(name))


BERLIN = datetime(2020, 7, 2, 3, 4, 5, 123456, tzinfo=ZoneInfo("Europe/Berlin"))
VALUES: list[tuple[Any, Any, str]] = [
    (60, 60, "i.v > 59 AND i.v < 60.5"),
    (2**40, 2**40, "i.v > 1099511627775"),
    (-(2**63), -(2**63), "i.v < 0"),
    (2**63 - 1, 2**63 - 1, "i.v > 9223372036854775806"),
    (1.5, 1.5, "i.v = 1.5"),
    (1e300, 1e300, "i.v > 1e299"),
    (math.inf, math.inf, "i.v > 1e308"),
    (-math.inf, -math.inf, "i.v < -1e308"),
    (True, True, "i.v"),
    ("größe 😀 \u0000 `}", "größe 😀 \u0000 `}", "i.v STARTS WITH 'größe'"),
    (date(1850, 2, 3), date(1850, 2, 3), "i.v < date('1900-01-01')"),
    (
        datetime(1950, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001 - it has none
        datetime(1950, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001
        "i.v > localdatetime('1950-01-02T03:04:05.000005')",
    ),
    (BERLIN, BERLIN.astimezone(UTC).replace(tzinfo=None), "i.v = localdatetime('2020-07-02T01:04:05.123456')"),
    ([1, 2**40], [1, 2**40], "i.v[1] > 5 AND 1 IN i.v"),
    ([1, 2.5], [1.0, 2.5], "i.v[0] < i.v[1]"),
    (["a", "b"], ["a", "b"], "'b' IN i.v AND size(i.v) = 2"),
    ([True, False], [True, False], "i.v[0]"),
    ([date(2020, 1, 2)], [date(2020, 1, 2)], "date('2020-01-02') IN i.v"),
    ([BERLIN], [BERLIN.astimezone(UTC).replace(tzinfo=None)], "i.v[0] > localdatetime('2020-01-01T00:00:00')"),
    ([], [], "size(i.v) = 0"),
]


@pytest.mark.parametrize(("value", "back", "condition"), VALUES, ids=lambda value: repr(value)[:40])
def test_a_value_comes_back_and_cypher_sees_its_type(graph: Graph, value: Any, back: Any, condition: str) -> None:
    store(graph, {"v": value})
    found = held(graph, "v")
    assert found == back
    assert type(found) is type(back)
    assert graph.read(f"MATCH (i:Image) WHERE {condition} RETURN i.id AS id") == [{"id": "a"}]
    assert graph.read("MATCH (i:Image) WHERE i.v = $v RETURN i.id AS id", {"v": encode(value)}) == [{"id": "a"}]


@pytest.mark.parametrize("missing", [None, math.nan])
def test_what_is_missing_is_not_stored(graph: Graph, missing: Any) -> None:
    """NaN is a missing value. Stored, it would equal nothing and sort above every number."""
    store(graph, {"v": missing, "age": 60})
    assert graph.read("MATCH (i:Image) RETURN keys(i) AS names, i.v IS NULL AS missing")[0]["missing"]
    assert "v" not in graph.read("MATCH (i:Image) RETURN keys(i) AS names")[0]["names"]
    assert graph.read("MATCH (f:Field) RETURN f.id AS id, f.type AS type") == [{"id": "Image.age", "type": "int"}]


def test_int_then_float_then_large(graph: Graph) -> None:
    """The trap: 1.5 stored as 1, 2**40 cut to 32 bits. The recorded type is widened, what is there stays."""
    for key, value in enumerate([60, 1.5, 2**40, -7], start=1):
        store(graph, {"age": value}, id=f"i{key}", key=key)
    rows = graph.read("MATCH (i:Image) RETURN i.age AS age ORDER BY i.key")
    assert [row["age"] for row in rows] == [60, 1.5, 2**40, -7]
    assert graph.read("MATCH (f:Field) RETURN f.type AS type") == [{"type": "float"}]
    assert graph.read("MATCH (i:Image) WHERE i.age > 1.4 AND i.age < 1.6 RETURN i.id AS id") == [{"id": "i2"}]


def test_a_type_that_clashes_is_refused_and_nothing_is_stored(graph: Graph) -> None:
    store(graph, {"age": 60})
    with pytest.raises(MetadataError, match=r"^Image\.age is int, and a value of it is string"):
        store(graph, {"side": "left", "age": "sixty"}, id="b", key=2)
    assert graph.read("MATCH (i:Image) RETURN i.id AS id") == [{"id": "a"}]
    assert graph.read("MATCH (f:Field) RETURN f.id AS id") == [{"id": "Image.age"}]


def test_two_hundred_names(graph: Graph) -> None:
    metadata = {f"größe {n}": n for n in range(100)} | {f"f{n}": n / 2 for n in range(100)}
    store(graph, metadata)
    (row,) = graph.read("MATCH (i:Image) RETURN i AS node")
    assert {name: row["node"][name] for name in metadata} == metadata
    assert graph.read("MATCH (f:Field) RETURN count(f) AS n") == [{"n": 200}]
    assert graph.read("MATCH (i:Image) WHERE i.`größe 99` = 99 RETURN count(i) AS n") == [{"n": 1}]


@pytest.mark.parametrize("name", ["MATCH", "class", "Patient ID", "eye-side", "dicom.Modality", "年齢"])
def test_odd_names_are_properties_like_any(graph: Graph, name: str) -> None:
    store(graph, {name: 7})
    assert held(graph, name) == 7
    assert graph.read(f"MATCH (i:Image) WHERE i.`{name}` > 6 RETURN i.id AS id") == [{"id": "a"}]


def test_a_name_that_is_cypher_is_refused_and_does_nothing(graph: Graph) -> None:
    store(graph, {"age": 60})
    with pytest.raises(MetadataError, match="is not a metadata name"):
        store(graph, {"a}) DETACH DELETE n //": 1}, id="b", key=2)
    assert graph.read("MATCH (i:Image) RETURN count(i) AS n") == [{"n": 1}]


def test_any_column_round_trips(graph: Graph) -> None:
    """Whatever the values, each comes back as what was stored, of the one type that all of them have."""
    columns = st.sampled_from(
        [
            st.integers(-(2**63), 2**63 - 1),
            st.floats(allow_nan=False) | st.integers(-(2**53), 2**53),
            st.text(),
            st.dates(),
            st.datetimes(),
            st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
            st.lists(st.text(), max_size=3),
        ]
    ).flatmap(lambda values: st.lists(values | st.none(), min_size=1, max_size=5))

    @settings(max_examples=share(25))
    @given(columns)
    def check(column: list[Any]) -> None:
        graph.write("MATCH (n) WHERE n:Image OR n:Field DETACH DELETE n")
        for key, value in enumerate(column):
            store(graph, {"v": value}, id=str(key), key=key)
        rows = graph.read("MATCH (f:Field) RETURN f.type AS type")
        recorded = FieldType(rows[0]["type"]) if rows else None
        back = [decode(row["v"], recorded) for row in graph.read("MATCH (i:Image) RETURN i.v AS v ORDER BY i.key")]
        assert back == column

    check()
