"""One rule for the odd numbers: -0.0 is 0.0, NaN is a missing value, and infinity is a value like any other.

Arrow groups, counts and looks up floats by their bits, in which -0.0 and 0.0 differ and NaN equals itself. So columns
have neither: what comes from a store and what an expression calculates passes through here.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

T = TypeVar("T", pa.Array, pa.ChunkedArray, pa.Scalar)


def canonical(values: T) -> T:
    """The same values, floats without -0.0 and NaN; in lists as well."""
    if pa.types.is_list(values.type) and pa.types.is_floating(values.type.value_type):
        return _of_lists(values)
    if not pa.types.is_floating(values.type):
        return values
    nan = pc.is_nan(values)
    if pc.any(nan).as_py() if not isinstance(nan, pa.Scalar) else nan.as_py():
        values = pc.if_else(nan, pa.scalar(None, values.type), values)
    return pc.add(values, pa.scalar(0.0, values.type))


def canonical_table(table: pa.Table) -> pa.Table:
    """A table with all its columns canonical."""
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        if (made := canonical(column)) is not column:
            table = table.set_column(position, name, made)
    return table


def _of_lists(values: T) -> T:
    """Rebuild lists with -0.0 or NaN, item by item: they are few and short."""
    if isinstance(values, pa.ChunkedArray):
        return pa.chunked_array([_of_lists(chunk) for chunk in values.chunks], values.type)
    rows = [values.as_py()] if isinstance(values, pa.Scalar) else None
    if rows is None:
        items = pc.drop_null(pc.list_flatten(values)).to_numpy()
        if not (np.isnan(items) | ((items == 0) & np.signbit(items))).any():
            return values
        rows = values.to_pylist()
    rebuilt = pa.array([None if row is None else list(map(_item, row)) for row in rows], values.type)
    return rebuilt[0] if isinstance(values, pa.Scalar) else rebuilt


def _item(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value + 0.0
