"""Reading, writing, what is refused, and what the driver's errors become; on both engines."""

from __future__ import annotations

import dataclasses
import inspect
import socket
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import neo4j
import pytest
from neo4j import exceptions as driver_errors

from odin_graph.errors import (
    ConflictError,
    DataError,
    EngineError,
    LoginError,
    OdinError,
    QueryError,
    ReadOnlyError,
    UnreachableError,
)
from odin_graph.graph import Endpoint, Graph, Transaction, batches, create_edges, create_nodes
from odin_graph.graph.failures import ours
from odin_graph.graph.writer import create_columns
from tests.forking import CONTEXT
from tests.graph.processes import reserve


def test_eight_processes_never_share_a_key(graph: Graph) -> None:
    """Whoever asks, each number is given once."""
    with ProcessPoolExecutor(8, mp_context=CONTEXT) as pool:
        asked = [pool.submit(reserve, graph.endpoint, 25, 7) for _ in range(8)]
        keys = [key for future in asked for key in future.result(timeout=120)]
    assert len(keys) == 8 * 25 * 7
    assert len(set(keys)) == len(keys)
    assert min(keys) >= 1
    assert graph.reserve_keys(1).start == max(keys) + 1


def test_counters_are_apart(graph: Graph) -> None:
    assert graph.reserve_keys(3) == range(1, 4)
    assert graph.reserve_keys(2, counter="other") == range(1, 3)
    assert graph.reserve_keys(1) == range(4, 5)


def test_token_changes_on_every_write_and_on_no_read(graph: Graph) -> None:
    """Also when a foreign Bolt client writes: creates, updates or deletes a node, or adds an edge."""
    held = graph.endpoint
    graph.write("CREATE (:Probe {n: 1}), (:Probe {n: 2})")
    with neo4j.GraphDatabase.driver(held.address, auth=(held.user, held.password)) as foreign:
        seen = [graph.change_token()]
        for statement in (
            "CREATE (:Probe {n: 3})",
            "MATCH (p:Probe {n: 1}) SET p.n = 10",
            "MATCH (a:Probe {n: 10}), (b:Probe {n: 2}) CREATE (a)-[:NEXT]->(b)",
            "MATCH (p:Probe {n: 3}) DELETE p",
        ):
            foreign.execute_query(statement, database_=held.database)
            assert graph.change_token() not in seen, statement
            seen.append(graph.change_token())
        graph.read("MATCH (p:Probe) RETURN count(p)")
        foreign.execute_query("MATCH (p:Probe) RETURN p.n", database_=held.database)
    assert graph.change_token() == seen[-1]


@pytest.mark.parametrize(
    "statement", ["CREATE (:Probe {n: 2})", "MATCH (p:Probe) SET p.n = 3", "MATCH (p:Probe) DELETE p"]
)
def test_token_changes_when_a_long_transaction_is_committed(graph: Graph, statement: str) -> None:
    """What was read while it was open does not know of it."""
    held = graph.endpoint
    graph.write("CREATE (:Probe {n: 1})")
    with (
        neo4j.GraphDatabase.driver(held.address, auth=(held.user, held.password)) as foreign,
        foreign.session(database=held.database) as session,
        session.begin_transaction() as open_one,
    ):
        open_one.run(statement).consume()
        while_open = graph.change_token()
        before = graph.read("MATCH (p:Probe) RETURN p.n AS n")
        assert before == [{"n": 1}]
        open_one.commit()
        assert graph.change_token() != while_open
        assert graph.read("MATCH (p:Probe) RETURN p.n AS n") != before


def test_a_moment_asks_once_until_somebody_writes(graph: Graph) -> None:
    held = graph.endpoint
    graph.write("CREATE (:Probe {n: 1})")
    question = "MATCH (p:Probe {n: $n}) RETURN count(p) AS n"
    first = graph.moment()
    said = first.read(question, {"n": 1})
    assert list(said) == [{"n": 1}]
    assert graph.moment() is first
    assert graph.moment().read(question, {"n": 1}) is said
    assert list(first.read(question, {"n": 2})) == [{"n": 0}]
    with neo4j.GraphDatabase.driver(held.address, auth=(held.user, held.password)) as foreign:
        foreign.execute_query("CREATE (:Probe {n: 2})", database_=held.database)
    assert graph.moment() is not first
    assert list(graph.moment().read(question, {"n": 2})) == [{"n": 1}]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE (:Probe)",
        "MATCH (n) DETACH DELETE n",
        "MATCH (w:Workspace) SET w.x = 1",
        "MERGE (:Probe {n: 9})",
        "CREATE INDEX of_a_reader IF NOT EXISTS FOR (p:Probe) ON (p.n)",
        "MATCH (w:Workspace) REMOVE w.id",
        "MATCH (w:Workspace) CALL (w) { SET w.x = 1 } RETURN w",
        "FOREACH (n IN [1] | CREATE (:Probe {n: n}))",
    ],
)
def test_reading_is_enforced(graph: Graph, statement: str) -> None:
    before = graph.read("MATCH (n) RETURN count(n) AS n, count(n.id) AS ids, count(n.x) AS x")
    with pytest.raises(ReadOnlyError, match="write=True"):
        graph.user_read(statement, {})
    assert graph.read("MATCH (n) RETURN count(n) AS n, count(n.id) AS ids, count(n.x) AS x") == before


