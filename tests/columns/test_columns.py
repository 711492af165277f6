"""Columns agree with the graph, whoever wrote it, and are read again only when something has changed."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odin_graph.arrays import ArrayStore, SegmentInfo
from odin_graph.columns import Columns
from odin_graph.columns.reading import read_all
from odin_graph.columns.segment_rows import segment_rows
from odin_graph.config import Budget
from odin_graph.errors import StoreError, UnknownNameError
from odin_graph.graph import ChangeToken, Graph
from odin_graph.graph.journal import Touched
from tests.shares import share

BUDGET = Budget(memory=256 << 20, threads=2)


@pytest.fixture
def columns(graph: Graph, tmp_path: Path) -> Columns:
    return Columns(graph, ArrayStore(str(tmp_path / "arrays"), BUDGET), tmp_path / "cache")


def record(graph: Graph, **types: str) -> None:
    for name, type_ in types.items():
        graph.write(
            "CREATE (:Field {id: $id, kind: 'Image', name: $name, type: $type})",
            {"id": f"Image.{name}", "name": name, "type": type_},
        )


def add(graph: Graph, *rows: dict[str, object]) -> None:
    graph.write("UNWIND $rows AS r CREATE (i:Image) SET i = r", {"rows": list(rows)})


def test_every_type_comes_as_arrows_own_and_what_is_missing_is_null(graph: Graph, columns: Columns) -> None:
    record(graph, age="int", iop="float", left="bool", eye="string", born="date", seen="datetime", tags="list[string]")
    at = datetime(2020, 1, 2, 3, 4, 5, 678)  # noqa: DTZ001 - as it is stored
    full = {
        "age": 2**40,
        "iop": 1.5,
        "left": True,
        "eye": "ö",
        "born": date(1950, 2, 3),
        "seen": at,
        "tags": ["a", "b"],
    }
    add(graph, {"id": "b", "key": 9, "iop": 2}, {"id": "a", "key": 3, **full})
    table = columns.images([*full])
    assert table.column("key").to_pylist() == [3, 9]
    assert {name: table.schema.field(name).type for name in full} == {
        "age": pa.int64(),
        "iop": pa.float64(),
        "left": pa.bool_(),
        "eye": pa.string(),
        "born": pa.date32(),
        "seen": pa.timestamp("us", tz="UTC"),
        "tags": pa.list_(pa.string()),
    }
    assert table.drop_columns("key").to_pylist()[0] == full | {"seen": at.replace(tzinfo=UTC)}
    assert table.drop_columns("key").to_pylist()[1] == dict.fromkeys(full) | {"iop": 2.0}


def test_what_a_foreign_client_wrote_of_another_type_reads_as_null(graph: Graph, columns: Columns) -> None:
    record(graph, eye="string", age="int", iop="float")
    add(graph, {"id": "a", "key": 1, "eye": 7, "age": "old", "iop": True}, {"id": "b", "key": 2, "eye": "L", "age": 3})
    assert columns.images(["eye", "age", "iop"]).to_pydict() == {
        "key": [1, 2],
        "eye": [None, "L"],
        "age": [None, 3],
        "iop": [None, None],
    }


def test_a_foreign_write_is_noticed_and_nothing_else_is_read(
    graph: Graph, columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(graph, age="int")
    add(graph, *({"id": str(key), "key": key, "age": key} for key in range(1, 50)))
    statements: list[str] = []
    read = graph.read
    monkeypatch.setattr(graph, "read", lambda cypher, params=None: statements.append(cypher) or read(cypher, params))
    assert columns.images(["age"]).num_rows == 49
    asked = len(statements)
    assert columns.images(["age"]).column("age").to_pylist() == list(range(1, 50))
    assert len(statements) == asked
    graph.write("MATCH (i:Image {key: 7}) SET i.age = 70")
    assert columns.images(["age"]).column("age").to_pylist()[6] == 70
    graph.write("MATCH (i:Image {key: 8}) SET i.deleted = true")
    assert 8 not in columns.images(["age"]).column("key").to_pylist()


def test_the_next_process_reads_the_file_and_not_the_graph(
    graph: Graph, columns: Columns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(graph, age="int")
    add(graph, *({"id": str(key), "key": key, "age": key} for key in range(1, 50)))
    first = columns.images(["age"])
    other = Columns(graph, ArrayStore(str(tmp_path / "arrays"), BUDGET), tmp_path / "cache")
    monkeypatch.setattr(graph, "read", lambda *_: pytest.fail("the graph was read"))
    assert other.images(["age"]).equals(first)


def test_a_damaged_file_costs_time_alone(graph: Graph, columns: Columns, tmp_path: Path) -> None:
    add(graph, {"id": "a", "key": 1})
    columns.images(["id"])
    for file in (tmp_path / "cache").rglob("*.arrow"):
        file.write_bytes(file.read_bytes()[:40])
    other = Columns(graph, ArrayStore(str(tmp_path / "arrays"), BUDGET), tmp_path / "cache")
    assert other.images(["id"]).to_pydict() == {"key": [1], "id": ["a"]}


@pytest.mark.parametrize("name", ["key", "id", "age"])
def test_an_altered_file_is_noticed(graph: Graph, columns: Columns, tmp_path: Path, name: str) -> None:
    """One byte of a column is another: it is read from the graph again, before and after a write."""
    record(graph, age="int")
    add(graph, *({"id": f"i{key}", "key": key, "age": key * 7} for key in range(1, 50)))
    found = columns.images(["id", "age"])
    expected = found.to_pydict()  # the columns themselves are mapped from the file
    (file,) = (tmp_path / "cache").glob("Image-*.arrow")
    whole = bytearray(file.read_bytes())
    values = found.column(name).chunk(0).buffers()[-1].to_pybytes()[: 20 * 8 if name != "id" else 20]
    whole[whole.index(values) + 8] ^= 1
    file.write_bytes(whole)
    other = Columns(graph, ArrayStore(str(tmp_path / "arrays"), BUDGET), tmp_path / "cache")
    assert other.images(["id", "age"]).to_pydict() == expected
    file = next((tmp_path / "cache").glob("Image-*.arrow"))
    last = Columns(graph, ArrayStore(str(tmp_path / "arrays"), BUDGET), tmp_path / "cache")
    graph.write("MATCH (i:Image {key: 9}) SET i.age = 70", touched=Touched(np.array([9]), ("age",)))
    assert last.images(["id", "age"]).column("age").to_pylist()[8] == 70


def test_an_engine_that_does_not_tell_how_much_was_written(
    graph: Graph, columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Columns are kept until somebody writes, and read anew then, whoever it was."""
    monkeypatch.setattr(ChangeToken, "writes", None)
    record(graph, age="int")
    add(graph, *({"id": f"i{key}", "key": key, "age": key} for key in range(1, 50)))
    assert columns.images(["age"]).num_rows == 49
    read: list[int] = []
    monkeypatch.setattr("odin_graph.columns.columns.read_all", _counting(read_all, read))
    assert columns.images(["age"]).num_rows == 49
    assert not read
    graph.write("MATCH (i:Image {key: 9}) SET i.age = 70", touched=Touched(np.array([9]), ("age",)))
    assert columns.images(["age"]).column("age").to_pylist()[8] == 70
    assert len(read) == 1


