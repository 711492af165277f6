"""Checkpoints: stored weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from odin_graph.catalog.models.checkpoints import CheckpointRecord, checkpoint_of, load_weights
from odin_graph.catalog.models.models import model_of
from odin_graph.client import Session
from odin_graph.errors import ModelError
from odin_graph.objects.base.verbs import Deletable
from odin_graph.objects.things.layer_table import LayerTable

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, repr=False)
class Checkpoint(Deletable):
    """The weights of a model at one moment of its training, or from another program."""

    KIND = "Checkpoint"
    _session: Session
    id: str

    @property
    def model(self) -> str | None:
        """The id of its model."""
        return self._record().model

    @property
    def experiment(self) -> str | None:
        """The id of the experiment that made it; None for imported weights."""
        return self._record().experiment

    @property
    def epoch(self) -> int | None:
        """The epoch that was given."""
        return self._record().epoch

    @property
    def step(self) -> int | None:
        """The step that was given."""
        return self._record().step

    @property
    def best(self) -> bool:
        """Whether it was saved with ``best=True``."""
        return self._record().best

    @property
    def not_finite(self) -> tuple[str, ...]:
        """The names of the weights that contain NaN or infinity."""
        return self._record().not_finite

    @property
    def digest(self) -> str:
        """SHA-256 of the file of weights."""
        return self._record().weights

    def layers(self) -> LayerTable:
        """The layers of its model: name, type, output, units, parameters, and the bytes to store them.

        Raises:
            ModelError: The checkpoint belongs to no model.
        """
        from odin_graph.runtime.models.model import layers_of

        record = self._record()
        if record.model is None:
            raise ModelError(
                f"The checkpoint {record.id!r} belongs to no model, so its layers are not known: start the run with a "
                "model, db.run(model, ...)."
            )
        return LayerTable.of(layers_of(self._session.ask(model_of, record.model)))

    def weights(self) -> dict[str, torch.Tensor]:
        """The weights by name, on the CPU.

        Raises:
            StoreError: The file is missing or damaged.
        """
        return load_weights(self._session.files, self._record())

    def load(self, *, strict: bool = True, trust_source: bool = False) -> torch.nn.Module:
        """The model with these weights, in evaluation mode on the CPU.

        Args:
            strict: False to leave out weights whose names the model does not have.
            trust_source: Confirm that you trust the stored code of the model, see `Model.build`.

        Raises:
            TrustError: It would run code that you did not trust.
            ModelError: The weights do not fit. The message lists missing and extra names.
        """
        from odin_graph.runtime.models.model import load_checkpoint

        record = self._record()
        model = self._session.ask(model_of, record.model_to_run)
        return load_checkpoint(self._session.files, record, model, strict=strict, trust_source=trust_source)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        record = self._record()
        parts = [
            f"of {record.model}" if record.model else "of no model",
            f"epoch {record.epoch}" if record.epoch is not None else "",
            f"step {record.step}" if record.step is not None else "",
            "best" if record.best else "",
            "not finite" if record.not_finite else "",
        ]
        return f"Checkpoint({self.id!r}: {', '.join(part for part in parts if part)})"

    def _record(self) -> CheckpointRecord:
        return self._session.ask(checkpoint_of, self.id)
