"""How long `og.connect` takes: a new workspace, one that is there, one whose engine runs; and without the archive.

The peer imports the same and then starts ArcadeDB's server as its wheel does, one after the other. Seconds depend on
the machine, so the goal is that of an idle one which takes 2.7 s for the peer: 1.5.

Each opening is a process of its own, as a script is, with modules that were compiled before. Seconds are from the call
to the workspace in hand, with all that is imported for it; CPU seconds those of the process and of the engine together,
which a busy machine does not change.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from benchmarks.report import Row, WrongAnswer, at_most, run
from odin_graph.graph import archive, keeper

GOAL = 1.5 / 2.7
"""Of the seconds of the peer."""
PROGRAM = """
import json, sys, time
import odin_graph as og
began = time.perf_counter()
db = og.connect(sys.argv[1])
took = time.perf_counter() - began
import psutil
engine = psutil.Process(db.bolt.pid)
print(json.dumps([took, time.process_time(), sum(engine.cpu_times()[:2]), engine.pid, len(db.images)]), flush=True)
sys.stdin.read()
db.close()
"""
PEER = """
import json, os, sys, time
began = time.perf_counter()
import odin_graph.workspace
from arcadedb_embedded.server import ArcadeDBServer
plugins = "Bolt:com.arcadedb.bolt.BoltProtocolPlugin"
config = {"http_port": 0, "bolt_port": 0, "server_plugins": plugins, "server_defaultDatabases": "odin[root]"}
server = ArcadeDBServer(root_path=sys.argv[1], root_password="a long password", config=config)
server.start()
took = time.perf_counter() - began
print(json.dumps([took, time.process_time(), 0.0, 0, 0]), flush=True)
sys.stdin.read()
os._exit(0)
"""


@dataclass(frozen=True)
class Opening:
    """What one opening took."""

    seconds: float
    cpu: float
    """Of the process and the engine."""
    own: float
    """CPU of the process alone."""


def measure(quick: bool) -> list[Row]:
    """All openings, in turns."""
    if (made := archive.archive_of(keeper.JVM)) is not None and not made.exists():
        subprocess.run([sys.executable, "-m", "odin_graph.graph.rehearsal"], check=True, stdout=subprocess.DEVNULL)
    turns = 3 if quick else 7
    taken: dict[str, list[Opening]] = {name: [] for name in ("peer", "new", "there", "plain", "running")}
    with tempfile.TemporaryDirectory() as held:
        for turn in range(turns):
            folder = Path(held) / f"{turn}.odin"
            for name in ("new", "there", "plain"):
                taken[name].append(opened(folder, plain=name == "plain"))
            taken["running"].append(opened(folder, beside=True))
            taken["peer"].append(opened(folder.with_suffix(".peer"), program=PEER))
    rows = []
    words = {
        "peer": "ArcadeDB's server after the imports",
        "new": "a new workspace",
        "there": "a workspace that is there",
        "plain": "the same without the archive",
        "running": "its engine runs already",
    }
    for name, what in words.items():
        rows.append(Row(what, median(one.seconds for one in taken[name]), "s"))
        rows.append(Row("  CPU", median(one.cpu if name != "running" else one.own for one in taken[name]), "s"))
    for name in ("there", "running"):
        ratio = median(one.seconds / peer.seconds for one, peer in zip(taken[name], taken["peer"], strict=True))
        rows.append(at_most(f"{words[name]}, against the peer", ratio, "x", GOAL))
    for what in ("seconds", "cpu"):
        ratio = median(
            getattr(one, what) / getattr(raw, what) for one, raw in zip(taken["there"], taken["plain"], strict=True)
        )
        rows.append(at_most(f"with the archive / without, {what}", ratio, "x", 1.0))
    return rows


def opened(folder: Path, *, plain: bool = False, beside: bool = False, program: str = PROGRAM) -> Opening:
    """Open it in a process of its own, beside another that has it open already; its engine has stopped afterwards."""
    with process(folder, plain=plain, program=program) as first:
        answer = measured(first)
        if beside:
            with process(folder, plain=plain, program=program) as second:
                answer = measured(second)
                second.communicate()
        first.communicate()
    took, own, engine, pid, images = answer
    if images:
        raise WrongAnswer(f"{images} images in an empty workspace")
    while pid and psutil.pid_exists(int(pid)):
        time.sleep(0.05)
    return Opening(took, own + engine, own)


def process(folder: Path, *, plain: bool, program: str) -> subprocess.Popen[str]:
    """A script that opens the workspace and waits."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        cwd=folder.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**environment, "ODIN_ENGINE_ARCHIVE": "0"} if plain else environment,
    )


def measured(script: subprocess.Popen[str]) -> list[float]:
    """What it measured."""
    assert script.stdout is not None
    answer: list[float] = json.loads(script.stdout.readline())
    return answer


if __name__ == "__main__":
    sys.exit(run("opening", measure))