def test_a_field_of_another_type_is_read_with_a_field_that_is_new(graph: Graph, columns: Columns) -> None:
    record(graph, age="int")
    add(graph, *({"id": f"i{key}", "key": key, "age": key, "site": "a"} for key in range(1, 9)))
    columns.images(["age"])
    graph.write("MATCH (i:Image) SET i.age = toFloat(i.age) / 2", touched=Touched(None, ("age",)))
    graph.write("MATCH (f:Field {name: 'age'}) SET f.type = 'float'")
    record(graph, site="string")
    found = columns.images(["age", "site"]).to_pydict()
    assert found == {"key": [*range(1, 9)], "age": [key / 2 for key in range(1, 9)], "site": ["a"] * 8}


def _counting(call: Callable[..., pa.Table], calls: list[int]) -> Callable[..., pa.Table]:
    def counted(*given: object) -> pa.Table:
        calls.append(1)
        return call(*given)

    return counted


def test_no_snapshot_is_torn(graph: Graph, columns: Columns) -> None:
    """A writer moves all images at once from one value to the next; a snapshot shows one, whenever it is taken."""
    record(graph, at="int")
    add(graph, *({"id": str(key), "key": key * 15_000, "at": 0} for key in range(1, 8)))
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.wait(0.05):
            number += 1
            graph.write("MATCH (i:Image) SET i.at = $number", {"number": number})

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(20):
            assert len(set(columns.images(["at"]).column("at").to_pylist())) == 1
    finally:
        stop.set()
        writer.join()


