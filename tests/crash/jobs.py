"""The jobs that are killed: each acknowledges what it was told is stored, and can be called again."""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from odin_graph.address import Address
from odin_graph.catalog.datasets import datasets
from odin_graph.catalog.experiments import projection
from odin_graph.catalog.experiments.experiments import Setup, end, start
from odin_graph.catalog.experiments.predictions import PredictionBuild, latest_ready
from odin_graph.catalog.images import stacks
from odin_graph.catalog.images.batch import ImageBatch
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.images.pixels import compact_pixels
from odin_graph.catalog.purge.purge import keys_of_any, purge
from odin_graph.catalog.records.updates import update_metadata
from odin_graph.errors import UncertainWriteError
from odin_graph.objects.query.mapping import parents_of
from odin_graph.objects.query.query import Query
from odin_graph.ops import Resize
from odin_graph.query.expressions.expressions import F
from odin_graph.query.plan.plan import AllImages, Plan
from odin_graph.runtime.derive import derive, storing
from odin_graph.stores import Stores

Acknowledge = Callable[[str], None]

BATCHES = 16
IMAGES = 20
"""In a batch."""
CHUNK = 20
"""Predictions that are flushed at once."""
CLASSES = ["cat", "dog"]
ROUNDS = 5
"""Updates of all images."""
PURGED = [f"0/{position}" for position in (0, 3, 18)]
"""Images of the first batch, the last of an odd shape."""

DERIVED = {"a": 1, "b": 2}
"""Names of derivatives, and how many operations away from what came in."""


def batch(number: int) -> ImageBatch:
    """The same images whenever they are asked for; some of odd shapes."""
    generator = np.random.default_rng(number)
    pixels = [generator.integers(0, 255, (4, 4, 1), np.uint8) for _ in range(IMAGES - 3)]
    pixels += [generator.integers(0, 60_000, (3 + odd, 5, 1), np.uint16) for odd in range(3)]
    return ImageBatch(
        [f"{number}/{position}" for position in range(IMAGES)],
        pixels,
        labels=[CLASSES[position % 2] for position in range(IMAGES)],
        metadata={"batch": [number] * IMAGES},
        originals=[bytes(image.tobytes()) for image in pixels],
    )


def ingest(stores: Stores, acknowledge: Acknowledge) -> None:
    """Add all batches, then compact."""
    for number in range(BATCHES):
        add_images(stores, batch(number))
        acknowledge(str(number))
    compact_pixels(stores)
    acknowledge("done")


def predict(stores: Stores, acknowledge: Acknowledge) -> None:
    """Predict over the data set ``all@1``, in small steps."""
    projection.BATCH = 2 * CHUNK
    lease = start(stores, Setup(datasets={"test": "all@1"}), "crash", resume=True)
    if latest_ready(stores, "crash", "all@1", None) is None:
        with PredictionBuild.begin(stores, "crash", "all@1") as build:
            missing = build.missing()
            for first in range(0, len(missing), CHUNK):
                keys = missing[first : first + CHUNK]
                build.append(keys, said(keys), confidence(keys))
                build.flush()
                for key in keys.tolist():
                    acknowledge(str(key))
            acknowledge("projecting")
            build.finish()
    acknowledge("done")
    end(stores, lease, "finished")


def said(keys: np.ndarray) -> list[str]:
    """What is predicted of an image."""
    return [CLASSES[key % 3 % 2] for key in keys.tolist()]


def confidence(keys: np.ndarray) -> np.ndarray:
    """How sure it is."""
    return np.asarray(keys % 7 / 8, np.float64)


def update(stores: Stores, acknowledge: Acknowledge) -> None:
    """Give all images a new metadata field, again and again."""
    keys = stores.columns.images([]).column("key").to_pylist()
    for number in range(ROUNDS):
        update_metadata(stores, "Image", keys, {"round": [number] * len(keys), "site": [f"site {number}"] * len(keys)})
        acknowledge(str(number))
    acknowledge("done")


def purge_some(stores: Stores, acknowledge: Acknowledge) -> None:
    """Purge images of the first batch, one after another."""
    for id_ in PURGED:
        purge(stores, keys_of_any(stores, [id_]), force=True)
        acknowledge(id_)
    acknowledge("done")


def derive_some(stores: Stores, acknowledge: Acknowledge) -> None:
    """Store derivatives of all images, in small batches, and derivatives of these."""
    storing.BATCH = IMAGES
    query = Query(stores.address, Plan(AllImages())).where(F("batch") >= 0)
    for name, turns in DERIVED.items():
        parents = parents_of(query)
        ids = parents.column("id").to_pylist()
        wanted = [position for position, id_ in enumerate(ids) if id_.count("#") == turns - 1]
        derive.derive(stores, parents.take(wanted), (Resize(size=2 + turns),), name, acknowledge=acknowledge)
    acknowledge("done")


