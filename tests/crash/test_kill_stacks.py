"""kill -9 while a volume is stored: its slices are whole batches, and the same call completes it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from odin_graph.address import Address
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.catalog.images.stacks import Stack, add_stack, images_of, stack_ids
from odin_graph.stores import Stores
from tests.crash.jobs import read_acknowledged, voxels
from tests.crash.killing import running, wait_for_a_moment
from tests.crash.test_kill_user import acknowledged, assert_sound, chance

__all__ = ["acknowledged", "chance"]


def assert_slices(stores: Stores) -> int:
    """Those that are there are NumPy's, each with the volume as root; how many."""
    rows = images_of(stores, "Volume", "brain")
    if rows:
        read = stores.columns.array(ARRAY).read(np.array([row["key"] for row in rows], np.int64))[..., 0]
        np.testing.assert_array_equal(read, voxels()[: len(rows)])
    roots = stores.graph.read("MATCH (i:Image)-[:HAS_ROOT]->(v:Volume {id: 'brain'}) RETURN count(i) AS n")[0]["n"]
    every = stores.graph.read("MATCH (i:Image) RETURN count(i) AS n")[0]["n"]
    assert roots == every == len(rows)
    return len(rows)


def test_killed_volume(stores: Stores, address: Address, acknowledged: Path, chance: random.Random) -> None:
    with running("volume", address, acknowledged) as process:
        wait_for_a_moment(process, acknowledged, chance, 12)
        process.kill()
    said = read_acknowledged(acknowledged)
    there = assert_slices(stores)
    assert there % 10 == 0
    assert there >= 10 * said.count("slices")
    assert (stack_ids(stores, "Volume") == ["brain"]) or "done" not in said
    assert_sound(stores)

    add_stack(stores, Stack(kind="Volume", id="brain", array=voxels(), fields={"age": 61}))
    assert assert_slices(stores) == 100
    assert stack_ids(stores, "Volume") == ["brain"]
    assert examine(stores, deep=True).unfinished == ()
    assert_sound(stores)
