"""Boxes of images: (left, top, right, bottom) in pixels from the top left corner, right and bottom exclusive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from odin_graph.arguments import whole_box
from odin_graph.errors import ShapeError

Box: TypeAlias = tuple[int, int, int, int]


def read_box(given: object, shape: Sequence[int]) -> Box:
    """A box as its users write it, checked against an image (h, w, bands).

    Raises:
        DataError: It is no box of four whole numbers.
        ShapeError: It is empty, or reaches outside of the image.
    """
    left, top, right, bottom = box = whole_box(given)
    height, width = shape[0], shape[1]
    if left < 0 or top < 0 or right > width or bottom > height:
        raise ShapeError(
            f"The box {box} (left, top, right, bottom) reaches outside of an image of {height} x {width}: crop less, "
            "or pad what was cropped."
        )
    return box
