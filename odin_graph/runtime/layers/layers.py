"""The table of a model's layers: what runs, with which shapes and how many parameters. One dry run makes it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import prod
from typing import Any, Self, TypeAlias

import torch
from torch import nn

from odin_graph.errors import ModelError, ShapeError
from odin_graph.runtime.layers.hooks import evaluating
from odin_graph.runtime.layers.outputs import tensor_of

Shapes: TypeAlias = dict[nn.Module, list[tuple[int, ...] | None]]
"""The output shape of each call, by module that runs."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One module of the tree."""

    name: str
    """As `named_modules` has it; empty for the model itself."""
    type: str
    parameters: int
    """Numbers that it learns, those of its children included."""
    shape: tuple[int, ...] | None = None
    """Of its output, without the batch, the last where it runs several times; None without an input shape."""
    calls: int = 0
    """How often it runs in one pass; 0 without an input shape."""
    each: tuple[tuple[int, ...] | None, ...] = ()
    """The shape of each call, where there are several."""

    @property
    def units(self) -> int | None:
        """How many numbers it gives for one image."""
        return None if self.shape is None else prod(self.shape)

    def of_call(self, call: int) -> Self:
        """The row of one of its calls, counted from 1."""
        return replace(self, shape=self.each[call - 1]) if self.each else self

    def to_json(self) -> dict[str, Any]:
        """As the model's node keeps it."""
        form = asdict(self)
        if not self.each:
            del form["each"]
        return form

    @classmethod
    def from_json(cls, form: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        each = tuple(map(_tuple, form.get("each", ())))
        return cls(**{**form, "shape": _tuple(form["shape"]), "each": each})


def _tuple(shape: Sequence[int] | None) -> tuple[int, ...] | None:
    return None if shape is None else tuple(shape)


def layer_table(model: nn.Module, input_shape: Sequence[int] | None) -> tuple[LayerRow, ...]:
    """Every module in the order of definition; shapes by running one input of zeros through it.

    Args:
        model: The model, on any device, ``meta`` included.
        input_shape: Of one input, (bands, height, width) if it is one image; None for a table without shapes.

    Raises:
        ShapeError: The model does not take this input; names the layer that failed.
    """
    shapes: Shapes = {}
    if input_shape is not None:
        _dry_run(model, tuple(input_shape), shapes)
    return tuple(
        _row(name, module, tuple(shapes.get(module, ())))
        for name, module in model.named_modules(remove_duplicate=False)
    )


def _row(name: str, module: nn.Module, each: tuple[tuple[int, ...] | None, ...]) -> LayerRow:
    return LayerRow(
        name=name,
        type=type(module).__name__,
        parameters=count_parameters(module),
        shape=each[-1] if each else None,
        calls=len(each),
        each=each if len(each) > 1 else (),
    )


def count_parameters(module: nn.Module) -> int:
    """How many numbers a module learns; a shared one counts once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _dry_run(model: nn.Module, input_shape: tuple[int, ...], shapes: Shapes) -> None:
    running: list[str] = []

    def enter(name: str, _module: nn.Module, _args: object) -> None:
        running.append(name)

    def leave(_module: nn.Module, _args: object, output: object) -> None:
        running.pop()
        tensor = tensor_of(output)
        shapes.setdefault(_module, []).append(None if tensor is None else tuple(tensor.shape[1:]))

    like = next(iter((*model.parameters(), *model.buffers())), torch.empty(0))
    with ExitStack() as undo, torch.no_grad():
        undo.enter_context(evaluating(model))
        for name, module in model.named_modules():
            undo.enter_context(module.register_forward_pre_hook(partial(enter, name)))
            undo.enter_context(module.register_forward_hook(leave))
        dtype = like.dtype if like.dtype.is_floating_point else torch.float32
        try:
            model(torch.zeros((1, *input_shape), dtype=dtype, device=like.device))
        except ModelError:  # of a model that is no torch module: it says what failed
            raise
        except Exception as error:
            axes = " (bands, height, width)" if len(input_shape) == 3 else ""
            where = f"its layer {running[-1]!r}" if running and running[-1] else "its forward"
            raise ShapeError(
                f"The model does not take an input of shape {input_shape}{axes}: {where} fails with "
                f"{type(error).__name__}: {error}. Give the input_shape= that the preprocessing produces."
            ) from error
