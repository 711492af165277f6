"""Boxes of images: (left, top, right, bottom) in whole pixels from the top left corner, the last row and column out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import DataError, ShapeError

Box: TypeAlias = tuple[int, int, int, int]


def read_box(given: Sequence[Any] | NDArray[Any], shape: Sequence[int]) -> Box:
    """A box as its users write it, checked against an image (h, w, bands).

    Raises:
        DataError: It is no box of four whole numbers.
        ShapeError: It is empty, or reaches outside of the image.
    """
    numbers = list(given) if isinstance(given, Sequence | np.ndarray) else []
    if len(numbers) != 4 or not all(_whole(number) for number in numbers):
        raise DataError(f"{given!r:.80} is not a box: give (left, top, right, bottom) in whole pixels.")
    left, top, right, bottom = (int(number) for number in numbers)
    height, width = shape[0], shape[1]
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise ShapeError(
            f"The box {(left, top, right, bottom)} (left, top, right, bottom) is empty, or reaches outside of an image "
            f"of {height} x {width}: crop less, or pad what was cropped."
        )
    return left, top, right, bottom


def _whole(number: Any) -> bool:
    if isinstance(number, bool | np.bool_) or not isinstance(number, int | float | np.number):
        return False
    return bool(np.isfinite(number)) and float(number).is_integer()
