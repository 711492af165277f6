"""The embedded engine when it is told to stop, when several open it at once, and when its endpoint file lies."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from odin_graph.errors import WorkspaceError
from odin_graph.graph import Endpoint, Graph, open_embedded
from odin_graph.graph.endpoint import place_of
from odin_graph.graph.locks import seize
from tests.graph.processes import remove, start_user, wait_until_gone

pytestmark = pytest.mark.starts_engine


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Of an engine; whatever keeper is left in it is killed at the end."""
    held = tmp_path / "engine"
    yield held
    endpoint = Endpoint.read(held) if held.exists() else None
    if endpoint is not None:
        os.kill(endpoint.pid, signal.SIGKILL)
        assert wait_until_gone(endpoint.pid)


def test_a_signal_without_users_is_a_clean_stop(folder: Path) -> None:
    graph = Graph(*open_embedded(folder))
    graph.write("CREATE (:Probe {n: 1})")
    token, pid = graph.change_token(), graph.endpoint.pid
    graph.close()
    os.kill(pid, signal.SIGTERM)
    assert wait_until_gone(pid)
    assert not (folder / "endpoint.json").exists()
    again = Graph(*open_embedded(folder))
    assert again.change_token() == token
    again.close()


def test_a_signal_under_its_users_stops_it_and_keeps_no_token(folder: Path) -> None:
    """A user may write between the last look at the counters and the stop: the token would call that unchanged.

    Whoever opens the engine while it stops waits for the next one.
    """
    graph = Graph(*open_embedded(folder))
    graph.write("CREATE (:Probe {n: 1})")
    token, pid = graph.change_token(), graph.endpoint.pid
    os.kill(pid, signal.SIGTERM)
    again = Graph(*open_embedded(folder))
    if again.endpoint.pid == pid:  # attached in the moment before the signal was seen
        again.close()
        assert wait_until_gone(pid)
        again = Graph(*open_embedded(folder))
    graph.close()
    assert again.endpoint.pid != pid
    assert wait_until_gone(pid)
    assert again.read("MATCH (p:Probe) RETURN p.n AS n") == [{"n": 1}]
    assert again.change_token() != token
    again.close()


def test_processes_that_open_at_once_share_one_engine(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        users = list(pool.map(lambda _: start_user(folder), range(4)))
    try:
        assert len({pid for _, pid in users}) == 1
        running = [
            process.pid
            for process in psutil.process_iter(["cmdline"])
            if "odin_graph.graph.keeper" in (process.info["cmdline"] or []) and str(folder) in process.info["cmdline"]
        ]
        assert running == [users[0][1]]
    finally:
        for user, _ in users:
            user.kill()
            user.wait()
            user.stdout.close()
    assert wait_until_gone(users[0][1])


@pytest.mark.parametrize("lie", ["", "{", "[]", "null", '{"address": "bolt://127.0.0.1:1"}'])
def test_a_torn_endpoint_file_is_none(tmp_path: Path, lie: str) -> None:
    (tmp_path / "endpoint.json").write_text(lie)
    assert Endpoint.read(tmp_path) is None


def as_keeper(folder: Path) -> tuple[Endpoint, int]:
    """An endpoint of a folder, and the lock that its keeper would hold."""
    lock = seize(folder / "keeper.lock")
    assert lock is not None
    return Endpoint("bolt://127.0.0.1:1", "root", "x", folder=str(folder), place=place_of(folder)), lock


def test_an_endpoint_without_its_keepers_lock_is_stale(tmp_path: Path) -> None:
    """Whether a process of that number lives, and what any clock says, makes no difference."""
    endpoint, lock = as_keeper(tmp_path)
    endpoint.write(tmp_path)
    assert Endpoint.read(tmp_path) == endpoint
    os.close(lock)
    assert Endpoint.read(tmp_path) is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["endpoint.json", "keeper.lock"]


def test_an_endpoint_of_another_folder_is_none(tmp_path: Path) -> None:
    """Though a keeper serves this one: what it wrote is read, and nothing that came with a copy."""
    there, here = tmp_path / "there", tmp_path / "here"
    there.mkdir()
    here.mkdir()
    theirs, their_lock = as_keeper(there)
    mine, my_lock = as_keeper(here)
    theirs.write(here)
    assert Endpoint.read(here) is None
    mine.write(here)
    assert Endpoint.read(here) == mine
    here.rename(tmp_path / "moved")
    assert Endpoint.read(tmp_path / "moved") is None, "its keeper writes where the folder was"
    os.close(their_lock)
    os.close(my_lock)


def test_an_endpoint_file_is_never_read_half_written(tmp_path: Path) -> None:
    file = tmp_path / "endpoint.json"
    endpoint = Endpoint("bolt://127.0.0.1:1", "root", "x" * 100_000, place=place_of(tmp_path))
    endpoint.write(tmp_path)
    done = threading.Event()

    def write() -> None:
        for _ in range(50):
            endpoint.write(tmp_path)
        done.set()

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        while not done.is_set() and not writer.done():
            assert json.loads(file.read_text())["password"] == endpoint.password
        writer.result()


def test_the_keeper_keeps_nothing_of_its_starter(folder: Path) -> None:
    """Neither its lock, nor its session, nor a folder: the starter is free to go, and to be deleted."""
    graph = Graph(*open_embedded(folder))
    keeper = psutil.Process(graph.endpoint.pid)
    try:
        assert os.getsid(keeper.pid) == keeper.pid != os.getsid(0)
        assert keeper.cwd() == "/"
        held = [Path(file.path).name for file in keeper.open_files()]
        assert "users.lock" not in held
        assert "start.lock" not in held
        written = [Path(file.path) for file in keeper.open_files() if file.mode != "r"]
        assert written
        assert [file for file in written if not file.is_relative_to(folder)] == []
    finally:
        graph.close()
    with pytest.raises(WorkspaceError, match="closed"):
        graph.read("RETURN 1")


def test_the_engine_of_a_deleted_folder_goes_with_it(folder: Path) -> None:
    """A temporary workspace is often removed before its engine has stopped: no process may stay for ever."""
    graph = Graph(*open_embedded(folder))
    graph.close()
    remove(folder)
    assert wait_until_gone(graph.endpoint.pid)