@pytest.mark.parametrize(
    "statement",
    [
        "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
        "load /* hidden */ csv from 'file:///etc/passwd' as line return line",
        "LOAD // '\n CSV FROM 'file:///etc/passwd' AS line RETURN line // '",
        "\\u004cOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    ],
)
def test_files_of_the_server_are_not_read(graph: Graph, statement: str) -> None:
    with pytest.raises((ReadOnlyError, QueryError)):
        graph.user_read(statement, {})


def test_words_in_strings_and_names_are_only_words(graph: Graph) -> None:
    rows = graph.user_read("WITH 'LOAD CSV' AS `load csv` RETURN `load csv` AS said // LOAD CSV", {})
    assert list(rows) == [{"said": "LOAD CSV"}]


def test_records_are_rows_arrow_and_pandas(graph: Graph) -> None:
    graph.write("CREATE (:Probe {n: 1, name: 'a'})-[:NEXT {w: 2}]->(:Probe {n: 2, name: 'ü'})")
    records = graph.user_read(
        "MATCH (a:Probe)-[r:NEXT]->(b) WHERE a.n >= $least RETURN a, r.w AS w, b.name AS name", {"least": 1}
    )
    assert len(records) == 1
    assert records[0]["a"]["name"] == "a"
    table = records.to_arrow()
    assert table.column("w").to_pylist() == [2]
    assert table.column("a").to_pylist() == [{"n": 1, "name": "a"}]
    assert records.to_pandas()["name"].tolist() == ["ü"]


def test_wrong_statement_says_what_the_engine_said(graph: Graph) -> None:
    with pytest.raises(QueryError, match="refuses the statement"):
        graph.user_read("MATCH (n RETURN n", {})


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (2**63, QueryError, "more than 64 bits"),
        (datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=5))), QueryError, "no year from 1 to 9999"),
        ({1, 2}, QueryError, "cannot be sent to the graph .*set"),
        (Decimal("1.1"), QueryError, "cannot be sent to the graph .*Decimal"),
        ({1: 2}, QueryError, "Map keys must be strings"),
        ("caf\udce9", DataError, "half a character, which cannot be stored"),
    ],
)
def test_a_value_that_no_graph_holds_is_named(graph: Graph, value: object, error: type[Exception], said: str) -> None:
    """Before anything is sent, and what comes next works."""
    for ask in (graph.user_read, graph.user_write, *([graph.write] if error is DataError else [])):
        with pytest.raises(error, match=said):
            ask("RETURN $value AS value", {"value": value})
    assert graph.read("RETURN $value AS value", {"value": 1}) == [{"value": 1}]


def test_wrong_password(graph: Graph) -> None:
    other = Graph(dataclasses.replace(graph.endpoint, password="wrong-password"))
    with pytest.raises(LoginError, match="ODIN_GRAPH_PASSWORD") as caught:
        other.verify()
    assert "wrong-password" not in str(caught.value)
    other.close()


def test_nobody_answers() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    graph = Graph(Endpoint(f"bolt://127.0.0.1:{port}", "neo4j", "x"))
    with pytest.raises(UnreachableError, match=f"127.0.0.1:{port}"):
        graph.verify()
    graph.close()


def test_transaction_is_whole_or_nothing(graph: Graph) -> None:
    def work(tx: Transaction) -> None:
        create_nodes(tx, ("Probe",), [{"n": n} for n in range(10)])
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        graph.execute(work)
    assert graph.read("MATCH (p:Probe) RETURN count(p) AS n") == [{"n": 0}]


def test_id_is_unique(graph: Graph) -> None:
    graph.execute(lambda tx: create_nodes(tx, ("Image",), [{"id": "a", "key": 1}]))
    with pytest.raises(ConflictError):
        graph.execute(lambda tx: create_nodes(tx, ("Image",), [{"id": "a", "key": 2}]))
    assert graph.read("MATCH (i:Image {id: 'a'}) RETURN i.key AS key") == [{"key": 1}]


