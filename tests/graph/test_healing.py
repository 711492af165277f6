"""An embedded engine that ended under its users comes back for all of them, and nobody is told what is not so."""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count as count_up
from pathlib import Path
from typing import Self

import pytest

from odin_graph import schema
from odin_graph.errors import MemoryLimitError, TimeLimitError, UncertainWriteError, UnreachableError
from odin_graph.graph import Graph, install, lend_to_neomodel, open_embedded
from tests.crash.killing import seeds
from tests.graph.processes import Asker, wait_until_gone

pytestmark = pytest.mark.starts_engine

EXHAUSTING = "RETURN reduce(s = 'x', i IN range(1, 40) | s + s) AS s"


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    """Of an engine of its own, which may be killed."""
    held = Graph(*open_embedded(tmp_path / "engine"))
    install(held)
    held.write("CREATE (:Probe {id: 'first'})")
    yield held
    held.close()


@pytest.fixture
def other(graph: Graph) -> Iterator[Asker]:
    """Another process that has it open."""
    with Asker(Path(graph.endpoint.folder)) as asker:
        assert asker.ask() == 1
        yield asker


def kill(graph: Graph, by: signal.Signals = signal.SIGKILL) -> None:
    pid = graph.endpoint.pid
    os.kill(pid, by)
    assert wait_until_gone(pid)


def count(graph: Graph) -> int:
    return int(graph.read("MATCH (p:Probe) RETURN count(p) AS n")[0]["n"])


def test_an_engine_that_was_killed_comes_back_for_everybody(graph: Graph, other: Asker) -> None:
    """In every process that has it open, however it asks, without a new connect; what was acknowledged is there."""
    before, token = graph.endpoint, graph.change_token()
    second = Graph(*open_embedded(Path(before.folder)))
    kill(graph)
    assert other.ask() == 1
    assert graph.change_token() != token, "nobody knows what was written"
    graph.write("CREATE (:Probe {id: 'second'})")
    assert [row["id"] for rows in second.stream("MATCH (p:Probe) RETURN p.id AS id ORDER BY id") for row in rows] == [
        "first",
        "second",
    ]
    assert other.ask() == 2
    assert graph.endpoint == second.endpoint != before
    assert list(graph.user_read("MATCH (p:Probe) RETURN count(p) AS n", {})) == [{"n": 2}]
    second.close()


class Knocks:
    """Takes the place of an engine that is gone, answers nobody, and counts who comes."""

    def __init__(self, address: str) -> None:
        self._door = socket.create_server(("127.0.0.1", int(address.rpartition(":")[2])))
        self._thread = threading.Thread(target=self._wait)
        self.number = 0

    def _wait(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                line, _ = self._door.accept()
                self.number += 1
                line.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)  # which `accept` notices, as it does not a close
        self._door.close()
        self._thread.join()


CALLS: tuple[Callable[[Graph], object], ...] = (
    count,
    lambda graph: list(graph.stream("MATCH (p:Probe) RETURN p.id AS id")),
    lambda graph: graph.autocommit("MATCH (p:Probe) RETURN p.id AS id"),
)


def test_nobody_knocks_again_and_again_where_an_engine_was(graph: Graph) -> None:
    """The first refusal starts the next engine: the driver would try the same place for half a minute before."""
    for call in CALLS:
        call(graph)
        kill(graph)
        with Knocks(graph.address) as door:
            call(graph)
        assert door.number <= 1


def test_keys_and_neomodel_go_on_after_a_kill(graph: Graph) -> None:
    lend_to_neomodel(graph)
    first = graph.reserve_keys(3)
    kill(graph)
    assert len(schema.Image.nodes) == 0
    assert graph.reserve_keys(3).start >= first.stop, "no number is given twice"
    schema.Image(uid="a").save()
    kill(graph)
    schema.Image(uid="b").save()
    assert {image.uid for image in schema.Image.nodes} == {"a", "b"}


def test_a_statement_that_takes_all_memory_harms_nobody_else(graph: Graph, other: Asker) -> None:
    """It ends with an error that says so, and everybody goes on; also where it is told to write."""
    with pytest.raises(MemoryLimitError, match=r"ran out of memory.*LIMIT"):
        graph.user_read(EXHAUSTING, {})
    assert other.ask() == 1
    with pytest.raises(MemoryLimitError, match="nothing of this statement"):
        graph.user_write(f"CREATE (:Probe {{id: 'second'}}) WITH 1 AS one {EXHAUSTING}", {})
    assert count(graph) == 1
    assert other.ask() == 1
    with pytest.raises((MemoryLimitError, TimeLimitError)):
        graph.user_read(EXHAUSTING, {}, timeout=30)
    assert count(graph) == 1


def test_what_breaks_off_in_the_midst_of_an_answer_is_an_error(graph: Graph) -> None:
    """Rows that came are not sent again, and not taken for all."""
    graph.write("UNWIND range(1, 50000) AS n CREATE (:Row {n: n})")
    rows = graph.stream("MATCH (r:Row) RETURN r.n AS n", size=10)
    next(rows)
    kill(graph)
    with pytest.raises(UnreachableError):
        sum(len(part) for part in rows)
    assert sum(len(part) for part in graph.stream("MATCH (r:Row) RETURN r.n AS n")) == 50_000


class Users:
    """Threads that read and write all the time, and what they were told."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.acknowledged: set[str] = set()
        self.uncertain: set[str] = set()
        self.failed: list[Exception] = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(who,)) for who in range(2)]
        self._threads.append(threading.Thread(target=self._read))

    def _write(self, who: int) -> None:
        for number in count_up():
            if self._done.is_set():
                return
            id_ = f"{who}/{number}"
            try:
                self.graph.write("CREATE (:Probe {id: $id})", {"id": id_})
                self.acknowledged.add(id_)
            except UncertainWriteError:
                self.uncertain.add(id_)
            except Exception as error:  # noqa: BLE001 - told at the end
                self.failed.append(error)

    def _read(self) -> None:
        while not self._done.is_set():
            try:
                known = len(self.acknowledged)
                assert count(self.graph) > known
                self.graph.change_token()
            except Exception as error:  # noqa: BLE001 - told at the end
                self.failed.append(error)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("run", seeds(4))
@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told"])
def test_ended_in_the_midst_of_reads_and_writes(graph: Graph, other: Asker, by: signal.Signals, run: int) -> None:
    """Reads never fail; of writes each that was acknowledged is there once, and each other at most once.

    An engine that is told to end closes its database while it still answers.
    """
    seed = secrets.randbits(32)
    print(f"run {run}, seed {seed}")
    chance = random.Random(seed)
    with Users(graph) as users:
        for _ in range(2):
            time.sleep(chance.uniform(0.1, 1.5))
            kill(graph, by)
            assert other.ask() > 0
    assert users.failed == []
    found = Counter(row["id"] for row in graph.read("MATCH (p:Probe) RETURN p.id AS id"))
    assert set(found.values()) == {1}
    assert users.acknowledged <= set(found) <= users.acknowledged | users.uncertain | {"first"}
    assert len(users.uncertain) <= 4, "only what was being committed"
