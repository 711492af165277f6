"""Statistics of units: a row a unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis.units.slab import Slabs, over_blocks
from odin_graph.analysis.units.table import UnitTable, counted
from odin_graph.served import travels

QUANTILES: Final = {"min": 0.0, "q25": 0.25, "median": 0.5, "q75": 0.75, "q99": 0.99, "max": 1.0}
"""The columns of quantiles."""


@travels
@dataclass(frozen=True, eq=False, repr=False)
class UnitStats(UnitTable):
    """What values units take over images, a row a unit.

    Columns: ``unit``; ``mean`` and ``deviation`` (of all values, divided by n); ``sparsity``, the share of exact
    zeros; the quantiles ``min``, ``q25``, ``median``, ``q75``, ``q99`` and ``max``, interpolated linearly; ``dead``,
    never anything but zero; ``constant``, always the same; ``n``, how many values that is said of; ``nan`` and
    ``infinite``, how many were left out. Of a unit without a finite value numbers are NaN, and it is neither dead nor
    constant.
    """

    @property
    def dead(self) -> NDArray[np.int64]:
        """The units that are zero for every image."""
        found: NDArray[np.int64] = self["unit"][self["dead"]]
        return found

    def _head(self) -> str:
        parts = [f"{counted(len(self), 'unit')} over {counted(self.images, 'image')}"]
        parts += [f"{int(self[name].sum()):,} {name}" for name in ("dead", "constant") if self[name].any()]
        return ", ".join(parts)

    def _notes(self) -> list[str]:
        lost = int((self["nan"] + self["infinite"] > 0).sum())
        note = f"- {counted(lost, 'unit')} with values that are no finite number, which are left out: see nan, infinite"
        return super()._notes() + ([note] if lost else [])


def unit_stats(slabs: Slabs) -> UnitStats:
    """Mean, deviation, sparsity, quantiles, and which units are dead, in float64.

    Args:
        slabs: Units over all images.

    Raises:
        QueryError: There is no unit, or no image.
        ShapeError: Slabs of different images.
    """
    parts = over_blocks(slabs, _of_rows)
    table = pa.table({name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    first = parts[0]
    return UnitStats(table, int(first["n"][0] + first["nan"][0] + first["infinite"][0]))


def moments(
    values: NDArray[np.float32], finite: NDArray[np.bool_] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """How many finite values (u,), their mean and deviation, accumulated in float64.

    Args:
        values: (u, n).
        finite: (u, n) which of them count; None for all.
    """
    wide = values.astype(np.float64)
    if finite is None:
        n = np.full(len(values), values.shape[1], np.int64)
    else:
        wide[~finite] = 0
        n = finite.sum(axis=1)
    some = np.maximum(n, 1)
    mean = wide.sum(axis=1) / some
    wide -= mean[:, None]
    if finite is not None:
        wide[~finite] = 0
    deviation = np.sqrt(np.einsum("un,un->u", wide, wide) / some)
    nothing = n == 0
    mean[nothing] = deviation[nothing] = np.nan
    return n, mean, deviation


def not_finite(values: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Which values are finite (u, n); None where all are, as nearly always."""
    # The sum of a row is finite only if all of it is: one pass without a mask. It may overflow: then the mask says.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum(axis=1)).all():
            return None
    finite: NDArray[np.bool_] = np.isfinite(values)
    return None if finite.all() else finite


def _of_rows(units: NDArray[np.int64], values: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    finite = not_finite(values)
    n, mean, deviation = moments(values, finite)
    ordered = values.copy() if finite is None else np.where(finite, values, np.float32(np.nan))
    ordered.sort(axis=1)  # NaN comes last, so the first n of a row are its finite values
    quantiles = {name: _quantile(ordered, n, share) for name, share in QUANTILES.items()}
    zeros = values.shape[1] - np.count_nonzero(values, axis=1)
    low, high = quantiles["min"], quantiles["max"]
    constant = low == high
    # A mean of equal values is that value, whatever the sum was rounded to.
    mean[constant], deviation[constant] = low[constant], 0.0
    nan = np.zeros(len(units), np.int64) if finite is None else np.isnan(values).sum(axis=1)
    return {
        "unit": units,
        "mean": mean,
        "deviation": deviation,
        "sparsity": np.divide(zeros, n, out=np.full(len(units), np.nan), where=n > 0),
        **quantiles,
        "dead": constant & (low == 0),
        "constant": constant,
        "n": n,
        "nan": nan,
        "infinite": values.shape[1] - n - nan,
    }


def _quantile(ordered: NDArray[np.float32], n: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    """Quantiles, interpolated around the position ``share * (n - 1)`` as in NumPy; NaN where n is 0."""
    place = share * np.maximum(n - 1, 0)
    below = np.floor(place).astype(np.int64)
    above = np.minimum(below + 1, np.maximum(n - 1, 0))
    rows = np.arange(len(ordered))
    low, high = ordered[rows, below].astype(np.float64), ordered[rows, above].astype(np.float64)
    return low + (high - low) * (place - below)
