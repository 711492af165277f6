"""Models: stored definitions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from os import PathLike
from typing import TYPE_CHECKING, Any

from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.models import checkpoints as catalog
from odin_graph.catalog.models.models import ModelRecord, model_of, versions_of
from odin_graph.client import Session
from odin_graph.errors import ModelError
from odin_graph.objects.base.verbs import Verbs
from odin_graph.objects.things.checkpoint import Checkpoint
from odin_graph.objects.things.layer_table import LayerTable
from odin_graph.ops import Pipeline
from odin_graph.schema.tasks import parse_task

if TYPE_CHECKING:
    import torch

    from odin_graph.ops import Pipeline

_SHOWN = 40
"""Layers of a notebook's display."""


@dataclass(frozen=True, repr=False)
class Model(Verbs):
    """A model definition, its preprocessing, and its layers, found by a dry run. Checkpoints have the weights."""

    KIND = "Model"
    _session: Session
    id: str

    @property
    def definition(self) -> dict[str, Any]:
        """How to build it: an importable factory with arguments, stored source, or an exported program."""
        definition: dict[str, Any] = json.loads(self._record().definition)
        return definition

    def layers(self) -> LayerTable:
        """The layers that run: name, type, output, units, parameters, and the bytes to store them."""
        from odin_graph.runtime.models.model import layers_of

        return LayerTable.of(layers_of(self._record()))

    @property
    def parameters(self) -> int:
        """The number of trainable parameters."""
        return self._record().parameters

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of its input: (bands, height, width), or as the layout of `input` says."""
        return self._record().input_shape

    @property
    def input(self) -> Input:
        """What one input is: one image, the images of a stack, or several images of a group."""
        return Input.from_text(self._record().input)

    @property
    def classes(self) -> tuple[str | int | bool, ...] | None:
        """The classes, in the order of its outputs."""
        return self._record().classes

    @property
    def task(self) -> str | None:
        """The meaning of its outputs: multi-class, multi-label, ordinal, regression, or a registered task."""
        return self._record().task

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss of its task, of a batch.

        Args:
            outputs: What the model gives.
            targets: What a loader gives beside the images.

        Raises:
            ModelError: It does not say its task.
        """
        if (task := self.task) is None:
            raise ModelError(
                f"The model {self.id!r} does not say what its outputs mean: add it with classes= or task=."
            )
        return parse_task(task).loss(outputs, targets)

    @property
    def preprocess(self) -> Pipeline:
        """The operations that turn pixels into its input."""
        return Pipeline.from_json(self._record().preprocess)

    @property
    def digest(self) -> str:
        """SHA-256 of everything that determines its predictions, except the weights."""
        return self._record().digest

    def versions(self) -> list[Model]:
        """All its versions, the oldest first: ``model.versions()[-1]`` is the latest."""
        return [Model(self._session, id_) for id_ in self._session.ask(versions_of, self.id)]

    def checkpoints(self) -> list[Checkpoint]:
        """Its checkpoints, oldest first."""
        return [Checkpoint(self._session, id_) for id_ in self._session.ask(catalog.of_model, self.id)]

    def build(self, *, trust_source: bool = False) -> torch.nn.Module:
        """Build a new module, with the initial weights of its factory, to start a training.

        Args:
            trust_source: Confirm that you trust the stored code (source of a notebook, an exported program). This is
                remembered for you and this workspace, also in other processes, until the code changes or you call
                `distrust`. It is not needed in the process that added the model, or for an installed class.

        Raises:
            TrustError: It would run code that you did not trust.
            ModelError: The model cannot be built here.
        """
        from odin_graph.runtime.models.model import build_model

        return build_model(self._session.files, self._record(), trust_source=trust_source)

    def distrust(self) -> bool:
        """Withdraw ``trust_source=True``. Returns whether you had trusted its code."""
        from odin_graph.runtime.models import trust, trusted
        from odin_graph.runtime.models.model import definition_of

        definition = definition_of(self._record())
        trust.doubt(definition)
        return bool(trusted.revoke(self._session.files.origin, definition.code_digest))

    def add_checkpoint(
        self,
        weights: torch.nn.Module | Mapping[str, torch.Tensor] | str | PathLike[str],
        *,
        id: str | None = None,  # noqa: A002 - the users' word for it
        trust_source: bool = False,
    ) -> Checkpoint:
        """Store weights of another program: a module, its state dict, a ``.pth`` or a ``.safetensors`` file.

        A ``.pth`` file may contain only tensors. Nothing else is ever unpickled.

        Args:
            weights: The weights, or the file.
            id: The id; by default MODEL/N.
            trust_source: See `build`. The model is built to check that the weights fit.

        Raises:
            ModelError: The weights do not fit the model, or the file contains more than weights.
            ConflictError: The id exists with other weights.

        If weights are NaN or infinite, you get a `DataWarning`, and ``checkpoint.not_finite`` keeps their names.
        """
        from odin_graph.catalog.models.weights import apply_weights, import_weights

        stores = self._stores  # a remote session refuses here, before anything is built
        loaded = import_weights(str(weights)) if isinstance(weights, str | PathLike) else weights
        state = loaded if isinstance(loaded, Mapping) else loaded.state_dict()
        apply_weights(self.build(trust_source=trust_source), state, what=str(id or self.id))
        return Checkpoint(self._session, catalog.add_checkpoint(stores, self.id, loaded, id=id))

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        record = self._record()
        parts = [
            f"{record.parameters:,} parameters",
            f"input {' x '.join(map(str, record.input_shape))}" if record.input_shape else "",
            str(kind) if (kind := Input.from_text(record.input)).several else "",
            f"{len(record.classes)} classes" if record.classes else "",
            record.task or "",
        ]
        return f"Model({self.id!r}: {', '.join(part for part in parts if part)})"

    def _repr_html_(self) -> str:
        layers = self.layers()
        rows = "".join(
            f"<tr><td>{escape(row.name)}</td><td>{escape(row.type)}</td>"
            f"<td>{'' if row.shape is None else ' x '.join(map(str, row.shape))}</td>"
            f"<td align='right'>{row.parameters:,}</td></tr>"
            for row in layers[:_SHOWN]
        )
        more = f"<p>and {len(layers) - _SHOWN} more layers</p>" if len(layers) > _SHOWN else ""
        head = "<tr><th>layer</th><th>type</th><th>output</th><th>parameters</th></tr>"
        return f"<b>{escape(repr(self))}</b><br>{escape(str(self.preprocess))}<table>{head}{rows}</table>{more}"

    def _record(self) -> ModelRecord:
        return self._session.ask(model_of, self.id)
