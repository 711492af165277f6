"""The vectors of a layer: checked when a step is built, computed where they are missing, searched exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.activations import LayerRef
from odin_graph.errors import QueryError
from odin_graph.query import prediction_sets
from odin_graph.query.plan import LayerOf, Nearest

if TYPE_CHECKING:
    from odin_graph.stores import Stores

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]

METRICS = ("cosine", "l2", "inner-product")


def layer_of(by: Any) -> LayerOf:
    """The layer that a step is given: ``exp.layer("name")``, or its description.

    Raises:
        QueryError: It is no layer.
    """
    if isinstance(by, LayerOf):
        return by
    try:
        return LayerOf(str(by.experiment), str(by.name), by.checkpoint, str(by.pooling))
    except AttributeError as error:
        raise QueryError(f'by= takes a layer, as in exp.layer("features"), not {by!r:.80}.') from error


def check_layer(stores: Stores, by: LayerOf) -> LayerOf:
    """The layer of a named checkpoint, after looking it up: a plan says which weights it means.

    Raises:
        UnknownNameError: The experiment, the checkpoint or the layer does not exist.
        QueryError: The experiment has no checkpoint.
    """
    from odin_graph.runtime import embed  # torch is loaded where a layer is first spoken of

    prediction_sets.check_experiment(stores.graph, by.experiment)
    checkpoint = by.checkpoint or prediction_sets.chosen_checkpoint(stores.graph, by.experiment)
    if checkpoint is None:
        raise QueryError(
            f"Experiment {by.experiment!r} has no checkpoint to run: save one with run.checkpoint(module, best=True)."
        )
    named = replace(by, checkpoint=checkpoint)
    embed.check_layer(stores, _ref(named))
    return named


def vectors_of(stores: Stores, by: LayerOf, keys: Keys) -> Vectors:
    """The vectors (n, d) of images, in the order of their keys; missing ones are computed first."""
    from odin_graph.runtime.embed import embeddings

    return embeddings(stores, _ref(by), keys)


def search(stores: Stores, step: Nearest, among: Keys) -> tuple[Keys, NDArray[np.float64]]:
    """The keys and distances of the nearest images among these, nearest first, ties by key."""
    from odin_graph.runtime.index import nearest_in_layer

    if not len(among):
        return np.array([], np.int64), np.array([])
    if step.image is not None:
        vector = vectors_of(stores, step.by, np.array([step.image], np.int64))
    else:
        vector = np.array([step.vector], np.float32)
        length = vectors_of(stores, step.by, among[:1]).shape[1]
        if vector.shape[1] != length:
            raise QueryError(f"The vector has {vector.shape[1]} numbers, those of {step.by.layer!r} have {length}.")
    k = min(step.k, len(among))
    keys, distance = nearest_in_layer(stores, _ref(step.by), vector, k, among=among, metric=step.metric)
    return keys[0], distance[0].astype(np.float64)


def _ref(by: LayerOf) -> LayerRef:
    if by.checkpoint is None:
        raise QueryError(f"The layer {by.layer!r} is not bound to a checkpoint.")
    return LayerRef(by.checkpoint, by.layer, by.pooling)
