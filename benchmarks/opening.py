"""How long `og.connect` takes: a new workspace, one that is there, one whose engine runs; and without the archive.

Each opening is a process of its own, as a script is. Seconds are from the call to the workspace in hand, with all that
is imported for it; CPU seconds those of the process and of the engine together, which a busy machine does not change.
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

GOAL = 1.5
"""Seconds."""
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
    taken: dict[str, list[Opening]] = {name: [] for name in ("new", "there", "plain", "running")}
    with tempfile.TemporaryDirectory() as held:
        for turn in range(turns):
            folder = Path(held) / f"{turn}.odin"
            for name in ("new", "there", "plain"):
                taken[name].append(opened(folder, plain=name == "plain"))
            taken["running"].append(opened(folder, beside=True))
    rows = []
    words = {
        "new": "a new workspace",
        "there": "a workspace that is there",
        "plain": "the same without the archive",
        "running": "its engine runs already",
    }
    for name, what in words.items():
        seconds = median(one.seconds for one in taken[name])
        rows.append(at_most(what, seconds, "s", GOAL) if name in ("there", "running") else Row(what, seconds, "s"))
        rows.append(Row("  CPU", median(one.cpu if name != "running" else one.own for one in taken[name]), "s"))
    for what in ("seconds", "cpu"):
        ratio = median(
            getattr(one, what) / getattr(raw, what) for one, raw in zip(taken["there"], taken["plain"], strict=True)
        )
        rows.append(at_most(f"with the archive / without, {what}", ratio, "x", 1.0))
    return rows


def opened(folder: Path, *, plain: bool = False, beside: bool = False) -> Opening:
    """Open it in a process of its own, beside another that has it open already; its engine has stopped afterwards."""
    with process(folder, plain=plain) as first:
        answer = said(first)
        if beside:
            with process(folder, plain=plain) as second:
                answer = said(second)
                second.communicate()
        first.communicate()
    took, own, engine, pid, images = answer
    if images:
        raise WrongAnswer(f"{images} images in an empty workspace")
    while psutil.pid_exists(int(pid)):
        time.sleep(0.05)
    return Opening(took, own + engine, own)


def process(folder: Path, *, plain: bool) -> subprocess.Popen[str]:
    """A script that opens the workspace and waits."""
    switched = {"ODIN_ENGINE_ARCHIVE": "0"} if plain else {}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **switched},
    )


def said(script: subprocess.Popen[str]) -> list[float]:
    """What it measured."""
    assert script.stdout is not None
    answer: list[float] = json.loads(script.stdout.readline())
    return answer


if __name__ == "__main__":
    sys.exit(run("opening", measure))
