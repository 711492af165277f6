"""Manifests: tables with a row an image, from CSV, Parquet or pandas."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any, Final

import pandas as pd

from odin_graph.errors import DataError
from odin_graph.ingest.entry import Entry
from odin_graph.schema.metadata import check_name

SUFFIXES: Final = (".csv", ".parquet")
_MISSING: Final = ("", "NaN", "nan")
"""What stands for a missing value in CSV. pandas would take NA, None and null too, which some have as labels."""


def read_manifest(path: Path) -> pd.DataFrame:
    """The table of a file. In CSV an id stays the text that it is, 007 included.

    Raises:
        DataError: It cannot be read; names it and the reason.
    """
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path, dtype_backend="numpy_nullable")
        frame = pd.read_csv(
            path,
            dtype={"path": "string", "id": "string"},
            dtype_backend="numpy_nullable",  # integers with gaps stay integers
            keep_default_na=False,
            na_values=list(_MISSING),
        )
    except (OSError, ValueError) as error:  # pandas' and Arrow's parser errors are ValueErrors
        raise DataError(f"The manifest {path} cannot be read: {error}") from error
    if not isinstance(frame.index, pd.RangeIndex):  # pandas takes the first cells for an index, and shifts the rest
        raise DataError(f"The manifest {path} cannot be read: its rows have more cells than its first line has names.")
    return frame


def entries_of_frame(frame: pd.DataFrame, root: Path, name: str) -> list[Entry]:
    """A row an image: ``path``, and where they are there ``id`` and ``label``; every other column is metadata.

    Args:
        frame: The table.
        root: Where relative paths begin.
        name: Of the table, for messages.

    Raises:
        DataError: No column ``path``, a column twice, or a row without path or id.
        MetadataError: A column's name is refused as metadata.
    """
    names = [str(column) for column in frame.columns]
    if "path" not in names:
        raise DataError(
            f"{name} has no column 'path', which says where each image is. It has: {', '.join(names) or 'none'}."
        )
    if twice := sorted({column for column in names if names.count(column) > 1}):
        raise DataError(f"{name} has two columns {twice[0]!r}: give each its own name.")
    columns = {column: values_of(frame.iloc[:, place]) for place, column in enumerate(names)}
    paths = [str(path) for path in _complete(columns.pop("path"), "path", name)]
    ids = _complete(columns.pop("id"), "id", name) if "id" in columns else [PurePath(path).as_posix() for path in paths]
    labels = columns.pop("label", [None] * len(paths))
    for column in columns:
        check_name("Image", column)
    return [
        Entry(str(id_), root / path, None, label, {key: values[row] for key, values in columns.items()})
        for row, (id_, path, label) in enumerate(zip(ids, paths, labels, strict=True))
    ]


def values_of(column: pd.Series[Any]) -> list[Any]:
    """A column's values with None where one is missing."""
    return [None if _missing(value) else value for value in column.tolist()]


def _complete(values: list[Any], column: str, name: str) -> list[Any]:
    if None in values:
        raise DataError(f"Row {values.index(None) + 1} of {name} has no {column}: every image needs one.")
    return values


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)
