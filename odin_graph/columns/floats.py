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


def canonical(found: T) -> T:
    """The same values, floats without -0.0 and NaN; in lists as well."""
    if pa.types.is_list(found.type) and pa.types.is_floating(found.type.value_type):
        return _of_lists(found)
    if not pa.types.is_floating(found.type):
        return found
    nan = pc.is_nan(found)
    if pc.any(nan).as_py() if not isinstance(nan, pa.Scalar) else nan.as_py():
        found = pc.if_else(nan, pa.scalar(None, found.type), found)
    return pc.add(found, pa.scalar(0.0, found.type))


def canonical_table(table: pa.Table) -> pa.Table:
    """A table, each of its columns so."""
    for position, name in enumerate(table.column_names):
        column = table.column(position)
        if (made := canonical(column)) is not column:
            table = table.set_column(position, name, made)
    return table


def _of_lists(found: T) -> T:
    """Lists are few and short: those with an odd number are made anew, one by one."""
    if isinstance(found, pa.ChunkedArray):
        return pa.chunked_array([_of_lists(chunk) for chunk in found.chunks], found.type)
    rows = [found.as_py()] if isinstance(found, pa.Scalar) else None
    if rows is None:
        items = pc.drop_null(pc.list_flatten(found)).to_numpy()
        if not (np.isnan(items) | ((items == 0) & np.signbit(items))).any():
            return found
        rows = found.to_pylist()
    made = pa.array([None if row is None else list(map(_item, row)) for row in rows], found.type)
    return made[0] if isinstance(found, pa.Scalar) else made


def _item(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value + 0.0
