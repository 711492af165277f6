"""Other processes that use a workspace, for tests: functions that they can find by name."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path
from typing import Self

import psutil

from odin_graph.graph import Endpoint, Graph
from tests.forking import Program


def reserve(endpoint: Endpoint, times: int, each: int) -> list[int]:
    """Reserve keys again and again, as one of many writers."""
    graph = Graph(endpoint)
    try:
        return [key for _ in range(times) for key in graph.reserve_keys(each)]
    finally:
        graph.close()


USER = """
import sys, time
from pathlib import Path
from odin_graph.graph import Graph, open_embedded
graph = Graph(*open_embedded(Path(sys.argv[1])))
graph.verify()
print(graph.endpoint.pid, flush=True)
if "stay" in sys.argv:
    time.sleep(600)
graph.close()
"""


def start_user(folder: Path, *, stay: bool = True) -> tuple[Program, int]:
    """A process that opens the engine of a folder; and the pid of the keeper that it found."""
    user = Program(["-c", USER, folder, *(["stay"] if stay else [])])
    return user, int(user.stdout.readline())


def wait_until_gone(pid: int, seconds: float = 20) -> bool:
    """Whether a process ends in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                os.waitpid(pid, os.WNOHANG)
        except (psutil.NoSuchProcess, ChildProcessError):
            return True
        time.sleep(0.1)
    return False


def stop(keeper: int) -> None:
    """End an engine that nobody uses: as it ends by itself, and without its waiting for another user."""
    os.kill(keeper, signal.SIGTERM)
    assert wait_until_gone(keeper)


ASKER = """
import sys
from pathlib import Path
from odin_graph.graph import Graph, open_embedded
graph = Graph(*open_embedded(Path(sys.argv[1])))
for _ in sys.stdin:
    print(graph.read("MATCH (p:Probe) RETURN count(p) AS n")[0]["n"], flush=True)
graph.close()
"""


class Asker:
    """A process that has the engine of a folder open, and counts probes when it is asked."""

    def __init__(self, folder: Path) -> None:
        self._process = Program(["-c", ASKER, folder])

    def ask(self) -> int:
        """The number of probes."""
        self._process.stdin.write("?\n")
        return int(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=60)


def remove(folder: Path) -> None:
    """Delete a workspace whose engine may still write into it, as long as it makes files anew."""
    while folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
