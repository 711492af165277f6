"""The embedded engine's life: started, attached to, held up, stopped by itself, killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from odin_graph.errors import EngineStartError
from odin_graph.graph import Graph, install, open_embedded
from tests.graph.processes import start_user, wait_until_gone

pytestmark = pytest.mark.starts_engine


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Of an engine; whatever keeper is left in it is killed at the end."""
    held = tmp_path / "engine"
    yield held
    endpoint = held / "endpoint.json"
    if endpoint.exists():
        pid = json.loads(endpoint.read_text())["pid"]
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def test_whole_life(folder: Path) -> None:
    """One engine for all; it outlives a killed user while another is there, then stops and leaves nothing."""
    graph = Graph(*open_embedded(folder))
    install(graph)
    graph.write("CREATE (:Probe {n: 1})")
    pid = graph.endpoint.pid
    killed, seen = start_user(folder)
    assert seen == pid, "a second process attaches to the running engine"
    token = graph.change_token()

    killed.kill()
    killed.wait()
    killed.stdout.close()
    assert graph.read("MATCH (p:Probe) RETURN p.n AS n") == [{"n": 1}]
    other, seen = start_user(folder)
    assert seen == pid
    graph.close()
    other.kill()  # the last user goes by kill -9
    other.wait()
    other.stdout.close()
    assert wait_until_gone(pid), "the engine stops by itself"
    assert not (folder / "endpoint.json").exists()
    assert not [file for file in folder.rglob("*.lck") if "database" in file.name]

    again = Graph(*open_embedded(folder))
    assert again.endpoint.pid != pid
    assert again.read("MATCH (p:Probe) RETURN p.n AS n") == [{"n": 1}]
    assert again.change_token() == token, "a clean stop keeps the token: nothing was written"
    again.close()
    assert wait_until_gone(again.endpoint.pid)


def test_killed_engine_is_noticed_and_started_again(folder: Path) -> None:
    """A keeper killed with -9 leaves a stale endpoint, no orphan, and no acknowledged write is lost."""
    graph = Graph(*open_embedded(folder))
    install(graph)
    graph.write("CREATE (:Probe {n: 2})")
    token, pid = graph.change_token(), graph.endpoint.pid
    children = psutil.Process(pid).children(recursive=True)
    os.kill(pid, signal.SIGKILL)
    assert wait_until_gone(pid)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    graph.close()
    assert (folder / "endpoint.json").exists()

    again = Graph(*open_embedded(folder))
    assert again.read("MATCH (p:Probe) RETURN p.n AS n") == [{"n": 2}]
    assert again.change_token() != token, "after an unclean stop nothing is known: a new generation"
    again.close()


def test_secrets_are_this_users_and_ports_are_loopback(folder: Path) -> None:
    graph = Graph(*open_embedded(folder))
    try:
        assert stat.S_IMODE((folder / "endpoint.json").stat().st_mode) == 0o600
        assert stat.S_IMODE((folder / "engine.log").stat().st_mode) & 0o077 == 0
        assert graph.endpoint.password not in (folder / "engine.log").read_text()
        assert graph.endpoint.password not in repr(graph.endpoint)
        listening = [
            held.laddr.ip.removeprefix("::ffff:")
            for held in psutil.Process(graph.endpoint.pid).net_connections()
            if held.status == psutil.CONN_LISTEN
        ]
        assert len(listening) == 2
        assert set(listening) == {"127.0.0.1"}
        # The one plug-in that ArcadeDB loads unasked answers nobody.
        assert json.loads((folder / "config" / "mcp-config.json").read_text())["enabled"] is False
    finally:
        graph.close()


def test_failed_start_says_why(folder: Path) -> None:
    folder.mkdir()
    (folder / "databases").write_text("in the way")
    with pytest.raises(EngineStartError) as caught:
        open_embedded(folder)
    message = str(caught.value)
    assert str(folder) in message
    assert "The end of" in message
    assert "databases" in message


def _child_counts(graph: Graph, answers: multiprocessing.Queue[int]) -> None:
    answers.put(graph.read("MATCH (p:Probe) RETURN count(p) AS n")[0]["n"])


def test_forked_child_opens_its_own_connection(graph: Graph) -> None:
    """As a DataLoader's workers do: parent and child use the same object at the same time."""
    graph.write("CREATE (:Probe), (:Probe)")
    context = multiprocessing.get_context("fork")
    answers: multiprocessing.Queue[int] = context.Queue()
    children = [context.Process(target=_child_counts, args=(graph, answers)) for _ in range(2)]
    for child in children:
        child.start()
    mine = [graph.read("MATCH (p:Probe) RETURN count(p) AS n")[0]["n"] for _ in range(20)]
    assert [answers.get(timeout=30) for _ in children] == [2, 2]
    for child in children:
        child.join(timeout=30)
        assert child.exitcode == 0
    assert set(mine) == {2}
