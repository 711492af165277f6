"""What is known of a column without reading it again: counts, distinct values, the common ones, and a histogram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_SAMPLE: Final = 16_384
"""Values in a sample, evenly spaced."""
_COMMON: Final = 64
"""Values whose share is kept."""
_BINS: Final = 64


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of one column. All but the counts are estimates from a sample."""

    rows: int
    nulls: int
    distinct: int
    """Different values, of all rows."""
    common: Mapping[Any, float]
    """The share in all rows of the most frequent values."""
    bounds: tuple[Any, ...]
    """Equi-depth histogram: `_BINS` + 1 values between which equal shares of what is not missing lie."""
    width: float
    """Bytes of a value."""

    @property
    def present(self) -> float:
        """The share of rows that have a value."""
        return 1 - self.nulls / self.rows if self.rows else 0.0

    def equal(self, value: Any) -> float:
        """The share of rows that have this value."""
        if value in self.common:
            return self.common[value]
        others = self.distinct - len(self.common)
        return max(self.present - sum(self.common.values()), 0.0) / others if others > 0 else 0.0

    def below(self, value: Any) -> float | None:
        """The share of rows that have a smaller value; None where values have no order."""
        if not self.bounds:
            return None
        left, right = (_position(self.bounds, value, side) for side in ("left", "right"))
        return self.present * (left + right) / 2


def statistics_of(values: pa.Array) -> Statistics:
    """The statistics of a column."""
    rows, nulls = len(values), values.null_count
    step = max(rows // _SAMPLE, 1)
    sample = values.take(pa.array(np.arange(0, rows, step))).drop_null() if rows else values
    width = values.nbytes / rows if rows else 0.0
    if not len(sample) or pa.types.is_nested(values.type):
        return Statistics(rows, nulls, 0, {}, (), width)
    counts = pc.value_counts(sample)
    uniques, frequencies = counts.field("values"), counts.field("counts").to_numpy()
    top = np.argsort(-frequencies, kind="stable")[:_COMMON]
    # A value that was seen once says nothing of its share among many rows.
    top = top[(frequencies[top] > 1) | (step == 1)]
    present = 1 - nulls / rows
    shares = frequencies[top] / len(sample) * present
    common = dict(zip(uniques.take(pa.array(top)).to_pylist(), shares.tolist(), strict=True))
    # Where most values of a sample are seen once, all rows have as many times more distinct values.
    distinct = len(uniques) if step == 1 or len(uniques) < len(sample) / 2 else len(uniques) * step
    return Statistics(rows, nulls, distinct, common, _histogram(sample), width)


def _histogram(sample: pa.Array) -> tuple[Any, ...]:
    if pa.types.is_boolean(sample.type):
        return ()
    ordered = sample.take(pc.sort_indices(sample))
    places = np.linspace(0, len(ordered) - 1, _BINS + 1).round().astype(np.int64)
    return tuple(ordered.take(pa.array(places)).to_pylist())


def _position(bounds: tuple[Any, ...], value: Any, side: str) -> float:
    from bisect import bisect_left, bisect_right

    index = bisect_left(bounds, value) if side == "left" else bisect_right(bounds, value)
    return min(max(index - 0.5 if 0 < index < len(bounds) else index, 0), len(bounds) - 1) / (len(bounds) - 1)
