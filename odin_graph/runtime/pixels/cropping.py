"""Operations that begin with a crop: only the box of a huge image is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import Box
from odin_graph.arrays.pixel_reader import PixelReader
from odin_graph.errors import OdinError
from odin_graph.ops.geometry import geometry_of
from odin_graph.ops.op import ImageOp


def cuts(ops: Sequence[ImageOp]) -> bool:
    """Whether the first operation only cuts a box out."""
    return bool(ops) and bool(getattr(ops[0], "cuts", False))


def read_cut(
    array: PixelReader, keys: NDArray[np.int64], op: ImageOp, ids: Sequence[str] | None = None
) -> list[NDArray[Any]]:
    """The results of an operation that cuts, for images of which only the boxes are read.

    Args:
        array: The images.
        keys: Which of them, in this order.
        op: The operation.
        ids: Theirs, for messages.

    Raises:
        OdinError: It does not fit an image; names the image.
    """
    names = keys.tolist() if ids is None else ids
    boxes = [_box(op, shape, name) for shape, name in zip(array.shapes(keys), names, strict=True)]
    return array.read_boxes(keys, boxes)


def _box(op: ImageOp, shape: tuple[int, ...], name: str | int) -> Box:
    try:
        where = geometry_of(op, shape[0], shape[1])
    except OdinError as error:
        raise type(error)(f"Image {name!r}: {error}") from error
    left, top = (int(shift) for shift in where.to_parent[:2, 2])
    return left, top, left + where.width, top + where.height
