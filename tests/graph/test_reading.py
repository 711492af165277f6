"""What a user may read with Cypher: the graph, and nothing of the server, nothing from elsewhere, no change.

The hostile statements are made of targets and of disguises, so that each of one meets each of the other.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from odin_graph.errors import QueryError, ReadOnlyError
from odin_graph.graph import Graph

FETCH = [
    "LOAD CSV FROM 'http://127.0.0.1:PORT/a' AS line RETURN line",
    "LOAD CSV WITH HEADERS FROM 'http://127.0.0.1:PORT/a' AS line RETURN line",
    "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
    "CALL apoc.load.json('http://127.0.0.1:PORT/a') YIELD value RETURN value",
]
CHANGE = [
    "CREATE (:Intruder)",
    "MERGE (:Intruder {n: 9})",
    "MATCH (w:Workspace) SET w.x = 1",
    "MATCH (w:Workspace) REMOVE w.id",
    "MATCH (n) DETACH DELETE n",
    "FOREACH (n IN [1] | CREATE (:Intruder {n: n}))",
    "CREATE INDEX of_a_reader IF NOT EXISTS FOR (p:Intruder) ON (p.n)",
    "CREATE CONSTRAINT of_a_reader IF NOT EXISTS FOR (p:Intruder) REQUIRE p.n IS UNIQUE",
    "DROP INDEX of_nobody IF EXISTS",
    "MATCH (w:Workspace) CALL (w) { SET w.x = 1 } IN TRANSACTIONS RETURN 1",
    "CALL db.createLabel('Intruder')",
    "CALL db.createProperty('intruder')",
    "CALL merge.node(['Intruder'], {n: 1}, {}, {})",
    "CALL do.when(true, 'CREATE (:Intruder)', '', {}) YIELD value RETURN value",
    "CALL apoc.cypher.doIt('CREATE (:Intruder)', {}) YIELD value RETURN value",
    "CALL refactor.mergeNodes([], {})",
]
SERVER = [
    "SHOW USERS",
    "SHOW CURRENT USER",
    "SHOW TRANSACTIONS",
    "SHOW SETTINGS",
    "SHOW DATABASES",
    "SHOW PROCEDURES",
    "SHOW FUNCTIONS YIELD name RETURN name",
    "TERMINATE TRANSACTIONS 'neo4j-transaction-1'",
    "SHOW TRANSACTIONS YIELD transactionId AS t TERMINATE TRANSACTIONS t YIELD message RETURN message",
    "CALL dbms.killConnections(['bolt-1'])",
    "CALL dbms.listConfig() YIELD name, value RETURN name, value",
    "CALL dbms.components()",
    "CALL dbms.showCurrentUser()",
    "CALL tx.setMetaData({a: 1})",
    "CALL $procedure()",
    "USE system SHOW USERS",
    "USE system MATCH (n) RETURN n",
    "CREATE USER intruder SET PASSWORD 'abcdefgh1'",
    "ALTER CURRENT USER SET PASSWORD FROM 'a' TO 'abcdefgh1'",
    "CREATE DATABASE intruder",
    "COMMIT",
    "ROLLBACK",
]


def escaped(text: str) -> str:
    return f"\\u{ord(text[0]):04x}{text[1:]}"


def lower(text: str) -> str:
    """Labels as they are: no other case of one is there."""
    return re.sub(r"\b[A-Z]+\b", lambda word: word[0].lower(), text)


def woven(text: str, between: str) -> str:
    """Something between the first two words."""
    first, _, rest = text.partition(" ")
    return f"{first}{between}{rest}"


DISGUISES = {
    "as it is": lambda text: text,
    "lower case": lower,
    "after a comment that ends with a carriage return": lambda text: f"//\r{text}",
    "after a comment that ends with a line separator": lambda text: f"// a\u2028{text}",
    "after a comment that ends with a next line": lambda text: f"// a\u0085{text}",
    "after a comment of several lines": lambda text: f"/* a\n*/ {text}",
    "a comment within": lambda text: woven(text, "/* ' */"),
    "a line comment within": lambda text: woven(text, " // '\r\n"),
    "other spaces": lambda text: woven(text, "\u2003"),
    "escaped": escaped,
    "explained": lambda text: f"EXPLAIN {text}",
    "profiled": lambda text: f"PROFILE {text}",
    "another Cypher": lambda text: f"CYPHER 25 {text}",
    "with an option": lambda text: f"CYPHER runtime=slotted {text}",
    "after another statement": lambda text: f"RETURN 1; {text}",
    "before another statement": lambda text: f"{text}; RETURN 1",
    "in a subquery": lambda text: f"CALL {{ {text} }} RETURN 1",
    "in a union": lambda text: f"RETURN 1 AS line UNION {text}",
    "in a count": lambda text: f"RETURN COUNT {{ {text} }} AS n",
    "in a list": lambda text: f"RETURN COLLECT {{ {text} }} AS n",
    "in a condition": lambda text: f"MATCH (n) WHERE EXISTS {{ {text} }} RETURN n",
    "after a use": lambda text: f"USE neo4j {text}",
}
TARGETS = [*FETCH, *CHANGE, *SERVER]
BENIGN = [
    "MATCH (p:Probe) RETURN p",
    "MATCH (p:Probe) RETURN count(p) AS n;",
    "  match (p:Probe) where p.n > 1 return p.name as name order by name skip 0 limit 3  ",
    "MATCH (a:Probe)-[r:NEXT]->(b:Probe) RETURN a.n, r.w, b.n",
    "MATCH path = (a:Probe)-[:NEXT*1..3]->(b) RETURN path",
    "MATCH (a:Probe {n: 1}), (b:Probe {n: 2}) MATCH path = shortestPath((a)-[*..4]-(b)) RETURN length(path) AS n",
    "OPTIONAL MATCH (p:Probe {n: 99}) RETURN p",
    "UNWIND range(1, 10) AS n RETURN sum(n) AS total",
    "WITH 1 AS a, 2 AS b RETURN a + b AS c",
    "RETURN 1 AS a UNION RETURN 2 AS a",
    "RETURN 1 AS a UNION ALL RETURN 1 AS a",
    "MATCH (p:Probe) WITH p.name AS name, collect(p.n) AS ns RETURN name, ns",
    "MATCH (p:Probe) CALL (p) { MATCH (p)-[:NEXT]->(q) RETURN count(q) AS q } RETURN p.n, q",
    "MATCH (p:Probe) WHERE EXISTS { (p)-[:NEXT]->() } RETURN p.n",
    "MATCH (p:Probe) RETURN COUNT { (p)-[:NEXT]->() } AS n",
    "MATCH (p:Probe) RETURN [(p)-[:NEXT]->(q) | q.n] AS ns",
    "MATCH (p:Probe) RETURN p {.n, .name} AS p",
    "RETURN [n IN range(1, 5) WHERE n % 2 = 1 | n * n] AS odd",
    "RETURN reduce(total = 0, n IN [1, 2, 3] | total + n) AS total",
    "RETURN CASE WHEN 1 < 2 THEN 'yes' ELSE 'no' END AS said",
    "RETURN 'LOAD CSV FROM \"http://127.0.0.1/\" AS x' AS said, 'SHOW USERS' AS shown",
    "WITH 'CALL dbms.killConnections([])' AS `load csv` RETURN `load csv` AS said // LOAD CSV",
    "/* SHOW USERS */ RETURN 1 AS one // TERMINATE",
    "MATCH (p:Probe) WHERE p.name =~ 'a.*' OR p.name STARTS WITH 'ü' RETURN p.name",
    "MATCH (p:Probe) WHERE p.name IN $names RETURN p.n",
    "MATCH (p:Probe) RETURN labels(p) AS labels, keys(p) AS keys",
    "MATCH (p:Probe) RETURN DISTINCT p.name",
    "MATCH (p:Probe) RETURN avg(p.n) AS a, max(p.n) AS b, min(p.n) AS c, stdev(p.n) AS d",
    "RETURN date('2026-01-02') AS day, toUpper('a') AS a, size([1, 2]) AS n",
    "RETURN coalesce(null, 3) AS n, toString(1.5) AS text, split('a,b', ',') AS parts",
    "CALL db.labels() YIELD label RETURN label ORDER BY label",
    "CALL db.relationshipTypes()",
    "CALL db.propertyKeys() YIELD propertyKey RETURN count(propertyKey) AS n",
]


class Listener:
    """An address on loopback that counts who comes."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.came = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self._listening.accept()
                self.came += 1
                line.close()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    held = Listener()
    yield held
    held.close()


