"""Layers: the activations of a checkpoint at one place of its model, as vectors."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.activations.activations import LayerRef
from odin_graph.client import Session
from odin_graph.errors import QueryError
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.layers.unit_questions import UnitQuestions
from odin_graph.objects.layers.units import Channels, Units
from odin_graph.query.names.prediction_sets import chosen_checkpoint
from odin_graph.query.names.spaces import layer_ref
from odin_graph.query.plan.spaces import LayerOf
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.objects.query.query import Query


class Layer(UnitQuestions):
    """A layer of an experiment's checkpoint, pooled to one vector for each image. Missing vectors are computed.

    ``type`` is the module's class, ``shape`` that of its output for one image before pooling; None for a model without
    an input shape.

    Args:
        session: The workspace.
        experiment: The id of the experiment.
        name: The name of the module, as `Model.layers` lists it. If it runs several times, with the call: ``relu#2``.
        checkpoint: The id of the checkpoint; by default the best one of the experiment, or else its last.
        pooling: How to reduce the positions to one vector: ``mean``, ``max``, ``flatten``, or a registered pooling.

    Raises:
        UnknownNameError: The layer or pooling does not exist. The message lists the existing ones.
        QueryError: The experiment has no checkpoint.
    """

    def __init__(
        self, session: Session, experiment: str, name: str, *, checkpoint: str | None = None, pooling: str = "mean"
    ) -> None:
        self._session = session
        self.experiment, self.name, self.pooling = experiment, name, pooling
        self.checkpoint, self.type, self.shape = session.ask(_found, experiment, name, checkpoint, pooling)

    @property
    def node(self) -> LayerOf:
        """Its form in a plan, with the checkpoint."""
        return LayerOf(self.experiment, self.name, self.checkpoint, self.pooling)

    def embeddings(
        self, images: Query | Iterable[Any] | NDArray[np.int64], *, progress: bool = True, **how: Any
    ) -> NDArray[np.float32]:
        """The vectors (n, d) of images, in their order. Missing ones are computed and stored first.

        If an input of the model is several images, these images make the inputs, and each has the vector of its input.
        Then nothing is stored.

        Args:
            images: A query, images, their ids, or their keys.
            progress: Show a progress bar if vectors are missing.
            how: ``device`` and ``batch``, for the computation.
        """
        keys = keys_of_images(self._session, images)
        if not how:
            return self._session.ask(_embeddings_of, self.node, keys.tolist(), progress)
        from odin_graph.runtime.passes.embed import embeddings

        return embeddings(self._stores, layer_ref(self.node), keys, progress=progress, **how)

    def activations(self, images: Query | Iterable[Any] | NDArray[np.int64]) -> NDArray[np.float32]:
        """The outputs (n, ...) for images, in their order, before pooling: read from storage, or computed by the model.

        Args:
            images: A query, images, their ids, or their keys.

        Raises:
            QueryError: The model was added without ``input_shape``, so the shape of the layer is not known.
        """
        values = self.units.values(images)
        return values.reshape(len(values), *(self.shape or (values.shape[1],)))

    @property
    def units(self) -> Units:
        """All numbers of its output for an image: ``layer.units[[3, 17, 88]].mean()``, ``layer.units[3] > 2.5``."""
        return Units(self, "units")

    @property
    def channels(self) -> Channels:
        """Its channels, each summarized over its positions: ``layer.channels.max()[5]``."""
        return Channels(self)

    def __repr__(self) -> str:
        shape = "" if self.shape is None else f", {' x '.join(map(str, self.shape))}"
        return f"Layer({self.name!r} of {self.checkpoint!r}: {self.type}{shape}, {self.pooling} pooling)"

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"


@served
def _found(
    stores: Stores, experiment: str, name: str, checkpoint: str | None, pooling: str
) -> tuple[str, str, tuple[int, ...] | None]:
    """The checkpoint, the module's class and the shape of its output; raises as `Layer` does."""
    from odin_graph.runtime.passes.embed import check_layer

    chosen = checkpoint or chosen_checkpoint(stores.graph, experiment)
    if chosen is None:
        raise QueryError(
            f"The experiment {experiment!r} has no checkpoint, so no layer can run: save one with "
            "run.add_checkpoint(module)."
        )
    row = check_layer(stores, LayerRef(chosen, name, pooling), several=True)
    return chosen, row.type, row.shape


@served
def _embeddings_of(stores: Stores, by: LayerOf, keys: list[int], progress: bool) -> NDArray[np.float32]:
    """The vectors of images; missing ones are computed first, if the client may write."""
    from odin_graph.runtime.passes.embed import embeddings

    return embeddings(stores, layer_ref(by), np.array(keys, np.int64), progress=progress)
