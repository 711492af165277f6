"""Normalize each band."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from odin_graph.errors import DataError, ShapeError
from odin_graph.ops.op import OPS, Pixels


@OPS.register("normalize")
@dataclass(frozen=True, kw_only=True)
class Normalize:
    """Subtract ``mean`` and divide by ``std``, each one number for all bands or one a band. Floats only."""

    batched: ClassVar[bool] = True
    keeps_positions: ClassVar[bool] = True

    mean: float | Sequence[float]
    std: float | Sequence[float]

    def __post_init__(self) -> None:
        """Check the parameters; they are kept as tuples of floats."""
        for name in ("mean", "std"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        if 0.0 in _tuple(self.std):
            raise DataError("normalize cannot divide by a std of 0: leave out a band that never varies.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """(..., h, w, bands) of a float dtype in, the same dtype out.

        Raises:
            DataError: Integers, which are not on the scale of the means.
            ShapeError: Another number of bands than of means.
        """
        if pixels.dtype.kind != "f":
            raise DataError(f"normalize takes floats, not {pixels.dtype}: put to-float before it.")
        for name in ("mean", "std"):
            given = len(_tuple(getattr(self, name)))
            if given not in (1, pixels.shape[-1]):
                raise ShapeError(
                    f"normalize has {given} values of {name} for an image of {pixels.shape[-1]} bands: give one a band."
                )
        mean, std = (np.asarray(_tuple(value), pixels.dtype) for value in (self.mean, self.std))
        normalized: Pixels = (pixels - mean) / std
        return normalized


def _tuple(value: float | Sequence[float]) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, Sequence) else (value,)


def _numbers(name: str, given: object) -> tuple[float, ...]:
    values: Sequence[Any] = given if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if not values or not all(_is_number(value) for value in values):
        raise DataError(f"normalize takes a {name} of finite numbers, one or one a band, not {given!r}.")
    return tuple(float(value) for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)
