"""What a graph exports is what plain reading over Bolt gives, value by value, on both engines."""

from __future__ import annotations

import math
import os
import signal
import stat
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import neo4j.time
import psutil
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odin_graph.columns.fields import column
from odin_graph.deadline import deadline
from odin_graph.errors import TimeLimitError, WorkspaceError
from odin_graph.graph import Graph, export, install, open_embedded
from odin_graph.schema.metadata import FieldType
from tests.graph.processes import wait_until_gone
from tests.shares import share

TYPES = {
    "key": FieldType.INT,
    "id": FieldType.STRING,
    "age": FieldType.INT,
    "iop": FieldType.FLOAT,
    "eye side": FieldType.STRING,
    "left": FieldType.BOOL,
    "dicom.Born": FieldType.DATE,
    "seen": FieldType.DATETIME,
}
LISTS = {
    "tags": FieldType.STRINGS,
    "ages": FieldType.INTS,
    "iops": FieldType.FLOATS,
    "lefts": FieldType.BOOLS,
    "births": FieldType.DATES,
    "visits": FieldType.DATETIMES,
}
INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ("", "P1D", "12:30", "2020-01-02", "2020-01-02T03:04", "true", "NaN", "null", "\0", "'\"`\\", "\U0001f441")
)
VALUES: dict[FieldType, st.SearchStrategy[Any]] = {
    FieldType.INT: INT64,
    FieldType.FLOAT: st.floats() | INT64,
    FieldType.STRING: TEXT,
    FieldType.BOOL: st.booleans(),
    FieldType.DATE: st.dates(),
    FieldType.DATETIME: st.datetimes(),
}
VALUES = {**VALUES, **{field.listed: st.lists(values, max_size=3) for field, values in VALUES.items()}}
FOREIGN = st.one_of(*VALUES.values())
"""What another client may have written under a name whose type is recorded."""


@st.composite
def images(draw: st.DrawFn, *, foreign: bool) -> list[dict[str, Any]]:
    """Properties of images; with ``foreign``, some values are of any type, and some are deleted or have no key."""
    rows = []
    for key in draw(st.lists(INT64.filter(lambda n: abs(n) < 2**62), max_size=12, unique=True)):
        row: dict[str, Any] = {"key": key, "id": str(key)}
        for name, field in list((TYPES | LISTS).items())[2:]:
            row[name] = draw(st.none() | VALUES[field] | (FOREIGN if foreign else st.nothing()))
        if foreign and draw(st.booleans()):
            row["deleted"] = True
        rows.append(row)
    if foreign and draw(st.booleans()):
        rows.append({"id": "no key", "age": 1})
    return rows


def add(graph: Graph, rows: list[dict[str, Any]]) -> None:
    graph.write("UNWIND $rows AS r CREATE (i:Image) SET i = r", {"rows": rows})


def table(part: Mapping[str, Any], types: Mapping[str, FieldType] = TYPES) -> pa.Table:
    return pa.table({name: column(part[name], field) for name, field in types.items()})


def exported(graph: Graph, types: Mapping[str, FieldType] = TYPES) -> pa.Table:
    parts = graph.export("Image", types, lambda part: table(part, types))
    return pa.concat_tables([table({name: [] for name in types}, types), *parts]).sort_by("key").combine_chunks()


def read(graph: Graph, types: Mapping[str, FieldType] = TYPES) -> pa.Table:
    """The same by the simplest statement there is."""
    values = ", ".join(f"n.`{name}` AS c{place}" for place, name in enumerate(types))
    with graph._session() as session:
        rows = [list(row) for row in session.run(f"MATCH (n:Image) WHERE n.deleted IS NULL RETURN {values}")]
    rows = sorted((row for row in rows if row[0] is not None), key=lambda row: row[0])
    return table({name: [row[place] for row in rows] for place, name in enumerate(types)}, types)


def wipe(graph: Graph) -> None:
    graph.write("MATCH (n:Image) DETACH DELETE n")