def state(graph: Graph) -> object:
    """What no reader may change: nodes, their properties, the schema, and who may log in."""
    return (
        graph.read("MATCH (n) RETURN count(n) AS n, count(n.id) AS ids, count(n.x) AS x"),
        sorted(row["name"] for row in graph.write("SHOW INDEXES YIELD name RETURN name")),
        sorted(row["name"] for row in graph.write("SHOW CONSTRAINTS YIELD name RETURN name")),
        sorted(row["user"] for row in graph.user_write("SHOW USERS", {})),
    )


@pytest.mark.parametrize("disguise", DISGUISES)
def test_whatever_its_disguise_it_is_refused(graph: Graph, listener: Listener, disguise: str) -> None:
    """A statement that changes, fetches, or asks the server is an error, and has done none of it."""
    before = state(graph)
    for target in TARGETS:
        text = DISGUISES[disguise](target.replace("PORT", str(listener.port)))
        if "{ COMMIT }" in text or "{ ROLLBACK }" in text:
            continue  # ArcadeDB takes the subquery for an empty one
        with pytest.raises((ReadOnlyError, QueryError)) as caught:
            print(text, graph.user_read(text, {"procedure": "dbms.listConfig"}))
        assert graph.address not in str(caught.value), text
        assert graph.endpoint.password not in str(caught.value), text
    assert listener.came == 0
    assert state(graph) == before


@pytest.mark.parametrize("text", BENIGN)
def test_what_reads_runs(graph: Graph, text: str) -> None:
    """What reads the graph alone gives what it gives to whoever may write; the second time as well."""
    graph.write("CREATE (:Probe {n: 1, name: 'a'})-[:NEXT {w: 2}]->(:Probe {n: 2, name: 'ü'})")
    given = {"names": ["a"]} if "$names" in text else {}
    expected = sorted(map(repr, graph.user_write(text, given)))
    assert expected
    for _ in range(2):
        assert sorted(map(repr, graph.user_read(text, given))) == expected
