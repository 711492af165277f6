"""The table of a model's layers: what runs, with which shapes and how many parameters. One dry run makes it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from math import prod
from typing import Any, Self

import torch
from torch import nn

from odin_graph.errors import ShapeError
from odin_graph.runtime.hooks import evaluating
from odin_graph.runtime.outputs import tensor_of


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One module of the tree."""

    name: str
    """As `named_modules` has it; empty for the model itself."""
    type: str
    parameters: int
    """Numbers that it learns, those of its children included."""
    shape: tuple[int, ...] | None = None
    """Of its output, without the batch; None where it did not run, or without an input shape."""
    calls: int = 0
    """How often it runs in one pass; 0 without an input shape."""

    @property
    def units(self) -> int | None:
        """How many numbers it says of one image."""
        return None if self.shape is None else prod(self.shape)

    def to_json(self) -> dict[str, Any]:
        """As the model's node keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        shape = form["shape"]
        return cls(**{**form, "shape": None if shape is None else tuple(shape)})


def layer_table(model: nn.Module, input_shape: Sequence[int] | None) -> tuple[LayerRow, ...]:
    """Every module in the order of definition; shapes by running one input of zeros through it.

    Args:
        model: The model, on any device, ``meta`` included.
        input_shape: (bands, height, width) of one input; None for a table without shapes.

    Raises:
        ShapeError: The model does not take this input; names the layer that failed.
    """
    shapes: dict[nn.Module, tuple[int, ...] | None] = {}
    calls: dict[nn.Module, int] = {}
    if input_shape is not None:
        _dry_run(model, tuple(input_shape), shapes, calls)
    return tuple(
        LayerRow(
            name=name,
            type=type(module).__name__,
            parameters=count_parameters(module),
            shape=shapes.get(module),
            calls=calls.get(module, 0),
        )
        for name, module in model.named_modules(remove_duplicate=False)
    )


def count_parameters(module: nn.Module) -> int:
    """How many numbers a module learns; a shared one counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _dry_run(
    model: nn.Module,
    input_shape: tuple[int, ...],
    shapes: dict[nn.Module, tuple[int, ...] | None],
    calls: dict[nn.Module, int],
) -> None:
    running: list[str] = []

    def enter(name: str, _module: nn.Module, _args: object) -> None:
        running.append(name)

    def leave(_module: nn.Module, _args: object, output: object) -> None:
        running.pop()
        tensor = tensor_of(output)
        calls[_module] = calls.get(_module, 0) + 1
        shapes[_module] = None if tensor is None else tuple(tensor.shape[1:])

    like = next(iter((*model.parameters(), *model.buffers())), torch.empty(0))
    with ExitStack() as undo, torch.no_grad():
        undo.enter_context(evaluating(model))
        for name, module in model.named_modules():
            undo.enter_context(module.register_forward_pre_hook(partial(enter, name)))
            undo.enter_context(module.register_forward_hook(leave))
        dtype = like.dtype if like.dtype.is_floating_point else torch.float32
        try:
            model(torch.zeros((1, *input_shape), dtype=dtype, device=like.device))
        except Exception as error:
            where = f"its layer {running[-1]!r}" if running and running[-1] else "its forward"
            raise ShapeError(
                f"The model does not take an input of shape {input_shape} (bands, height, width): {where} fails with "
                f"{type(error).__name__}: {error}. Give the input_shape= that the preprocessing produces."
            ) from error
