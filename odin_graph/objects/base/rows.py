"""Tables that users give for stored things: a column of ids or keys, and the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pandas as pd
import pyarrow as pa

from odin_graph.errors import DataError
from odin_graph.ingest.manifest import values_of
from odin_graph.schema.metadata.plain import plain
from odin_graph.schema.several import refuse_unordered

_ID_COLUMNS: Final = ("id", "key")


def rows_of(source: Any) -> tuple[list[Any], dict[str, list[Any]]]:
    """Ids (strings) or keys (ints), and the columns beside them; None where a value is missing.

    Args:
        source: A DataFrame with a column, or an index, ``id`` or ``key``; an Arrow table; a dict of columns; or a dict
            of dicts by id: ``{"a.png": {"age": 61}}``.

    Raises:
        DataError: Nothing says which things the rows are of.
    """
    if isinstance(source, Mapping) and source and all(isinstance(row, Mapping) for row in source.values()):
        names = dict.fromkeys(str(name) for row in source.values() for name in row)
        return list(source), {name: [row.get(name) for row in source.values()] for name in names}
    columns = _columns_of(source)
    id_column = next((name for name in _ID_COLUMNS if name in columns), None)
    if id_column is None:
        raise DataError(
            f"The rows have no id or key: give a column 'id' or 'key' (there is: {', '.join(columns) or 'none'})."
        )
    things = columns.pop(id_column)
    if id_column == "id":
        columns.pop("key", None)  # a table of ours has both, and they say the same
    if None in things:
        raise DataError(f"Row {things.index(None) + 1} of the table has no {id_column}: every row needs one.")
    for name, values in columns.items():
        if len(values) != len(things):
            raise DataError(f"The column {name!r} has {len(values)} values, and there are {len(things)} rows.")
    return [_key(thing) for thing in things] if id_column == "key" else [str(thing) for thing in things], columns


def _key(given: Any) -> int:
    """A key; a float of pandas that is a whole number is one, too."""
    value = plain(given)
    whole = type(value) is int or (type(value) is float and value.is_integer())
    if not whole or not 0 <= value < 2**63:
        raise DataError(f"{given!r:.80} is not a key of an image: keys are whole numbers; give ids in a column 'id'.")
    return int(value)


def _columns_of(source: Any) -> dict[str, list[Any]]:
    if isinstance(source, pd.DataFrame):
        frame = source.reset_index() if source.index.name in _ID_COLUMNS and source.index.name not in source else source
        names = [str(name) for name in frame.columns]
        if len(set(names)) != len(names):
            raise DataError(f"The table has columns of one name: {', '.join(sorted(names))}. Give each its own.")
        return {name: values_of(frame.iloc[:, place]) for place, name in enumerate(names)}
    if isinstance(source, pa.Table | pa.RecordBatch):
        return {name: source.column(name).to_pylist() for name in source.schema.names}
    if isinstance(source, Mapping):
        return {str(name): _listed(str(name), values) for name, values in source.items()}
    raise DataError(
        f"{type(source).__name__} is not a table: give a DataFrame, an Arrow table, a dict of columns with 'id' or "
        "'key', or a dict of dicts by id."
    )


def _listed(name: str, values: Any) -> list[Any]:
    refuse_unordered(name, values)
    if isinstance(values, str) or not hasattr(values, "__len__"):
        raise DataError(f"The column {name!r} is {values!r:.60}: give one value a row.")
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return list(values.to_pylist())
    return list(values)
