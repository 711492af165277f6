"""Who holds neomodel's one connection a process."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from neomodel import db

from odin_graph import schema
from odin_graph.graph import Graph, lend_to_neomodel
from odin_graph.graph.orm import LentDriver


def _held() -> Any:
    """The graph whose driver neomodel has; a driver of the user's own."""
    driver: Any = db.driver
    return driver.graph if isinstance(driver, LentDriver) else driver


@pytest.fixture
def other(graph: Graph) -> Iterator[Graph]:
    """A second workspace's connection: the same server, as neomodel sees it another."""
    held = Graph(graph.endpoint)
    yield held
    held.close()
    lend_to_neomodel(graph)


def test_the_first_keeps_it_until_it_is_closed(graph: Graph, other: Graph) -> None:
    lend_to_neomodel(other)
    lend_to_neomodel(graph, if_free=True)
    assert _held() is other
    other.close()
    assert _held() is None
    lend_to_neomodel(graph, if_free=True)
    assert _held() is graph


def test_a_users_own_connection_is_left_alone(graph: Graph, other: Graph) -> None:
    """Whoever connects neomodel to a database of theirs before or after us keeps it."""
    lend_to_neomodel(other)
    own = Graph(graph.endpoint)
    db.set_connection(driver=own.driver())
    other.close()
    assert _held() is own.driver()
    lend_to_neomodel(graph, if_free=True)
    assert _held() is own.driver()
    lend_to_neomodel(graph)
    assert _held() is graph
    own.close()


def _save(uid: str, answers: Any) -> None:
    schema.Image(uid=uid).save()
    answers.put(sorted(image.uid for image in schema.Image.nodes if image.uid == uid))


def test_forked_children_have_connections_of_their_own(graph: Graph) -> None:
    lend_to_neomodel(graph)
    schema.Image(uid="parent").save()
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    children = [context.Process(target=_save, args=(f"child {n}", answers)) for n in range(2)]
    for child in children:
        child.start()
    mine = {schema.Image.nodes.get(uid="parent").key for _ in range(20)}
    told = [answers.get(timeout=30) for _ in children]
    for child in children:
        child.join(timeout=30)
        assert child.exitcode == 0
    assert sorted(told) == [["child 0"], ["child 1"]]
    rows = graph.read("MATCH (i:Image) RETURN i.key AS key")
    assert len({row["key"] for row in rows} | mine) == 3


def test_many_threads_share_one_graph(graph: Graph) -> None:
    """Each write happens once, and no number is given twice."""

    def work(n: int) -> int:
        key = graph.reserve_keys(1).start
        graph.write("CREATE (:Probe {n: $n, key: $key})", {"n": n, "key": key})
        return key

    with ThreadPoolExecutor(16) as pool:
        keys = list(pool.map(work, range(200)))
    assert len(set(keys)) == 200
    assert graph.read("MATCH (p:Probe) RETURN count(p) AS n, count(DISTINCT p.key) AS k") == [{"n": 200, "k": 200}]
