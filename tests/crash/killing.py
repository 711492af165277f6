"""Start a job, wait for a random moment of it, kill it with -9."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from odin_graph.address import Address
from tests.crash.jobs import do, read_acknowledged
from tests.forking import CONTEXT

START_SECONDS = 300.0
"""Only a job that hangs takes so long, on a busy machine too."""
LONGEST_PAUSE = 0.5
"""After the acknowledgement that is waited for: longer than a step takes, so that every place in it may be hit."""


def seeds(number: int) -> list[object]:
    """Numbers of the runs: one of a usual test, as many as are asked for of `make soak`; each draws its own seed."""
    return [pytest.param(run, marks=pytest.mark.soak(run)) if run else run for run in range(number)]


@contextmanager
def running(job: str, address: Address, acknowledged: Path) -> Iterator[BaseProcess]:
    """The process of a job; killed and waited for at the end."""
    process = CONTEXT.Process(target=do, args=(job, address, acknowledged, dict(os.environ)))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def wait_for_a_moment(process: BaseProcess, acknowledged: Path, chance: random.Random, most: int) -> None:
    """Wait until the job has acknowledged a random number of things, and a random while longer."""
    wanted = chance.randrange(1, most)
    until = time.monotonic() + START_SECONDS
    while len(read_acknowledged(acknowledged)) < wanted and process.exitcode is None:
        assert time.monotonic() < until, f"the job acknowledged {read_acknowledged(acknowledged)} in {START_SECONDS} s"
        time.sleep(0.002)
    assert process.exitcode in (None, 0), f"the job failed by itself: exit {process.exitcode}"
    time.sleep(chance.uniform(0, LONGEST_PAUSE) ** 2)  # squared: short pauses more often


def kill(pid: int) -> None:
    """End a process as a crash does."""
    os.kill(pid, signal.SIGKILL)
