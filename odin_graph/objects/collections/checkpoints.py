"""The checkpoints of a workspace: ``db.checkpoints``."""

from __future__ import annotations

from typing import Any

from odin_graph.catalog.models.checkpoints import checkpoint_of
from odin_graph.catalog.models.models import model_of
from odin_graph.objects.query.collection import Collection
from odin_graph.objects.things.checkpoint import Checkpoint
from odin_graph.objects.things.model import Model


class Checkpoints(Collection[Checkpoint]):
    """The checkpoints of all models and experiments. A run saves its own, with `Run.add_checkpoint`."""

    KIND = "Checkpoint"

    def add(self, model: Model | str, weights: Any, **how: Any) -> Checkpoint:
        """Store weights of another program; see `Model.add_checkpoint`.

        Args:
            model: The model that they are of, or its id.
            weights: A module, its state dict, a ``.pth`` or a ``.safetensors`` file.
            how: ``id`` and ``trust_source``.
        """
        id_ = self._session.ask(model_of, str(getattr(model, "id", model))).id
        return Model(self._session, id_).add_checkpoint(weights, **how)

    def __getitem__(self, id: str) -> Checkpoint:  # noqa: A002 - the users' word for it
        self._session.ask(checkpoint_of, id)
        return Checkpoint(self._session, id)