def voxels() -> np.ndarray:
    """A volume of 100 slices."""
    return np.random.default_rng(7).integers(0, 60_000, (100, 6, 5), np.uint16)


def cut_volume(stores: Stores, acknowledge: Acknowledge) -> None:
    """Store a volume, some slices at a time."""
    stacks.BATCH = CHUNK // 2
    real = stacks.add_images

    def adding(*what: Any, **how: Any) -> Any:
        done = real(*what, **how)
        acknowledge("slices")
        return done

    stacks.add_images = adding
    stacks.add_stack(stores, stacks.Stack(kind="Volume", id="brain", array=voxels(), fields={"age": 61}))
    acknowledge("done")


REVISIONS = 4
"""Versions after the first; each takes away and adds some, and has other labels for some."""
VERSION = 120
"""Images of each."""


def version(number: int, keys: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """The members of a version, and their labels."""
    kept = keys[10 * number : 10 * number + VERSION]
    return kept, [CLASSES[(place + number) % 2] for place in range(VERSION)]


def revise_some(stores: Stores, acknowledge: Acknowledge) -> None:
    """Make the versions of a data set one after another, their edges in small batches."""
    datasets.BATCH = CHUNK
    stores.keep()
    keys = np.sort(stores.columns.images([]).column("key").to_numpy())
    for number in range(REVISIONS + 1):
        members, labels = version(number, keys)
        datasets.create_dataset(stores, "set", members, labels=pa.array(labels), revise=True)
        acknowledge(f"set@{number + 1}")
    acknowledge("done")


WANTS = [("relu#2", "u8"), ("first", "f32")]
"""Layers and codecs."""
RAN = 150
"""Images that they are stored of, in segments of 60."""


def materialize_some(stores: Stores, acknowledge: Acknowledge) -> None:
    """Store the units of two layers, by way of files, in small batches."""
    from odin_graph.catalog.activations.unit_sets import UnitGrowth
    from odin_graph.runtime.passes import materialize, spill
    from odin_graph.runtime.passes.unit_plan import Want

    spill.IN_MEMORY, spill.ROOM = 0, 400_000
    real, wrote = UnitGrowth.add, spill.Job.wrote

    def adding(self: Any, segment: Any, **how: Any) -> None:
        real(self, segment, **how)
        acknowledge(f"segment:{segment.id}")

    def written(self: Any, images: int) -> None:
        wrote(self, images)
        acknowledge(f"rows:{images}")

    UnitGrowth.add, spill.Job.wrote = adding, written  # type: ignore[method-assign]
    try:
        keys = stores.columns.images([]).column("key").to_numpy()
        wants = [Want(layer, codec=codec) for layer, codec in WANTS]  # type: ignore[arg-type]
        materialize.materialize(stores, "small/trained", wants, keys, batch=10, positions=60, progress=False)
    finally:
        UnitGrowth.add, spill.Job.wrote = real, wrote  # type: ignore[method-assign]
    acknowledge("done")


def open_often(stores: Stores, acknowledge: Acknowledge) -> None:
    """Add images one by one for ever, and open the workspace anew after some; every call may be told to repeat."""
    stores.close()
    who, number = uuid.uuid4().hex[:8], 0
    while True:
        opened = Stores.open(stores.address, create=False)
        for _ in range(random.randrange(1, 4)):
            pixels = np.full((4, 4, 1), number % 250, np.uint8)
            while True:
                try:
                    add_images(opened, ImageBatch([f"{who}/{number}"], [pixels], metadata={"n": [number]}))
                    break
                except UncertainWriteError:  # all of it or nothing: the same call finds out
                    continue
            acknowledge(f"{who}/{number}")
            number += 1
        opened.close()


JOBS = {
    "open": open_often,
    "materialize": materialize_some,
    "revise": revise_some,
    "derive": derive_some,
    "ingest": ingest,
    "predict": predict,
    "update": update,
    "purge": purge_some,
    "volume": cut_volume,
}


def do(job: str, address: Address, acknowledged: Path, environment: dict[str, str]) -> None:
    """Open the workspace, say so, do the job: in a process of its own."""
    os.environ.update(environment)
    stores = Stores.open(address, create=False)
    stores.keep()
    handle = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def acknowledge(what: str) -> None:
        os.write(handle, f"{what}\n".encode())

    acknowledge("open")
    JOBS[job](stores, acknowledge)
    stores.close()


def read_acknowledged(path: Path) -> list[str]:
    """What a job has acknowledged so far."""
    return path.read_text().split() if path.exists() else []
