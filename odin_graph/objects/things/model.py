"""Models: what users hold of a stored definition."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from os import PathLike
from typing import TYPE_CHECKING, Any

from odin_graph.catalog.models import checkpoints as catalog
from odin_graph.catalog.models.models import ModelRecord, model_of, versions_of
from odin_graph.objects.base.verbs import Verbs
from odin_graph.objects.things.checkpoint import Checkpoint
from odin_graph.ops import Pipeline
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import torch

    from odin_graph.ops import Pipeline
    from odin_graph.runtime.layers.layers import LayerRow

_SHOWN = 40
"""Layers of a notebook's display."""


@dataclass(frozen=True, repr=False)
class Model(Verbs):
    """A model's definition, its preprocessing, and what a dry run found of its layers. Its weights are checkpoints."""

    KIND = "Model"
    _stores: Stores
    id: str

    @property
    def definition(self) -> dict[str, Any]:
        """What is built: an importable factory with arguments, captured source, or an exported program."""
        held: dict[str, Any] = json.loads(self._record().definition)
        return held

    @property
    def layers(self) -> tuple[LayerRow, ...]:
        """Every module: name, type, parameters, and the shape of its output for one image."""
        from odin_graph.runtime.models.model import layers_of

        return layers_of(self._record())

    @property
    def parameters(self) -> int:
        """How many numbers it learns."""
        return self._record().parameters

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """(bands, height, width) of what it takes."""
        return self._record().input_shape

    @property
    def classes(self) -> tuple[str | int | bool, ...] | None:
        """The classes, in the order of its outputs."""
        return self._record().classes

    @property
    def task(self) -> str | None:
        """What its outputs mean: multi-class, multi-label, regression, or a registered task."""
        return self._record().task

    @property
    def preprocess(self) -> Pipeline:
        """What turns pixels into its input."""
        return Pipeline.from_json(self._record().preprocess)

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides what it says of an image, but the weights."""
        return self._record().digest

    def versions(self) -> list[Model]:
        """It and its revisions, the oldest first: ``model.versions()[-1]`` is the latest."""
        return [Model(self._stores, id_) for id_ in versions_of(self._stores, self.id)]

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Its weights, oldest first."""
        return [Checkpoint(self._stores, id_) for id_ in catalog.of_model(self._stores, self.id)]

    def build(self, *, trust_source: bool = False) -> torch.nn.Module:
        """A new module, with the weights that its factory gives it: what a training starts with.

        Args:
            trust_source: Vouch for the code that it was stored with (source of a notebook, an exported program). It is
                kept for you and this workspace, for other processes too, until the code changes or `distrust` takes
                it back. Not needed where it was added, or where it is an installed class.

        Raises:
            TrustError: It would run code that nobody vouched for.
            ModelError: It cannot be built here.
        """
        from odin_graph.runtime.models.model import build_model

        return build_model(self._stores, self._record(), trust_source=trust_source)

    def distrust(self) -> bool:
        """Take back that you vouched for its code (``trust_source=True``): whether you had."""
        from odin_graph.runtime.models import trust, trusted
        from odin_graph.runtime.models.model import definition_of

        definition = definition_of(self._record())
        trust.doubt(definition)
        return bool(trusted.revoke(self._stores, definition.digest))

    def add_checkpoint(
        self,
        weights: torch.nn.Module | Mapping[str, torch.Tensor] | str | PathLike[str],
        *,
        id: str | None = None,  # noqa: A002 - the users' word for it
        trust_source: bool = False,
    ) -> Checkpoint:
        """Store weights from elsewhere: a module, its state dict, a ``.pth`` or a ``.safetensors`` file.

        A ``.pth`` file may hold nothing but tensors: nothing else is ever unpickled.

        Args:
            weights: The weights, or the file.
            id: Its id; by default MODEL/N.
            trust_source: As in `build`, which is how the weights are checked to fit.

        Raises:
            ModelError: They do not fit the model, or are not only weights.
            ConflictError: The id exists with other weights.

        A `DataWarning` says which of them are NaN or infinite, and ``checkpoint.not_finite`` keeps it.
        """
        from odin_graph.catalog.models.weights import apply_weights, import_weights

        held = import_weights(str(weights)) if isinstance(weights, str | PathLike) else weights
        state = held if isinstance(held, Mapping) else held.state_dict()
        apply_weights(self.build(trust_source=trust_source), state, what=str(id or self.id))
        return Checkpoint(self._stores, catalog.add_checkpoint(self._stores, self.id, held, id=id))

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        record = self._record()
        parts = [
            f"{record.parameters:,} parameters",
            f"input {' x '.join(map(str, record.input_shape))}" if record.input_shape else "",
            f"{len(record.classes)} classes" if record.classes else "",
            record.task or "",
        ]
        return f"Model({self.id!r}: {', '.join(part for part in parts if part)})"

    def _repr_html_(self) -> str:
        layers = [row for row in self.layers if row.name]
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
        return model_of(self._stores, self.id)
