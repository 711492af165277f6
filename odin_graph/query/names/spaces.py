"""The sources of vectors: a layer of an experiment, computed where they are missing, or a user's own vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.activations import activations, vector_sets
from odin_graph.catalog.activations.activations import LayerRef
from odin_graph.catalog.activations.unit_sets import unit_sets
from odin_graph.catalog.activations.vector_indexes import Owner
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import QueryError, ShapeError
from odin_graph.query.expressions.nodes import UnitGroup
from odin_graph.query.names import prediction_sets
from odin_graph.query.plan.spaces import LayerOf, NamedVectors, Space
from odin_graph.query.units.unit_reader import UnitReader
from odin_graph.query.units.units import check_group

if TYPE_CHECKING:
    from odin_graph.arrays import SegmentInfo
    from odin_graph.stores import Stores

Keys = NDArray[np.int64]
Vectors = NDArray[np.float32]


_MOST_UNITS: Final = 2**40
"""More than any layer has."""


def space_of(by: Any) -> Space:
    """The space that a step was given: ``exp.layer("name")``, ``db.vectors["clip"]``, or their description.

    Raises:
        QueryError: It is neither.
    """
    found = getattr(by, "node", by)
    if isinstance(found, LayerOf | NamedVectors | UnitGroup):
        return found
    raise QueryError(
        f'by= takes a layer, as in exp.layer("features"), units of it, or vectors of your own, as in '
        f'db.vectors["clip"], not {by!r:.80}.'
    )


def check_space(stores: Stores, by: Space) -> Space:
    """The space after looking it up: a layer is bound to a checkpoint.

    Raises:
        UnknownNameError: The experiment, the checkpoint, the layer or the set does not exist.
        QueryError: The experiment has no checkpoint.
    """
    if isinstance(by, NamedVectors):
        vector_sets.vector_set_of(stores, by.vectors)
        return by
    if isinstance(by, UnitGroup):
        return bound_group(stores, by)
    from odin_graph.runtime.passes import embed  # torch is loaded when a layer is first used

    prediction_sets.check_experiment(stores.graph, by.experiment)
    checkpoint = by.checkpoint or prediction_sets.chosen_checkpoint(stores.graph, by.experiment)
    if checkpoint is None:
        raise QueryError(
            f"Experiment {by.experiment!r} has no checkpoint to run: save one: run.add_checkpoint(module, best=True)."
        )
    named = replace(by, checkpoint=checkpoint)
    embed.check_layer(stores, layer_ref(named))
    return named


def bound_group(stores: Stores, group: UnitGroup) -> UnitGroup:
    """Units after looking them up: bound to a checkpoint.

    Raises:
        UnknownNameError: The experiment, the checkpoint or the layer does not exist.
        QueryError: The experiment has no checkpoint, or the layer no such unit.
    """
    from odin_graph.runtime.passes import embed

    layer = check_space(stores, LayerOf(group.experiment, group.layer, group.checkpoint))
    assert isinstance(layer, LayerOf), "what was given"
    bound = replace(group, checkpoint=layer.checkpoint)
    if wrong := [number for number in group.numbers if not 0 <= number < _MOST_UNITS]:
        raise QueryError(f"There is no unit {wrong[0]}: those of {group.layer!r} are numbered from 0.")
    check_group(bound, embed.check_layer(stores, layer_ref(layer)).shape)
    return bound


def layer_ref(by: LayerOf) -> LayerRef:
    """The bound layer, as the catalog identifies it."""
    if by.checkpoint is None:
        raise QueryError(f"The layer {by.layer!r} is not bound to a checkpoint.")
    return LayerRef(by.checkpoint, by.layer, by.pooling)


def segments_with(stores: Stores, by: LayerOf | NamedVectors, keys: Keys) -> Sequence[SegmentInfo]:
    """The segments that hold the vectors of images, computed first where they can be."""
    if isinstance(by, NamedVectors):
        return segments_of(stores, vector_sets.rows_array(by.vectors))
    from odin_graph.runtime.passes.embed import ensure_embeddings

    return segments_of(stores, activations.rows_array(ensure_embeddings(stores, layer_ref(by), keys)))


def owner_of(by: LayerOf | NamedVectors) -> Owner:
    """The node of the graph that the vectors belong to."""
    if isinstance(by, NamedVectors):
        return Owner("VectorSet", by.vectors)
    return Owner("ActivationSet", layer_ref(by).set_id)


def vectors_of(stores: Stores, by: Space, keys: Keys) -> Vectors:
    """The vectors (n, d) of images, in the order of their keys.

    Raises:
        QueryError: Images have none in a set of a user's.
    """
    if isinstance(by, NamedVectors):
        rows = vector_sets.rows_of(stores, by.vectors)
        missing = rows.missing(keys)
        if len(missing):
            raise QueryError(
                f"{len(missing):,} of {len(keys):,} images have no vector in {by.vectors!r}, the first of key "
                f"{missing[0]}: db.vectors.add({by.vectors!r}, images, vectors) adds them."
            )
        found: Vectors = rows.read(keys)
        return found
    if isinstance(by, UnitGroup):
        return UnitReader(stores, by, np.unique(keys)).values(keys)
    from odin_graph.runtime.passes.embed import embeddings

    return embeddings(stores, layer_ref(by), keys)


def vector_of_pixels(stores: Stores, by: Space, pixels: NDArray[Any]) -> Vectors:
    """The vector (d,) of an image (h, w, bands) that is not stored: the model is run on it.

    Raises:
        QueryError: The vectors are a user's, which no model of ours gives.
        ShapeError: The model refuses the image.
    """
    if isinstance(by, NamedVectors):
        raise QueryError(
            f"{by.vectors!r} has your own vectors, so no model here computes the vector of an image: give its vector."
        )
    if isinstance(by, UnitGroup):
        return _group_of_pixels(stores, by, pixels)
    from odin_graph.runtime.passes.embed import vector_of

    return vector_of(stores, layer_ref(by), pixels)


def _group_of_pixels(stores: Stores, group: UnitGroup, pixels: NDArray[Any]) -> Vectors:
    """The activations (G,) of a group for an image, if the layer has as many units for it as for stored images."""
    from odin_graph.runtime.layers.unit_pooling import shape_by, units_of_shape
    from odin_graph.runtime.passes.embed import check_layer
    from odin_graph.runtime.passes.unit_pass import Part, units_of_pixels

    assert group.checkpoint is not None, "bound before"
    values = units_of_pixels(stores, group.checkpoint, Part(group.layer, group.view), pixels)
    shape = check_layer(stores, LayerRef(group.checkpoint, group.layer)).shape
    sets = unit_sets(stores, group.checkpoint, group.layer, group.view)
    known = sets[0].units if sets else None if shape is None else units_of_shape(shape_by(group.view, shape))
    if len(values) != known and (known is not None or max(group.numbers) >= len(values)):
        expected = f"{known:,}" if known is not None else f"more than {max(group.numbers):,}"
        raise ShapeError(
            f"The layer {group.layer!r} gives {len(values):,} numbers for an image of shape {pixels.shape}, but "
            f"{expected} for the images to compare it with: resize it, or use a model whose preprocess= resizes."
        )
    return values[np.array(group.numbers, np.int64)]
