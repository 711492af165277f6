"""A stored model, ready to run: the module with a checkpoint's weights, its preprocessing and its device."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn

from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.models.checkpoints import CheckpointRecord, checkpoint_of, load_weights
from odin_graph.catalog.models.models import ModelRecord, model_of
from odin_graph.catalog.models.weights import apply_weights
from odin_graph.catalog.records import files
from odin_graph.errors import ModelError, OdinError, QueryError, ShapeError
from odin_graph.ops import Pipeline
from odin_graph.runtime.layers.hooks import AllCaptured
from odin_graph.runtime.layers.layers import LayerRow
from odin_graph.runtime.models import trust, trusted
from odin_graph.runtime.models.build import build
from odin_graph.runtime.models.definition import Definition
from odin_graph.runtime.models.device import batch_size, choose_device
from odin_graph.stores import Stores


def definition_of(record: ModelRecord) -> Definition:
    """The definition that a model's node holds."""
    return Definition.from_json(json.loads(record.definition))


def layers_of(record: ModelRecord) -> tuple[LayerRow, ...]:
    """The table of layers that a model's node holds."""
    return tuple(map(LayerRow.from_json, json.loads(record.tree)))


def build_model(source: files.FileReader, record: ModelRecord, *, trust_source: bool = False) -> nn.Module:
    """A new module of a stored model, with the weights that its factory gives it.

    Args:
        source: Where its file is, if it has one.
        record: The model.
        trust_source: Vouch for its code, from now on, in every process of this user that opens the workspace.

    Raises:
        TrustError: It would run code that nobody vouched for.
        ModelError: It cannot be built here.
    """
    definition = definition_of(record)
    if trust_source:
        trust.vouch(definition)
        trusted.keep(source.origin, definition.code_digest)
    elif definition.code_digest in trusted.trusted(source.origin):
        trust.vouch(definition)
    return build(
        record.id, definition, lambda: source.read(files.DEFINED[definition.kind], definition.target, record.id)
    )


def load_checkpoint(
    source: files.FileReader,
    record: CheckpointRecord,
    model: ModelRecord,
    *,
    strict: bool = True,
    trust_source: bool = False,
) -> nn.Module:
    """The module of a checkpoint, with its weights, in evaluation mode on the CPU.

    Raises:
        ModelError: The weights do not fit the model.
        TrustError: It would run code that nobody vouched for.
    """
    module = build_model(source, model, trust_source=trust_source)
    apply_weights(module, load_weights(source, record), what=f"the checkpoint {record.id!r}", strict=strict)
    return module.eval()


@dataclass(frozen=True, eq=False)
class Runnable:
    """A checkpoint on its device."""

    checkpoint: CheckpointRecord
    model: ModelRecord
    module: nn.Module
    pipeline: Pipeline
    device: torch.device
    batch: int
    """Images at once."""
    autocast: torch.dtype | None = None
    """The half precision in which torch computes where it thinks that this is good enough; None for none."""

    @classmethod
    def load(
        cls,
        stores: Stores,
        checkpoint: str,
        *,
        device: str | torch.device | None = None,
        batch: int | None = None,
        autocast: torch.dtype | None = None,
    ) -> Self:
        """Load a checkpoint to run it.

        Raises:
            UnknownNameError: There is no such checkpoint.
            QueryError: No such device, batch or precision.
            ModelError: It cannot be built or run.
        """
        if batch is not None and (isinstance(batch, bool) or not isinstance(batch, int) or batch < 1):
            raise QueryError(f"batch= is how many images run at once, at least 1, not {batch!r:.80}.")
        if autocast not in (None, torch.float16, torch.bfloat16):
            raise QueryError(f"autocast= is torch.bfloat16 or torch.float16, not {autocast!r:.80}.")
        record = checkpoint_of(stores, checkpoint)
        model = model_of(stores, record.model_to_run)
        torch.set_num_threads(min(torch.get_num_threads(), stores.budget.threads))
        where = choose_device(device)
        module = load_checkpoint(files.StoredFiles(stores), record, model).to(where)
        size = batch or batch_size(layers_of(model), where)
        return cls(record, model, module, Pipeline.from_json(model.preprocess), where, size, autocast)

    @property
    def input(self) -> Input:
        """What one input is."""
        return Input.from_text(self.model.input)

    def run(self, inputs: Tensor, take: Callable[[object], Tensor]) -> Tensor:
        """One forward pass without gradients, in halves where the device has too little memory.

        Args:
            inputs: (n, bands, h, w), or as the layout of the model's input says.
            take: What is wanted of the model's output, (n, ...).

        Raises:
            ShapeError: The model refuses the shape.
        """
        try:
            with torch.inference_mode():
                taken = take(self._forward(inputs.to(self.device))).to("cpu")
        except torch.cuda.OutOfMemoryError as error:
            if len(inputs) == 1:
                raise ModelError(f"{self.device} has too little memory for one image: give device='cpu'.") from error
        except (RuntimeError, ValueError, AssertionError) as error:  # torchvision asserts the size
            if isinstance(error, OdinError):
                raise
            raise self._refused(inputs, error) from error
        else:
            self._check_rows(inputs, taken)
            return taken
        half = len(inputs) // 2
        return torch.cat([self.run(inputs[:half], take), self.run(inputs[half:], take)])

    def _forward(self, inputs: Tensor) -> object:
        try:
            with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
                return self.module(inputs)
        except AllCaptured:  # every wanted layer has run
            return None

    def _refused(self, inputs: Tensor, error: Exception) -> ShapeError:
        added = f", and was added with input_shape={self.model.input_shape}" if self.model.input_shape else ""
        return ShapeError(
            f"The model {self.model.id!r} refuses {'inputs' if self.input.several else 'images'} of shape "
            f"{tuple(inputs.shape[1:])} {self.input.axes} after its preprocessing{added}: {error}. Add the model with "
            "a preprocess= that gives what it takes."
        )

    def _check_rows(self, inputs: Tensor, taken: Tensor) -> None:
        if taken.ndim == 0 or len(taken) != len(inputs):
            raise ShapeError(
                f"{len(inputs)} images gave an output of shape {tuple(taken.shape)} from the model {self.model.id!r}: "
                "its first axis must be the images."
            )
