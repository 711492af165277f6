"""Processes open, write and close all the time, while they and the engine are killed at random."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from odin_graph.address import Address
from odin_graph.arrays import SegmentedArray
from odin_graph.catalog.records.segments import segments_of
from odin_graph.graph import Endpoint
from odin_graph.stores import Stores
from tests.crash.jobs import read_acknowledged
from tests.crash.killing import kill, running
from tests.crash.test_kill_engine import embedded
from tests.crash.test_kill_user import assert_sound

pytestmark = pytest.mark.starts_engine

__all__ = ["embedded"]


@pytest.mark.parametrize(
    ("processes", "seconds"), [(2, 8.0), pytest.param(6, 300.0, marks=pytest.mark.soak)], ids=["share", "soak"]
)
def test_opened_and_killed_at_random(embedded: Address, tmp_path: Path, processes: int, seconds: float) -> None:
    """Whoever is not killed goes on as if nothing were; what anybody acknowledged is there, once, and all is sound."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    folder = Path(embedded.folder or "") / "engine"
    acknowledged = tmp_path / "acknowledged"
    with ExitStack() as stack:
        jobs = [stack.enter_context(running("open", embedded, acknowledged)) for _ in range(processes)]
        while len(read_acknowledged(acknowledged)) < 2 * processes:
            assert all(job.exitcode is None for job in jobs)
            time.sleep(0.1)
        until, kills = time.monotonic() + seconds, 0
        while time.monotonic() < until or kills < 2:
            time.sleep(chance.uniform(0.0, 3.0))
            endpoint = Endpoint.read(folder)
            if endpoint is not None and (kills == 0 or chance.random() < 0.5):
                kill(endpoint.pid)
            else:
                place = chance.randrange(processes)
                jobs[place].kill()
                jobs[place].join()
                jobs[place] = stack.enter_context(running("open", embedded, acknowledged))
            kills += 1
            assert all(job.exitcode is None for job in jobs), "one failed that nobody killed"
        # Each of them gets something done after the last kill.
        before = len(read_acknowledged(acknowledged))
        while len(read_acknowledged(acknowledged)) < before + processes:
            assert all(job.exitcode is None for job in jobs), "one failed that nobody killed"
            time.sleep(0.1)
    told = {word for word in read_acknowledged(acknowledged) if "/" in word}
    stores = Stores.open(embedded)
    try:
        rows = stores.graph.read("MATCH (i:Image) RETURN i.id AS id, i.key AS key, i.n AS n")
        assert len({row["id"] for row in rows}) == len(rows)
        assert told <= {row["id"] for row in rows}
        pixels = SegmentedArray(stores.arrays, segments_of(stores, "pixels")).read_list(
            np.array([row["key"] for row in rows])
        )
        assert [int(image[0, 0, 0]) for image in pixels] == [row["n"] % 250 for row in rows]
        assert_sound(stores)
    finally:
        stores.close()
