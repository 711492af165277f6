"""Where a point of a result lies on its parent, and the other way round.

Coordinates are (x, y) in pixels from the top left corner; pixel (0, 0) is the square from (0, 0) to (1, 1), so that
scales and flips are exact and a box is (left, top, right, bottom) with its edges between pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from odin_graph.errors import QueryError
from odin_graph.ops.op import name_of

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Geometry:
    """The size of a result, and the affine map from it to what it was made of."""

    height: int
    width: int
    to_parent: Matrix
    """(3, 3), on column vectors (x, y, 1)."""

    @classmethod
    def same(cls, height: int, width: int) -> Self:
        """Of what leaves every pixel in its place."""
        return cls(height, width, np.eye(3))

    @classmethod
    def of(cls, height: int, width: int, *, scale: tuple[float, float] = (1, 1), shift: tuple[float, float]) -> Self:
        """Of a scale (x, y) and a shift (x, y): the parent's point is ``scale * point + shift``."""
        return cls(height, width, np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]], [0, 0, 1]], np.float64))

    def then(self, later: Geometry) -> Geometry:
        """Of this operation and a later one on its result."""
        return Geometry(later.height, later.width, self.to_parent @ later.to_parent)

    def on_parent(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (n, 2) of the result, as points (n, 2) of the parent."""
        return _moved(self.to_parent, points)

    def from_parent(self, points: ArrayLike) -> NDArray[np.float64]:
        """Points (n, 2) of the parent, as points (n, 2) of the result; they may lie outside of it."""
        return _moved(np.linalg.inv(self.to_parent).astype(np.float64), points)

    def box_on_parent(self, box: ArrayLike) -> tuple[float, float, float, float]:
        """The smallest upright box of the parent that holds a box (left, top, right, bottom) of the result."""
        return _around(self.on_parent(_corners(box)))

    def box_from_parent(self, box: ArrayLike) -> tuple[float, float, float, float]:
        """The smallest upright box of the result that holds a box of the parent."""
        return _around(self.from_parent(_corners(box)))


def geometry_of(op: Any, height: int, width: int) -> Geometry:
    """The geometry of an operation on an image of a size.

    Raises:
        QueryError: It does not say where its pixels lie.
    """
    if not knows_positions(op):
        raise QueryError(
            f"{name_of(op)!r} does not say where its pixels lie: define geometry(height, width) in its class, or "
            "keeps_positions = True if it leaves every pixel in its place."
        )
    method = getattr(op, "geometry", None)
    where: Geometry = Geometry.same(height, width) if method is None else method(height, width)
    return where


def knows_positions(op: Any) -> bool:
    """Whether an operation says where its pixels lie."""
    return hasattr(op, "geometry") or bool(getattr(op, "keeps_positions", False))


def composed(ops: Iterable[Any], height: int, width: int) -> Geometry:
    """The geometry of operations in a row, from the last result to the image; raises as `geometry_of`."""
    geometry = Geometry.same(height, width)
    for op in ops:
        geometry = geometry.then(geometry_of(op, geometry.height, geometry.width))
    return geometry


def _moved(matrix: Matrix, points: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(points, np.float64).reshape(-1, 2)
    return array @ matrix[:2, :2].T + matrix[:2, 2]


def _corners(box: ArrayLike) -> NDArray[np.float64]:
    left, top, right, bottom = np.asarray(box, np.float64)
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def _around(points: NDArray[np.float64]) -> tuple[float, float, float, float]:
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)