@pytest.fixture
def bolt(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often an export read over Bolt: all nodes in ranges, or a batch by its keys."""
    asked: Counter[str] = Counter()
    for name in ("in_ranges", "of_keys"):
        real = getattr(export, name)
        monkeypatch.setattr(export, name, lambda *given, _name=name, _real=real: asked.update([_name]) or _real(*given))
    return asked


@given(rows=images(foreign=False))
@settings(max_examples=share(100))
def test_every_value_is_the_one_that_bolt_gives(graph: Graph, bolt: Counter[str], rows: list[dict[str, Any]]) -> None:
    """On the embedded engine without a single row over Bolt."""
    wipe(graph)
    add(graph, rows)
    bolt.clear()
    for types in (TYPES, TYPES | LISTS):
        assert exported(graph, types).equals(read(graph, types))
    assert set(bolt) == (set() if graph.endpoint.columns else {"in_ranges"})


@given(rows=images(foreign=True))
@settings(max_examples=share(100))
def test_what_other_clients_wrote_is_what_bolt_gives(graph: Graph, rows: list[dict[str, Any]]) -> None:
    """Values of other types than the recorded, deleted images, images without a key."""
    wipe(graph)
    add(graph, rows)
    for types in (TYPES, TYPES | LISTS):
        assert exported(graph, types).equals(read(graph, types))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seen", datetime(2020, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=2)))),
        ("seen", neo4j.time.DateTime(2020, 1, 2, 3, 4, 5, 123_456_789)),
        ("seen", date(2020, 1, 2)),
        ("dicom.Born", datetime(2020, 1, 2)),  # noqa: DTZ001 - as it is stored
        ("seen", neo4j.time.DateTime(1, 1, 1)),
        ("iop", 2**53 + 1),
        ("iop", -0.0),
        ("iop", math.nan),
        ("age", 2.0),
    ],
)
def test_an_odd_value_beside_others(graph: Graph, name: str, value: object) -> None:
    add(graph, [{"key": 1, "id": "a", "iop": 1.5}, {"key": 2, "id": "b", name: value}])
    for types in (TYPES, TYPES | LISTS):
        assert exported(graph, types).equals(read(graph, types))


def test_lists_and_what_nobody_has(graph: Graph) -> None:
    add(graph, [{"key": 1, "tags": ["a", ""], "ages": [1, 2**60]}, {"key": 2, "tags": []}])
    types = {"key": FieldType.INT, "tags": FieldType.STRINGS, "ages": FieldType.INTS, "none": FieldType.DATETIME}
    assert exported(graph, types).equals(read(graph, types))
    assert exported(graph, {"key": FieldType.INT}).equals(read(graph, {"key": FieldType.INT}))


def test_a_label_without_nodes_or_that_nobody_knows(graph: Graph) -> None:
    for label in ("Image", "NeverSeen"):
        assert sum(graph.export(label, {"key": FieldType.INT}, lambda part: len(part["key"]))) == 0


def test_many_rows_come_in_many_parts_each_once(graph: Graph, bolt: Counter[str]) -> None:
    """The parts of a few odd images alone are read over Bolt."""
    keys = [*range(1, 10_000), *range(10**12, 10**12 + 5_000)]
    add(graph, [{"key": key, "id": f"image {key}" * (1 + key % 50), "age": key % 90} for key in keys])
    graph.write("MATCH (i:Image {key: 5000}) SET i.age = 'old'")
    types = {"key": FieldType.INT, "id": FieldType.STRING, "age": FieldType.INT}
    found = exported(graph, types)
    assert found.column("key").to_pylist() == keys
    assert found.equals(read(graph, types))
    assert bolt == ({"of_keys": 1} if graph.endpoint.columns else {"in_ranges": 1})


def test_no_row_is_half_of_a_write(graph: Graph) -> None:
    """Of the embedded engine. Columns compare change tokens for the other: `test_no_snapshot_is_torn`."""
    if not graph.endpoint.columns:
        pytest.skip("Neo4j reads the properties of a node one by one, and a write may come between, in any statement.")
    add(graph, [{"key": key, "age": 0, "iop": 0.0} for key in range(2_000)])
    types = {"key": FieldType.INT, "age": FieldType.INT, "iop": FieldType.FLOAT, "eye side": FieldType.STRING}
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            texts = {"n": number, "eye": f"{number}" * (number % 40)}  # it does not stay where it was as it grows
            graph.write("MATCH (i:Image) SET i.age = $n, i.`eye side` = $eye, i.iop = $n + 0.0", texts)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            found = exported(graph, types)
            assert found.num_rows == 2_000
            ages = found.column("age").to_pylist()
            assert found.column("iop").to_pylist() == ages
            assert found.column("eye side").to_pylist() == [f"{age}" * (age % 40) if age else None for age in ages]
    finally:
        stop.set()
        writer.join()


def test_a_time_limit_ends_an_export(graph: Graph) -> None:
    add(graph, [{"key": key, "age": key} for key in range(2_000)])
    with pytest.raises(TimeLimitError), deadline(1e-3):
        exported(graph, {"key": FieldType.INT, "age": FieldType.INT})
    assert exported(graph, {"key": FieldType.INT}).num_rows == 2_000


def test_long_texts_come_in_small_parts(graph: Graph) -> None:
    """The engine has few of them in its memory at once."""
    add(graph, [{"key": key, "eye": "x" * 50_000} for key in range(300)])
    parts = graph.export("Image", {"key": FieldType.INT, "eye": FieldType.STRING}, lambda part: len(part["key"]))
    assert sum(parts) == 300
    assert not graph.endpoint.columns or max(parts) < 50


def test_who_stops_in_the_middle_leaves_nothing_behind(graph: Graph) -> None:
    add(graph, [{"key": key, "age": key} for key in range(3_000)])
    types = {"key": FieldType.INT, "age": FieldType.INT}
    connections, threads = connections_of(graph), threading.active_count()
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt) as stopped:  # whose traceback lives on
            graph.export("Image", types, _interrupted)
        assert stopped.traceback
    assert exported(graph, types).num_rows == 3_000
    assert connections_of(graph) == connections
    while threading.active_count() > threads:
        time.sleep(0.01)


def _interrupted(_part: object) -> None:
    raise KeyboardInterrupt


def connections_of(graph: Graph) -> int:
    """The connections of this process to the keeper's sockets."""
    return sum(connection.raddr == graph.endpoint.columns for connection in psutil.Process().net_connections("unix"))


def test_a_forked_child_exports_too(graph: Graph) -> None:
    add(graph, [{"key": key, "age": key} for key in range(100)])
    fork = get_context("fork")
    found = fork.SimpleQueue()
    child = fork.Process(target=lambda: found.put(exported(graph).to_pylist()))
    child.start()
    assert found.get() == exported(graph).to_pylist()
    child.join()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Graph]:
    """Of an embedded engine of its own, which may be killed."""
    held = Graph(*open_embedded(tmp_path / "engine"))
    install(held)
    add(held, [{"key": key, "age": key} for key in range(12_000)])
    yield held
    held.close()


@pytest.mark.starts_engine
def test_an_engine_that_is_killed_meanwhile_is_started_again(own: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image is there once; so it is where the second engine is killed as well, and where the keeper is older."""
    types = {"key": FieldType.INT, "age": FieldType.INT}
    assert stat.S_IMODE(Path(own.endpoint.columns).stat().st_mode) & 0o077 == 0, "nobody else may ask"
    for deaths in (1, 2):
        left = deaths

        def made(part: Mapping[str, Any]) -> pa.Table:
            nonlocal left
            if left:
                left -= 1
                os.kill(own.endpoint.pid, signal.SIGKILL)
                assert wait_until_gone(own.endpoint.pid)
            return table(part, types)

        found = pa.concat_tables(own.export("Image", types, made)).sort_by("key")
        assert found.column("age").to_pylist() == list(range(12_000))
        assert not left
    for columns in ("", str(Path(own.endpoint.folder) / "nobody.sock")):
        other = Graph(replace(own.endpoint, columns=columns))
        assert exported(other, types).equals(exported(own, types))
        other.close()
    own.close()
    with pytest.raises(WorkspaceError, match="closed"):
        exported(own, types)
