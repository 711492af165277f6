"""A small random world in a real workspace, and the same world as plain rows for the oracle."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from odin_graph.catalog.datasets.datasets import create_dataset
from odin_graph.catalog.experiments import experiments
from odin_graph.catalog.experiments.experiments import Setup
from odin_graph.catalog.experiments.imports import import_predictions
from odin_graph.catalog.images.images import ImageBatch, add_images
from odin_graph.query.expressions.nodes import Field, FrozenLabel, ImageField, PredictionField
from odin_graph.stores import Stores
from odin_graph.testing.strategies import ODD

from .strategies import WORDS, seen

CLASSES = ["DME", "drusen", "normal"]
METADATA: Mapping[str, str] = {
    "age": "int",
    "visits": "int",
    "iop": "float",
    "site name": "string",
    "eye": "string",
    "left": "bool",
    "born": "date",
    "seen": "datetime",
    "tags": "list[string]",
    "marks": "list[float]",
}
EXPERIMENTS = ("vgg/1", "cnn/1")


@dataclass(frozen=True)
class World:
    """What was stored, as the oracle sees it."""

    dataset: str
    keys: list[int]
    """In the order of the set."""
    rows: dict[int, dict[Field, Any]]
    """By key: every field of every image."""
    types: dict[Field, str]
    probabilities: dict[str, dict[int, list[float]]]
    """By experiment and key."""


def build(stores: Stores, random: Random, images: int = 40) -> World:
    """Fill an empty workspace."""
    batch = _batch(random, images)
    keys = [int(key) for key in add_images(stores, batch).keys]
    rows: dict[int, dict[Field, Any]] = {key: {} for key in keys}
    for position, key in enumerate(keys):
        rows[key][ImageField("id")] = batch.ids[position]
        for name, column in batch.metadata.items():
            rows[key][ImageField(name)] = seen(column[position])
    strange = keys[random.randrange(images)]  # another client stores what we never do
    stores.graph.write("MATCH (i:Image {key: $key}) SET i.iop = $nan", {"key": strange, "nan": math.nan})
    rows[strange][ImageField("iop")] = None
    members = random.sample(keys, len(keys) - 5)
    labels = dict(zip(keys, batch.labels or (), strict=True))
    dataset = create_dataset(stores, "test", np.array(members))
    types: dict[Field, str] = {ImageField(name): type_ for name, type_ in {**METADATA, "id": "string"}.items()}
    for key in members:
        rows[key][FrozenLabel(dataset)] = labels[key]
    probabilities = {}
    for experiment in EXPERIMENTS:
        probabilities[experiment] = _predict(stores, random, experiment, dataset, members, labels, rows)
        types |= {PredictionField(experiment, dataset, "predicted"): "string"}
        types |= {PredictionField(experiment, dataset, "wrong"): "bool"}
        types |= {PredictionField(experiment, dataset, "confidence"): "float"}
    return World(dataset, members, {key: rows[key] for key in members}, types, probabilities)


def _batch(random: Random, images: int) -> ImageBatch:
    def some(values: list[Any]) -> list[Any]:
        return [None if random.random() < 0.2 else random.choice(values) for _ in range(images)]

    def lists(values: list[Any]) -> list[Any]:
        return [[one for one in some(values)[:3] if one is not None and one == one] for _ in range(images)]

    from datetime import date, datetime

    return ImageBatch(
        ids=[f"{random.choice(WORDS)}/{number}" for number in range(images)],
        pixels=np.array([[[number]] for number in range(images)], np.uint8),
        labels=random.choices(CLASSES, k=images),
        metadata={
            "age": some([*range(-5, 6), *ODD["int"]]),
            "visits": some([0, 1, 2, 3]),
            "iop": some([-2.5, -1.0, 0.1, 0.5, 1.0, 3.0, 1e12, *ODD["float"]]),
            "site name": some(WORDS),
            "eye": some(WORDS),
            "left": some([True, False]),
            "born": some([*(date(2020, 1, day) for day in range(1, 7)), *ODD["date"]]),
            "seen": some(
                [*(datetime.fromisoformat(f"2020-01-01T0{hour}:00:00.123") for hour in range(4)), *ODD["datetime"]]
            ),
            "tags": lists(WORDS),
            "marks": lists([0.5, 1.0, *ODD["float"]]),
        },
    )


def _predict(
    stores: Stores,
    random: Random,
    experiment: str,
    dataset: str,
    members: list[int],
    labels: Mapping[int, str],
    rows: dict[int, dict[Field, Any]],
) -> dict[int, list[float]]:
    """Predictions of nine in ten images."""
    lease = experiments.start(stores, Setup(), experiment)
    said = [key for key in members if random.random() < 0.9]
    drawn = np.random.default_rng(random.randrange(2**32)).dirichlet([0.5] * len(CLASSES), len(said)).astype(np.float32)
    predicted = [CLASSES[position] for position in drawn.argmax(axis=1)]
    confidence = drawn.max(axis=1).astype(np.float64)
    import_predictions(
        stores,
        experiment,
        dataset,
        np.array(said),
        predicted,
        confidence=confidence,
        probabilities=drawn,
        classes=CLASSES,
    )
    experiments.end(stores, lease, "finished")
    for key in members:
        rows[key] |= {PredictionField(experiment, dataset, name): None for name in ("predicted", "wrong", "confidence")}
    for key, what, how_sure in zip(said, predicted, confidence, strict=True):
        rows[key][PredictionField(experiment, dataset, "predicted")] = what
        rows[key][PredictionField(experiment, dataset, "wrong")] = what != labels[key]
        rows[key][PredictionField(experiment, dataset, "confidence")] = float(how_sure)
    return {key: row.tolist() for key, row in zip(said, drawn, strict=True)}
