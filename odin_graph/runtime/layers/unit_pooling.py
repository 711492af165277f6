"""How the output of a layer becomes units: every number of it, or a summary of each channel over its positions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from torch import Tensor

from odin_graph.catalog.activations.unit_sets import POOLINGS
from odin_graph.errors import UnknownNameError


def units_by(pooling: str) -> Callable[[Tensor], Tensor]:
    """The function that takes outputs (n, ...) to units (n, d) of float32, on their device.

    Maps are (n, c, h, w), tokens (n, t, c); a vector (n, c) is its channels itself.

    Raises:
        UnknownNameError: There is no such pooling; lists those there are.
    """
    if pooling not in POOLINGS:
        raise UnknownNameError.of("pooling of units", pooling, POOLINGS)
    return {"units": _every, "channels-max": _largest, "channels-mean": _mean, "channels-argmax": _argmax}[pooling]


def shape_by(pooling: str, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of the units of one image, of an output of this shape."""
    if pooling == "units":
        return tuple(shape)
    if len(shape) == 2:
        return (shape[1],)
    return tuple(shape[:1]) or (1,)


def units_of_shape(shape: Sequence[int]) -> int:
    """How many units there are."""
    return prod(shape)


def _every(outputs: Tensor) -> Tensor:
    return outputs.float().reshape(len(outputs), -1)


def _largest(outputs: Tensor) -> Tensor:
    return _positions(outputs).amax(dim=2)


def _mean(outputs: Tensor) -> Tensor:
    return _positions(outputs).mean(dim=2)


def _argmax(outputs: Tensor) -> Tensor:
    """The first position of the largest value, counted in C order."""
    return _positions(outputs).argmax(dim=2).float()


def _positions(outputs: Tensor) -> Tensor:
    """(n, channels, positions)."""
    values = outputs.float()
    if values.ndim == 3:
        return values.transpose(1, 2)
    return values.reshape(len(values), -1, 1) if values.ndim <= 2 else values.flatten(2)
