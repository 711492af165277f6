"""Leases: one holder at a time, taken over from the dead, renewed while alive."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from odin_graph.catalog.records import leases
from odin_graph.errors import ConflictError, UnreachableError
from odin_graph.graph import Graph, Transaction


@pytest.fixture
def node(graph: Graph) -> str:
    graph.write("CREATE (:Experiment {id: 'vgg/1', state: 'running'})")
    return "vgg/1"


def properties(graph: Graph) -> dict[str, object]:
    return dict(graph.read("MATCH (e:Experiment) RETURN properties(e) AS held")[0]["held"])


def dead_owner() -> str:
    """The owner that a process of this machine was, which has ended."""
    script = "from odin_graph.catalog.records.leases import new_owner; print(new_owner())"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_one_holder_at_a_time(graph: Graph, node: str) -> None:
    with leases.acquire(graph, "Experiment", node):
        with pytest.raises(ConflictError) as caught:
            leases.acquire(graph, "Experiment", node)
        assert str(caught.value).startswith(f"Experiment 'vgg/1' is being written by process {os.getpid()} on ")
    assert leases.holder(graph, "Experiment", node) is None
    assert properties(graph) == {"id": "vgg/1", "state": "running"}, "nothing of the lease stays"
    leases.acquire(graph, "Experiment", node).release()


def test_nobody_here_waits_for_a_lease_whose_release_failed(
    graph: Graph, node: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine was gone just then: its own process knows that nobody writes any more."""

    def gone(*_: object) -> None:
        raise UnreachableError("gone")

    lease = leases.acquire(graph, "Experiment", node)
    with monkeypatch.context() as patch:
        patch.setattr(graph, "write", gone)
        with pytest.raises(UnreachableError):
            lease.release()
    assert properties(graph)["lease_owner"] == lease.owner
    held = leases.holder(graph, "Experiment", node)
    assert held is not None
    assert not held.live
    leases.acquire(graph, "Experiment", node).release()
    assert properties(graph) == {"id": "vgg/1", "state": "running"}


@pytest.mark.parametrize("stored", [True, False])
def test_nor_for_one_that_nobody_knows_to_be_stored(
    graph: Graph, node: str, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    execute = graph.execute

    def uncertain(work: Callable[[Transaction], Any]) -> None:
        if stored:
            execute(work)
        raise UnreachableError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(graph, "execute", uncertain)
        with pytest.raises(UnreachableError):
            leases.acquire(graph, "Experiment", node)
    assert ("lease_owner" in properties(graph)) == stored
    leases.acquire(graph, "Experiment", node).release()


def test_of_many_that_ask_at_once_one_gets_it(graph: Graph, node: str) -> None:
    got: list[leases.Lease] = []
    refused: list[ConflictError] = []
    start = threading.Barrier(6)

    def ask() -> None:
        start.wait()
        try:
            got.append(leases.acquire(graph, "Experiment", node))
        except ConflictError as error:
            refused.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 5)
    graph.execute(got[0].check)
    got[0].release()


def test_dead_process_of_this_machine_is_taken_over_at_once(graph: Graph, node: str) -> None:
    graph.write(
        "MATCH (e:Experiment) SET e.lease_owner = $owner, e.lease_until = timestamp() / 1000.0 + 300",
        {"owner": dead_owner()},
    )
    held = leases.holder(graph, "Experiment", node)
    assert held is not None
    assert not held.live
    leases.acquire(graph, "Experiment", node).release()


def test_process_elsewhere_is_taken_over_when_its_lease_ran_out(graph: Graph, node: str) -> None:
    owner = f"elsewhere/1:1:{psutil.Process(1).create_time():.2f}:ab"
    graph.write(
        "MATCH (e:Experiment) SET e.lease_owner = $owner, e.lease_until = timestamp() / 1000.0 + 300", {"owner": owner}
    )
    with pytest.raises(ConflictError, match="process 1 on elsewhere"):
        leases.acquire(graph, "Experiment", node)
    graph.write("MATCH (e:Experiment) SET e.lease_until = timestamp() / 1000.0 - 1")
    leases.acquire(graph, "Experiment", node).release()


def test_who_lost_the_lease_cannot_write(graph: Graph, node: str) -> None:
    lease = leases.acquire(graph, "Experiment", node)
    graph.write("MATCH (e:Experiment) SET e.lease_owner = 'elsewhere/1:1:0:ab'")

    def work(tx: leases.Transaction) -> None:
        lease.check(tx)
        tx.run("MATCH (e:Experiment) SET e.state = 'finished'")

    with pytest.raises(ConflictError, match="was taken over by another process"):
        graph.execute(work)
    lease.release()
    assert properties(graph)["state"] == "running"
    assert properties(graph)["lease_owner"] == "elsewhere/1:1:0:ab", "a lost lease is not given back"


def test_a_held_lease_is_renewed(graph: Graph, node: str) -> None:
    beats = threading.Event()
    lease = leases.acquire(graph, "Experiment", node, seconds=0.9)
    lease.beat = beats.set
    try:
        first = properties(graph)["lease_until"]
        assert beats.wait(10)
        time.sleep(1.0)  # longer than it was taken for
        assert properties(graph)["lease_until"] > first  # type: ignore[operator]
        held = leases.holder(graph, "Experiment", node)
        assert held is not None
        assert held.live
    finally:
        lease.release()
