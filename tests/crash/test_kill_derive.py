"""kill -9 during `.store`: what was acknowledged is whole, and the same call completes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from odin_graph.address import Address
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.images.pixels import ARRAY, compact_pixels
from odin_graph.ops import Resize
from odin_graph.stores import Stores
from tests.crash.jobs import IMAGES, batch, derive_some, read_acknowledged
from tests.crash.killing import running, wait_for_a_moment
from tests.crash.test_kill_user import acknowledged, assert_sound, chance

__all__ = ["acknowledged", "chance"]

BATCHES = 6


def assert_whole(stores: Stores) -> set[str]:
    """Every derivative has its pixels, one parent and the right root; their ids."""
    rows = stores.graph.read(
        "MATCH (d:Image) WHERE d.id CONTAINS '#' OPTIONAL MATCH (d)-[:DERIVED_FROM]->(p:Image) "
        "OPTIONAL MATCH (d)-[:HAS_ROOT]->(r:Image) "
        "RETURN d.id AS id, d.key AS key, collect(DISTINCT p.id) AS parents, collect(DISTINCT r.id) AS roots"
    )
    given = {id_: image for number in range(BATCHES) for id_, image in _images(number).items()}
    read = stores.columns.array(ARRAY).read_list(np.array([row["key"] for row in rows], np.int64)) if rows else []
    for row, pixels in zip(rows, read, strict=True):
        parent, _, _ = row["id"].rpartition("#")
        root, *steps = row["id"].split("#")
        assert (row["parents"], row["roots"]) == ([parent], [root])
        expected = given[root]
        for turn, _ in enumerate(steps, start=1):
            expected = Resize(size=2 + turn)(expected)
        np.testing.assert_array_equal(pixels, expected)
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"] for row in rows}


def _images(number: int) -> dict[str, np.ndarray]:
    given = batch(number)
    return dict(zip(given.ids, given.arrays(), strict=True))


def test_killed_store(stores: Stores, address: Address, acknowledged: Path, chance: random.Random) -> None:
    for number in range(BATCHES):
        add_images(stores, batch(number))
    compact_pixels(stores)
    with running("derive", address, acknowledged) as process:
        wait_for_a_moment(process, acknowledged, chance, 2 * BATCHES + 2)
        process.kill()
    told = {word for word in read_acknowledged(acknowledged) if "#" in word}
    assert told <= assert_whole(stores)
    assert_sound(stores)

    derive_some(stores, lambda _: None)
    assert len(assert_whole(stores)) == 2 * BATCHES * IMAGES
    assert_sound(stores)
    assert examine(stores).unfinished == ()
