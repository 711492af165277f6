"""The units of one image: the highest, and those that are unusual for it against a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis.units.slab import Slabs, over_blocks
from odin_graph.analysis.units.stats import moments, not_finite
from odin_graph.analysis.units.table import UnitTable, counted
from odin_graph.arguments import whole
from odin_graph.errors import QueryError, ShapeError, UnknownNameError
from odin_graph.served import travels

_MEASURES = ("z", "percentile")


@travels
@dataclass(frozen=True, eq=False, repr=False)
class TopUnits(UnitTable):
    """The units of the highest values of an image, a row a unit: ``unit`` and ``value``, the highest first."""

    missing: int
    """Units whose value is NaN, which are left out."""

    def _head(self) -> str:
        return f"The {counted(len(self), 'unit')} of the highest values"

    def _notes(self) -> list[str]:
        note = f"- {counted(self.missing, 'unit')} of value NaN left out"
        return super()._notes() + ([note] if self.missing else [])


@travels
@dataclass(frozen=True, eq=False, repr=False)
class UnusualUnits(UnitTable):
    """How unusual an image's values are against a data set, a row a unit, the most unusual first.

    Columns: ``unit``; ``value``, the image's; ``mean`` and ``deviation`` over the data set; ``z``, the value's
    distance from the mean in deviations: infinite where a unit that is constant there has another value here;
    ``percentile``, how many percent of the data set have a lower value, equal ones counting half; ``n``, over how many
    images, those left out whose value is no finite number. NaN of a unit without a value here or there.
    """

    def _head(self) -> str:
        return f"{counted(len(self), 'unit')} of an image against {counted(self.images, 'image')}"


def top_units(units: NDArray[np.int64], values: NDArray[np.float32], k: int) -> TopUnits:
    """The units of an image with the highest values; of equal ones the first.

    Args:
        units: (u,) their numbers.
        values: (u,) of the image. Infinity is a value like any other, NaN is none.
        k: How many; fewer where there are not as many.

    Raises:
        QueryError: k is less than 1.
        ShapeError: Not as many values as units.
    """
    _check(units, values, k)
    valid = np.flatnonzero(~np.isnan(values))
    order = valid[np.lexsort((units[valid], -values[valid].astype(np.float64)))[:k]]
    table = pa.table({"unit": units[order], "value": values[order]})
    return TopUnits(table, 1, missing=len(values) - len(valid))


def unusual_units(
    slabs: Slabs, units: NDArray[np.int64], values: NDArray[np.float32], k: int | None = None, *, measure: str = "z"
) -> UnusualUnits:
    """The units whose value of one image is most unusual against a data set.

    Args:
        slabs: Units over the images of the data set, without this image.
        units: (u,) the numbers of the image's units, in any order; those that are in no slab are left out.
        values: (u,) of the image.
        k: How many; None for all.
        measure: ``z``, the farthest from the mean in deviations, or ``percentile``, the nearest to either end. Of equal
            ones the other decides, then the unit.

    Raises:
        QueryError: k is less than 1, or there is no unit or image to compare with.
        ShapeError: Not as many values as units.
        UnknownNameError: ``measure`` is something else.
    """
    _check(units, values, k)
    if measure not in _MEASURES:
        raise UnknownNameError.of("measure of unusual units", measure, _MEASURES)
    order = np.argsort(units, kind="stable")
    known, own = units[order], values[order]

    def compared(block: NDArray[np.int64], rows: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        place = np.minimum(np.searchsorted(known, block), max(len(known) - 1, 0))
        here = known[place] == block if len(known) else np.zeros(len(block), bool)
        return _against(block[here], own[place[here]], rows[here])

    images: list[int] = []
    parts = over_blocks(_noting(slabs, images), compared)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if not len(columns["unit"]):
        raise QueryError("None of the image's units is among those of the data set: ask for units of the same layer.")
    away, off = np.abs(columns["z"]), np.abs(columns["percentile"] - 50)
    first, second = (away, off) if measure == "z" else (off, away)
    chosen = np.lexsort((columns["unit"], -second, -first))[:k]
    return UnusualUnits(pa.table({name: column[chosen] for name, column in columns.items()}), images[0])


def _noting(slabs: Slabs, images: list[int]) -> Slabs:
    for slab in slabs:
        images.append(slab.values.shape[1])
        yield slab


def _check(units: NDArray[np.int64], values: NDArray[np.float32], k: int | None) -> None:
    if k is not None and ((number := whole(k)) is None or number < 1):
        raise QueryError(f"At least 1 unit is asked for, not k={k!r}.")
    if units.shape != values.shape or units.ndim != 1:
        raise ShapeError(f"{units.shape} units have values {values.shape} of the image: one value a unit is needed.")


def _against(
    units: NDArray[np.int64], own: NDArray[np.float32], values: NDArray[np.float32]
) -> dict[str, NDArray[Any]]:
    finite = not_finite(values)
    n, mean, deviation = moments(values, finite)
    value = own.astype(np.float64)
    less, same = values < own[:, None], values == own[:, None]
    low = np.where(finite, values, np.inf).min(axis=1) if finite is not None else values.min(axis=1)
    high = np.where(finite, values, -np.inf).max(axis=1) if finite is not None else values.max(axis=1)
    constant = low == high  # exactly so, whatever the mean was rounded to
    mean[constant], deviation[constant] = low[constant], 0
    if finite is not None:
        less &= finite
        same &= finite
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(value == mean, 0.0, (value - mean) / deviation)
        percentile = 100 * (less.sum(axis=1) + same.sum(axis=1) / 2) / n
    z[n == 0] = np.nan
    percentile[np.isnan(value)] = np.nan
    return {
        "unit": units, "value": own, "mean": mean, "deviation": deviation, "z": z, "percentile": percentile, "n": n
    }  # fmt: skip
