"""Exchange a few rows of a large table that is sorted by key, without copying the others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_PIECES = 64
"""Pieces that a table is cut into; above, its rows are copied."""
_CHUNKS = 256
"""Chunks of a column that is not asked for, before they are joined."""

Keys = NDArray[np.int64]


def exchange_rows(table: pa.Table, keys: Keys, rows: pa.Table) -> pa.Table:
    """The table with other rows for some keys: those of ``rows``; a key that is not there is taken out.

    Args:
        table: Sorted by ``key``, which may come several times.
        keys: Sorted, each once.
        rows: Of these keys, sorted, with the same columns.
    """
    stored, new = keys_of(table), keys_of(rows)
    first, end = np.searchsorted(stored, keys, "left"), np.searchsorted(stored, keys, "right")
    # Keys between which no other row lies are exchanged together.
    starts = np.flatnonzero(np.concatenate([[True], first[1:] != end[:-1]]))
    lasts = np.concatenate([starts[1:], [len(keys)]]) - 1
    rows = rows.select(table.column_names).cast(table.schema)
    if len(starts) > _PIECES:
        return _copied(table, rows, stored, new, keys)
    pieces, at = [], 0
    for start, last in zip(starts, lasts, strict=True):
        pieces.append(table.slice(at, first[start] - at))
        begin, stop = np.searchsorted(new, keys[start], "left"), np.searchsorted(new, keys[last], "right")
        pieces.append(rows.slice(begin, stop - begin))
        at = end[last]
    pieces.append(table.slice(at))
    return _bounded(pa.concat_tables([piece for piece in pieces if piece.num_rows] or [table.slice(0, 0)]))


def exchange_values(table: pa.Table, rows: pa.Table) -> pa.Table:
    """The table with other values in some columns, for the keys that both have.

    Args:
        table: Sorted by ``key``, each once.
        rows: The same, with some of the columns.
    """
    stored, new = keys_of(table), keys_of(rows)
    position = np.searchsorted(stored, new)
    there = (position < len(stored)) & (stored[np.minimum(position, len(stored) - 1)] == new) if len(stored) else []
    if not np.all(there):
        rows, position = rows.filter(pa.array(there, pa.bool_())), position[there]
    if not len(position):
        return table
    names = [name for name in rows.column_names if name != "key"]
    whole = table.select(["key", *names])
    patched = exchange_rows(whole, stored[position], rows)
    for name in names:
        table = table.set_column(table.schema.get_field_index(name), name, patched.column(name))
    return _bounded(table)


def keys_of(table: pa.Table) -> Keys:
    """The key of each row."""
    keys: Keys = table.column("key").to_numpy()
    return keys


def _copied(table: pa.Table, rows: pa.Table, stored: Keys, new: Keys, keys: Keys) -> pa.Table:
    kept = np.flatnonzero(~np.isin(stored, keys))
    order = np.insert(kept, np.searchsorted(stored[kept], new, "right"), len(stored) + np.arange(len(new)))
    joined = pa.concat_tables([table, rows]).combine_chunks()
    return joined.take(pa.array(order)).combine_chunks()


def _bounded(table: pa.Table) -> pa.Table:
    if all(column.num_chunks <= _CHUNKS for column in table.columns):
        return table
    return table.combine_chunks()
