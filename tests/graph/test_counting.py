"""The keeper's socket: the engine's own figures, shared by threads, and not needed where it cannot be made."""

from __future__ import annotations

import itertools
import socket
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest

from odin_graph.errors import UnreachableError
from odin_graph.graph import Graph, open_embedded
from odin_graph.graph.counting import COUNTERS, PROFILED, CounterClient, counting
from odin_graph.graph.sockets import serve, socket_path
from odin_graph.graph.token import counters_over_http, embedded_token

pytestmark = pytest.mark.starts_engine


def test_the_socket_says_what_the_engine_says(tmp_path: Path) -> None:
    graph = Graph(*open_embedded(tmp_path / "engine"))
    try:
        path = graph.endpoint.counters
        mode = Path(path).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert not mode & 0o077, "nobody else may ask"
        client = CounterClient(path)
        for _ in range(3):
            graph.write("CREATE (:Probe {n: 1})")
            assert client.read()[: len(PROFILED)] == counters_over_http(graph.endpoint)
        graph.read("MATCH (p:Probe) RETURN p")
        assert client.read()[: len(PROFILED)] == counters_over_http(graph.endpoint)
        without = replace(graph.endpoint, counters="")
        assert Graph(without).change_token() == embedded_token(without, None)
        assert embedded_token(without, None).writes is None, "HTTP has no count of names, so columns are read anew"
        client.close()
        assert client.read()[: len(PROFILED)] == counters_over_http(graph.endpoint), "it calls again"
        fork = get_context("fork")
        said = fork.SimpleQueue()
        child = fork.Process(target=lambda: said.put(str(graph.change_token())))
        child.start()
        assert said.get() == str(graph.change_token()), "a forked child has a connection of its own"
        child.join()
    finally:
        graph.close()


def test_answers_do_not_mix(tmp_path: Path) -> None:
    """Each answer is one state, and a thread never sees an older one than before."""
    count = itertools.count()

    def now() -> tuple[int, ...]:
        return (next(count),) * len(COUNTERS)

    client = CounterClient(serve(tmp_path / "socket", counting(now)))

    def ask(_: int) -> list[tuple[int, ...]]:
        return [client.read() for _ in range(200)]

    with ThreadPoolExecutor(8) as pool:
        for seen in pool.map(ask, range(8)):
            assert all(len(set(one)) == 1 for one in seen)
            assert seen == sorted(seen)
    client.close()


def test_a_path_that_is_too_long_is_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("a" * 60) / ("b" * 60)
    deep.mkdir(parents=True)
    assert serve(deep / "counters.sock", counting(lambda: (0,) * len(COUNTERS))) == ""
    monkeypatch.setenv("TMPDIR", str(deep))
    graph = Graph(*open_embedded(deep / "engine"))
    try:
        assert graph.endpoint.counters == ""
        before = graph.change_token()
        graph.write("CREATE (:Probe)")
        assert graph.change_token() != before
    finally:
        graph.close()


def test_a_socket_that_nobody_answers_is_swept_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper that was killed leaves its socket, and the next one removes it; those that are answered stay."""
    with tempfile.TemporaryDirectory() as short:  # a socket's path has 107 bytes at most
        monkeypatch.setattr(tempfile, "tempdir", short)
        path = socket_path()
        assert serve(path, counting(lambda: (0,) * len(COUNTERS))) == str(path)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path.with_name("dead.sock")))
        assert socket_path().parent == path.parent
        assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_folder_of_sockets_is_this_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    socket_path().parent.chmod(0o755)
    with pytest.raises(PermissionError):
        socket_path()


def test_a_keeper_that_went_away_is_unreachable(tmp_path: Path) -> None:
    graph = Graph(*open_embedded(tmp_path / "engine"))
    try:
        gone = replace(graph.endpoint, counters=str(tmp_path / "nobody.sock"))
        with pytest.raises(UnreachableError, match="does not answer"):
            Graph(gone).change_token()
    finally:
        graph.close()