def test_writer_keeps_every_value(graph: Graph) -> None:
    """Rows of different names, more than one statement's worth, odd names, and nothing for None."""
    rows = [{"id": f"i{n}", "key": n, **({"a b-c": n / 2} if n % 2 else {}), "none": None} for n in range(12_345)]
    graph.execute(lambda tx: create_nodes(tx, ("Image",), rows))
    edges = [{"start": n, "end": n - 1, "op": "crop"} for n in range(1, 12_345)]
    graph.execute(lambda tx: create_edges(tx, "DERIVED_FROM", ("Image", "key"), ("Image", "key"), edges))
    stored = {row["k"]: row["v"] for row in graph.read("MATCH (i:Image) RETURN i.key AS k, i.`a b-c` AS v")}
    assert stored == {n: n / 2 if n % 2 else None for n in range(12_345)}
    assert graph.read("MATCH ()-[r:DERIVED_FROM {op: 'crop'}]->() RETURN count(r) AS n") == [{"n": 12_344}]
    assert graph.read("MATCH (i:Image) WHERE i.none IS NOT NULL RETURN count(i) AS n") == [{"n": 0}]
    assert sum(len(part) for part in graph.stream("MATCH (i:Image) RETURN i.key AS k", size=1000)) == 12_345


def test_writer_keeps_what_many_rows_have_alike(graph: Graph) -> None:
    """Values that are equal and of several types, of one type, and lists; in nodes that are all the same too."""
    alike: dict[str, list[Any]] = {
        "mixed": [n % 2 == 0 or 1 for n in range(2_000)],
        "number": [7] * 2_000,
        "text": ["same"] * 2_000,
        "zero": [-0.0, 0.0] * 1_000,
        "list": [["a", "b"]] * 2_000,
        "missing": [None] * 2_000,
    }
    graph.execute(lambda tx: create_columns(tx, ("Probe",), {"n": list(range(2_000)), **alike}))
    rows = graph.read("MATCH (p:Probe) RETURN properties(p) AS p ORDER BY p.n")
    expected = [{name: values[n] for name, values in alike.items() if name != "missing"} for n in range(2_000)]
    assert [repr(sorted(row["p"].items())) for row in rows] == [
        repr(sorted({"n": n, **values}.items())) for n, values in enumerate(expected)
    ]
    graph.execute(lambda tx: create_columns(tx, ("Same",), {"a": ["x"] * 1_500, "b": [1] * 1_500}))
    assert graph.read("MATCH (s:Same) RETURN s.a AS a, s.b AS b, count(*) AS n") == [{"a": "x", "b": 1, "n": 1_500}]


@pytest.mark.parametrize("name", ["", "a`b", "a\\u0060b", "line\nbreak", "x` {a: 1}) DETACH DELETE n //"])
def test_names_that_are_cypher_are_refused(graph: Graph, name: str) -> None:
    with pytest.raises(QueryError, match="cannot be a name"):
        graph.execute(lambda tx: create_nodes(tx, ("Probe",), [{name: 1}]))


def test_batches_lose_nothing() -> None:
    assert [len(batch) for batch in batches(range(25_000))] == [10_000, 10_000, 5_000]
    assert [n for batch in batches(range(7), 3) for n in batch] == list(range(7))


def test_every_error_of_the_driver_is_ours() -> None:
    """A new class of the driver falls under a base class that has its case: none is passed on as it is."""
    classes = [
        held
        for _, held in inspect.getmembers(driver_errors, inspect.isclass)
        if issubclass(held, driver_errors.Neo4jError | driver_errors.DriverError)
    ]
    assert len(classes) > 20
    for held in classes:
        error = ours(held("what happened"), Endpoint("bolt://host", "u", "p"))
        assert isinstance(error, OdinError), held
        assert "bolt://host" in str(error) or isinstance(error, QueryError | ConflictError | ReadOnlyError), held
    assert isinstance(ours(driver_errors.ServiceUnavailable("x"), Endpoint("bolt://host", "u", "p")), UnreachableError)
    assert isinstance(ours(driver_errors.AuthError("x"), Endpoint("bolt://host", "u", "p")), LoginError)
    assert isinstance(ours(driver_errors.TransientError("x"), Endpoint("bolt://host", "u", "p")), EngineError)


def test_a_server_that_takes_the_call_and_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("odin_graph.graph.connection.ANSWER_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        graph = Graph(Endpoint(f"bolt://127.0.0.1:{mute.getsockname()[1]}", "u", "p"))
        with pytest.raises(UnreachableError, match="No graph engine answers at bolt://127"):
            graph.verify()
        graph.close()
