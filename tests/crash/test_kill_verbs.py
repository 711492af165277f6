"""kill -9 during an update of thousands of images and a purge: the same call completes, and nothing is half done."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from odin_graph.address import Address
from odin_graph.catalog.activations.activations import LayerRef, growing, rows_of
from odin_graph.catalog.datasets.datasets import create_dataset
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.experiments.experiments import Setup, end, start
from odin_graph.catalog.experiments.imports import import_predictions
from odin_graph.catalog.images.batch import ImageBatch
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.images.pixels import compact_pixels
from odin_graph.catalog.models.checkpoints import add_checkpoint
from odin_graph.catalog.purge.purge import unfinished_purges
from odin_graph.stores import Stores
from tests.catalog.test_purge import folders, holds
from tests.crash.jobs import IMAGES, PURGED, ROUNDS, batch, purge_some, read_acknowledged, update
from tests.crash.killing import running, wait_for_a_moment
from tests.crash.test_kill_user import acknowledged, assert_sound, chance

__all__ = ["acknowledged", "chance"]

MANY, FEWER = 10_000, 3_000
BATCHES = 3


def rounds(stores: Stores) -> list[tuple[int | None, str | None, int]]:
    """What the images hold, and of how many; read until nothing moves.

    A commit that was on its way when its sender was killed is done all the same, and Neo4j shows a reader what is
    committed row by row.
    """
    before: list[tuple[int | None, str | None, int]] = []
    while True:
        rows = stores.graph.read("MATCH (i:Image) RETURN i.round AS round, i.site AS site, count(i) AS n")
        held = sorted(((row["round"], row["site"], row["n"]) for row in rows), key=str)
        if held == before:
            return held
        before = held
        time.sleep(0.5)


def test_killed_update(stores: Stores, address: Address, acknowledged: Path, chance: random.Random, soak: bool) -> None:
    many = MANY if soak else FEWER
    add_images(stores, ImageBatch([f"i{n}" for n in range(many)], np.zeros((many, 2, 2), np.uint8)))
    with running("update", address, acknowledged) as process:
        wait_for_a_moment(process, acknowledged, chance, ROUNDS + 2)
        process.kill()
    told = max((int(word) for word in read_acknowledged(acknowledged) if word.isdigit()), default=-1)
    ((last, site, number),) = rounds(stores)
    assert number == many, "all of an update is stored, or nothing"
    assert (last if last is not None else -1) >= told
    assert site == (None if last is None else f"site {last}")
    assert_sound(stores)

    update(stores, lambda _: None)
    assert rounds(stores) == [(ROUNDS - 1, f"site {ROUNDS - 1}", many)]
    assert_sound(stores)


def world(stores: Stores) -> NDArray[np.int64]:
    """Images with originals, a data set, predictions with probabilities and nodes, activations."""
    for number in range(BATCHES):
        add_images(stores, batch(number))
    compact_pixels(stores)
    keys = stores.columns.images([]).column("key").to_numpy()
    create_dataset(stores, "all", keys)
    end(stores, start(stores, Setup(datasets={"train": "all@1"}), "e"), "finished")
    said = np.random.default_rng(0).dirichlet([1.0, 1.0], len(keys))
    import_predictions(stores, "e", "all@1", None, None, probabilities=said, classes=["cat", "dog"])
    add_checkpoint(stores, None, {"weight": torch.zeros(2)}, experiment="e")
    with growing(stores, LayerRef("e/1", "features")) as growth:
        growth.add(keys, said.astype(np.float32))
    return keys


def needles(ids: list[str]) -> list[bytes]:
    """The pixels of images of the first batch."""
    pixels = batch(0).pixels
    return [np.ascontiguousarray(pixels[int(id_.partition("/")[2])]).tobytes() for id_ in ids]


def found(stores: Stores, ids: list[str], *, broken: bool = True) -> list[str]:
    told = needles(ids)
    return [path for root in folders(stores) for path in (holds(root, told, broken=broken) if ids else [])]


def test_killed_purge(stores: Stores, address: Address, acknowledged: Path, chance: random.Random) -> None:
    keys = world(stores)
    assert len(found(stores, PURGED)) > 0
    with running("purge", address, acknowledged) as process:
        wait_for_a_moment(process, acknowledged, chance, len(PURGED) + 2)
        process.kill()
    told = [word for word in read_acknowledged(acknowledged) if word in PURGED]
    assert found(stores, told, broken=False) == [], "what was acknowledged is gone"
    live = stores.columns.images(["id"])
    assert not set(live.column("id").to_pylist()) & set(told)
    assert len(unfinished_purges(stores)) <= 1

    purge_some(stores, lambda _: None)
    assert unfinished_purges(stores) == []
    assert found(stores, PURGED) == []
    assert_sound(stores)
    assert examine(stores).unfinished == ()
    left = len(keys) - len(PURGED)
    assert len(stores.columns.images([])) == left == BATCHES * IMAGES - len(PURGED)
    rows = stores.graph.read("MATCH (s:PredictionSet) RETURN s.rows AS rows")
    assert rows == [{"rows": left}]
    assert len(rows_of(stores, LayerRef("e/1", "features").set_id).coverage()) == left
    for row in stores.graph.read(
        "UNWIND $ids AS id MATCH (i:Image {id: id}) RETURN properties(i) AS own", {"ids": PURGED}
    ):
        assert set(row["own"]) == {"id", "key", "deleted"}