def test_a_writer_who_never_stops_keeps_nobody_waiting(
    graph: Graph, columns: Columns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read then is committed and no older than the call, and is not kept."""
    monkeypatch.setattr("odin_graph.columns.columns._PATIENCE", 0.0)
    monkeypatch.setattr("odin_graph.columns.columns.read_all", _writing_after(read_all, graph))
    record(graph, at="int")
    add(graph, {"id": "a", "key": 1, "at": 0})
    first = columns.images(["at"]).column("at").to_pylist()[0]
    assert columns.images(["at"]).column("at").to_pylist()[0] > first
    assert not list((tmp_path / "cache").glob("Image*"))


@given(st.sets(st.integers(1, 60)), st.booleans())
@settings(max_examples=share(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_some_keys_are_those_rows_of_all(graph: Graph, columns: Columns, wanted: set[int], warm: bool) -> None:
    if not graph.read("MATCH (i:Image) RETURN count(i) AS n")[0]["n"]:
        add(graph, *({"id": str(key), "key": key} for key in range(1, 50)), {"id": "x", "key": 50, "deleted": True})
    keys = np.array(sorted(wanted, reverse=True), np.int64)
    graph.write("MATCH (i:Image {key: 1}) SET i.id = i.id")  # columns are stale now
    if warm:
        columns.images(["id"])
    expected = [key for key in sorted(wanted) if key < 50]
    assert columns.images(["id"], keys).to_pydict() == {"key": expected, "id": [str(key) for key in expected]}


def _writing_after(load: Callable[..., pa.Table], graph: Graph) -> Callable[..., pa.Table]:
    def loaded(*given: object) -> pa.Table:
        table = load(*given)
        graph.write("MATCH (i:Image) SET i.at = i.at + 1")
        return table

    return loaded


def test_frozen_tables_and_probabilities(graph: Graph, columns: Columns, tmp_path: Path) -> None:
    store = ArrayStore(str(tmp_path / "arrays"), BUDGET)

    def name(info: object) -> None:
        graph.write("CREATE (s:Segment) SET s = $row", {"row": info.node()})  # type: ignore[attr-defined]

    name(store.write_table("Dataset/a@1/members", pa.table({"key": [5, 2, 9], "label": ["x", None, "y"]})))
    assert columns.members("a@1").to_pydict() == {"key": [5, 2, 9], "label": ["x", None, "y"]}
    for keys in ([5, 9], [2]):
        part = {
            "key": keys,
            "predicted": ["x"] * len(keys),
            "confidence": [0.5] * len(keys),
            "wrong": [False] * len(keys),
        }
        name(store.write_table("PredictionSet/p/columns", pa.table(part)))
        name(store.write_dense("PredictionSet/p/probabilities", np.array(keys), np.array(keys, np.float32)[:, None]))
        assert set(keys) <= set(columns.predictions("p").column("key").to_pylist())
    assert columns.predictions("p").column("key").to_pylist() == [2, 5, 9]
    keys, rows = columns.probabilities("p")
    assert keys.tolist() == rows[:, 0].tolist() == [2, 5, 9]
    with pytest.raises(StoreError, match="no probabilities"):
        columns.probabilities("q")


def test_an_unknown_field_lists_those_there_are(graph: Graph, columns: Columns) -> None:
    record(graph, age="int")
    with pytest.raises(UnknownNameError) as caught:
        columns.images(["agee"])
    assert str(caught.value).startswith("There is no image field 'agee'. Did you mean 'age'? There is: age, bands, ")


def test_an_empty_workspace_has_empty_columns(graph: Graph, columns: Columns) -> None:
    assert columns.images(["id", "height"]).to_pydict() == {"key": [], "id": [], "height": []}


def test_what_we_change_ourselves_is_read_and_nothing_else(
    graph: Graph, columns: Columns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After any writes of ours columns are what a new reading of everything gives, without such a reading."""
    rows = [{"id": f"i{key}", "key": key, "digest": f"{key:02x}", "age": key} for key in range(1, 41)]
    add(graph, *rows)
    record(graph, age="int")
    columns.images(["digest", "age", "id"])
    other = Columns(graph, ArrayStore(str(tmp_path / "arrays"), BUDGET), tmp_path / "cache")
    monkeypatch.setattr("odin_graph.columns.columns.read_all", lambda *_: pytest.fail("all images were read"))
    chance = np.random.default_rng(3)
    for turn in range(12):
        new, gone = 41 + turn, int(chance.integers(1, 41 + turn))
        graph.write("CREATE (:Experiment {id: $id})", {"id": f"e{turn}"})
        graph.write(
            "CREATE (i:Image {id: $id, key: $key, digest: 'x'})",
            {"id": f"i{new}", "key": new},
            Touched(np.array([new])),
        )
        graph.write(
            "MATCH (i:Image {key: $key}) SET i.age = 99", {"key": turn + 1}, Touched(np.array([turn + 1]), ("age",))
        )
        graph.write(
            "CREATE (x:Deletion {id: $id}) WITH x MATCH (i:Image {key: $key}) "
            "SET i.deleted = true CREATE (i)-[:INVALIDATED_BY]->(x)",
            {"id": f"x{turn}", "key": gone},
            Touched(np.array([gone])),
        )
        fresh = graph.read(
            "MATCH (i:Image) WHERE i.deleted IS NULL "
            "RETURN i.key AS key, i.id AS id, i.age AS age, i.digest AS digest ORDER BY i.key"
        )
        assert columns.images(["id", "age", "digest"]).to_pylist() == fresh
        assert set(columns.deleted().tolist()).isdisjoint(row["key"] for row in fresh)
        assert len(columns.deleted()) + len(fresh) == 41 + turn
    assert other.images(["id", "age", "digest"]).to_pylist() == fresh


def test_a_segment_that_was_being_replaced_is_asked_for_again() -> None:
    """Neo4j gives some of the properties of what is deleted while they are read, too seldom to wait for it."""
    whole = SegmentInfo("1", "a", "u", "k", 1, "dense", "u1", (), 1, 1).node()
    kept = dict(list(whole.items())[3:])
    others = iter([[{"s": {}}], [{"s": {}}], [{"s": kept}], [{"s": whole}]])

    class Torn:
        def read(self, cypher: str, params: Mapping[str, object] | None = None) -> list[dict[str, dict[str, object]]]:
            return next(others, [{"s": {}}])

    assert segment_rows(Torn(), Torn(), "", {}) == [{"s": whole}]
    assert segment_rows(Torn(), Torn(), "", {}) == [{"s": {}}]  # it really has none: asked a few times, not for ever


def test_segments_are_read_whole_while_others_replace_them(graph: Graph, columns: Columns) -> None:
    """A segment that was found and replaced before it was read has no properties on Neo4j: it is asked again."""
    segment = SegmentInfo("", "a", "u", "k", 1, "dense", "u1", (), 1, 1).node()
    graph.write("UNWIND range(1, 60) AS n CREATE (s:Segment) SET s = $s, s.id = toString(n)", {"s": segment})
    stop = threading.Event()

    def compact() -> None:
        while not stop.is_set():
            graph.write(
                "MATCH (s:Segment) WITH s, properties(s) AS was DELETE s WITH was CREATE (n:Segment) SET n = was"
            )

    writer = threading.Thread(target=compact)
    writer.start()
    try:
        for _ in range(60):
            for found in (columns.segments_of(["a"]).get("a", ()), columns.segments("a")):
                assert {info.array for info in found} <= {"a"}
    finally:
        stop.set()
        writer.join()
    assert {info.id for info in columns.segments("a")} == {str(n) for n in range(1, 61)}
