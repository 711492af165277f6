"""Cut an image into patches of one size, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from odin_graph.arguments import whole_box
from odin_graph.errors import DataError, ShapeError
from odin_graph.ops.geometry import Geometry
from odin_graph.ops.op import OPS, Pixels
from odin_graph.ops.sizes import both, read_size

Edge = Literal["drop", "shift", "pad"]


@OPS.register("patch")
@dataclass(frozen=True, kw_only=True)
class Patch:
    """As ``crop``, but what lies below or right of the image is ``fill``: one patch of `Patches`."""

    box: tuple[int, int, int, int]
    fill: float = 0

    def __post_init__(self) -> None:
        """Check the box; a list from JSON becomes a tuple."""
        object.__setattr__(self, "box", whole_box(self.box))
        if min(self.box) < 0:
            raise DataError(f"A patch begins inside the image, not at {self.box[:2]} (left, top): give 0 or more.")

    def __call__(self, pixels: Pixels) -> Pixels:
        """(h, w, bands) in, (bottom - top, right - left, bands) out."""
        left, top, right, bottom = self.inside(*pixels.shape[:2])
        return self.filled(pixels[top:bottom, left:right])

    def inside(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The part of the box that lies on an image of that size.

        Raises:
            ShapeError: None does.
        """
        left, top, right, bottom = self.box
        if top >= height or left >= width:
            raise ShapeError(
                f"The patch {self.box} (left, top, right, bottom) is outside of an image of {height} x {width}."
            )
        return left, top, min(right, width), min(bottom, height)

    def filled(self, part: Pixels) -> Pixels:
        """The patch, of the part of it that lies on the image.

        Raises:
            DataError: The fill is none that the image's dtype holds.
        """
        left, top, right, bottom = self.box
        below, beside = bottom - top - part.shape[0], right - left - part.shape[1]
        if not below and not beside:
            return part
        filled = np.asarray(self.fill).astype(part.dtype)
        if filled != self.fill:
            raise DataError(f"An image of {part.dtype} cannot contain {self.fill}: give a value of its dtype.")
        return np.pad(part, ((0, below), (0, beside), (0, 0)), constant_values=filled)

    def geometry(self, height: int, width: int) -> Geometry:
        """Where the patch lies."""
        self.inside(height, width)
        left, top, right, bottom = self.box
        return Geometry.of(bottom - top, right - left, shift=(left, top))


class Placed(NamedTuple):
    """A patch and its place in the grid, from 0."""

    row: int
    column: int
    patch: Patch


@dataclass(frozen=True)
class Patches:
    """A grid of patches over an image.

    Args:
        size: Of a patch: one number, or (height, width).
        stride: From one to the next, down and across; by default the size, so that none overlap.
        edge: What is done with those that would reach over the lower and the right edge: ``"drop"`` leaves them out,
            ``"shift"`` moves them inside, where they overlap others, ``"pad"`` fills them with `fill`.
        fill: For ``"pad"``.
    """

    size: int | Sequence[int]
    stride: int | Sequence[int] | None = None
    edge: Edge = "drop"
    fill: float = 0

    def __post_init__(self) -> None:
        """Check the sizes."""
        read_size("patches", self.size)
        if self.stride is not None:
            read_size("stride of patches", self.stride)
        if self.edge not in ("drop", "shift", "pad"):
            raise DataError(f"patches know no edge {self.edge!r}: give drop, shift or pad.")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a patch."""
        return both(read_size("patches", self.size))

    def of(self, height: int, width: int) -> Iterator[Placed]:
        """The patches of an image of that size, row by row.

        Raises:
            ShapeError: It is smaller than a patch, and the edge is not padded.
        """
        tall, wide = self.shape
        down, across = both(read_size("patches", self.size if self.stride is None else self.stride))
        if self.edge != "pad" and (tall > height or wide > width):
            raise ShapeError(
                f"An image of {height} x {width} has no patch of {tall} x {wide}: take smaller ones, or fill them up "
                'with edge="pad".'
            )
        for row, top in enumerate(self._starts(height, tall, down)):
            for column, left in enumerate(self._starts(width, wide, across)):
                box = (left, top, left + wide, top + tall)
                yield Placed(row, column, Patch(box=box, fill=self.fill))

    def _starts(self, length: int, size: int, step: int) -> list[int]:
        whole = list(range(0, length - size + 1, step))
        covered = whole[-1] + size if whole else 0
        if self.edge == "drop" or covered >= length:
            return whole
        if self.edge == "shift":
            return [*whole, length - size]
        return [*whole, *range(whole[-1] + step if whole else 0, length, step)]
