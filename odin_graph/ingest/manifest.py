"""Manifests: tables with a row an image, from CSV, TSV, Parquet or pandas."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final, TypeAlias

import pandas as pd

from odin_graph.errors import DataError, MetadataError
from odin_graph.ingest.entry import id_of
from odin_graph.ingest.spelling import read_texts
from odin_graph.ingest.table import EntryTable
from odin_graph.schema.metadata import FieldType, convert
from odin_graph.schema.reserved import check_name

_DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
SUFFIXES: Final = (*_DELIMITERS, ".parquet")
_OWN: Final = ("path", "id")
"""Columns that are text, however they are spelt."""
_SHOWN: Final = 5

Types: TypeAlias = Mapping[str, FieldType]
Recorded: TypeAlias = Callable[[str], FieldType | None]
"""The type that the workspace has recorded for a field; None where there is none."""


@dataclass(frozen=True)
class Manifest:
    """A table that was read."""

    columns: Mapping[str, Sequence[Any]]
    """By name, in their order; None where a value is missing."""
    notes: Sequence[str] = ()
    """Which columns stayed text, and why."""


def read_manifest(path: Path, types: Types, recorded: Recorded) -> Manifest:
    """The table of a file.

    CSV and TSV have no types: a column is of numbers, bools, dates or datetimes only where every value of it prints
    back as it was written, and of text where it does not, or where its field is recorded as text. An empty cell is
    missing, and in a column of numbers ``nan``. Parquet has its own types.

    Args:
        path: The file.
        types: What columns are to be read as.
        recorded: The recorded type of a field, which text columns are kept in.

    Raises:
        DataError: It cannot be read; names it and the reason.
        MetadataError: Values that are not of the type asked for.
    """
    try:
        if path.suffix.lower() == ".parquet":
            return manifest_of_frame(pd.read_parquet(path, dtype_backend="numpy_nullable"), str(path), types)
        names, cells = _read_text(path, _DELIMITERS[path.suffix.lower()])
    except (OSError, ValueError, csv.Error) as error:  # Arrow's parser errors are ValueErrors
        if isinstance(error, DataError):
            raise
        raise DataError(f"The manifest {path} cannot be read: {error}") from error
    _check_columns(names, types, str(path))
    columns: dict[str, Sequence[Any]] = {}
    notes: list[str] = []
    for name, texts in zip(names, cells, strict=True):
        as_text = [text or None for text in texts]
        if name in _OWN or types.get(name) is FieldType.STRING:
            columns[name] = as_text
        elif name in types:
            columns[name] = _as_asked(name, as_text, types[name])
        else:
            read = read_texts(list(dict.fromkeys(texts)), name)
            kept = read.type is not FieldType.STRING and recorded(name) is FieldType.STRING
            columns[name] = as_text if kept else [read.values[text] for text in texts]
            notes += [read.note] if read.note else []
    return Manifest(columns, notes)


def manifest_of_frame(frame: pd.DataFrame, name: str, types: Types) -> Manifest:
    """The table of a DataFrame, whose values are of their own types: a string stays one.

    Args:
        frame: The table.
        name: Of the table, for messages.
        types: What columns are to be read as.

    Raises:
        DataError: A column twice.
        MetadataError: Values that are not of the type asked for.
    """
    names = [str(column) for column in frame.columns]
    _check_columns(names, types, name)
    columns = {column: values_of(frame.iloc[:, place]) for place, column in enumerate(names)}
    return Manifest(typed(columns, types))


def entries_of_manifest(manifest: Manifest, root: Path, name: str) -> EntryTable:
    """A row an image: ``path``, and where they are there ``id`` and ``label``; every other column is metadata.

    Args:
        manifest: The table.
        root: Where relative paths begin.
        name: Of the table, for messages.

    Raises:
        DataError: No column ``path``, or a row without path or id.
        MetadataError: A column's name is refused as metadata.
    """
    columns = dict(manifest.columns)
    if "path" not in columns:
        raise DataError(f"{name} has no column 'path', the path of each image. It has: {', '.join(columns) or 'none'}.")
    paths = [str(path) for path in _complete(columns.pop("path"), "path", name)]
    ids = _complete(columns.pop("id"), "id", name) if "id" in columns else [_as_posix(path) for path in paths]
    for column in columns:
        if column != "label":
            check_name("Image", column)
    labels = columns.pop("label", [None] * len(paths))
    below = _below(root)
    return EntryTable([id_of(id_) for id_ in ids], labels, columns, paths=list(map(below, paths)), names=paths)


def _as_posix(path: str) -> str:
    """A path with single forward slashes; it is that of `PurePath`, which takes ten times as long."""
    return path if _is_plain(path) else PurePath(path).as_posix()


def _below(root: Path) -> Callable[[str], str]:
    """``str(root / path)`` of a path, for the same reason."""
    folder = "" if root == Path() else os.path.join(root, "")  # noqa: PTH118

    def below(path: str) -> str:
        if path in ("", ".") or not _is_plain(path):
            return str(root / path)
        return path if path[0] == "/" else folder + path

    return below


def _is_plain(path: str) -> bool:
    return os.sep == "/" and "//" not in path and "./" not in path and not path.endswith(("/", "/."))


def values_of(column: pd.Series[Any]) -> list[Any]:
    """A column's values with None where one is missing."""
    return [None if _missing(value) else value for value in column.tolist()]


def typed(columns: Mapping[str, Sequence[Any]], types: Types) -> dict[str, Sequence[Any]]:
    """The columns, with those that are named in `types` converted.

    Raises:
        MetadataError: Values that are not of it; lists the first.
    """
    return {name: _as_asked(name, values, types[name]) if name in types else values for name, values in columns.items()}


def _read_text(path: Path, delimiter: str) -> tuple[list[str], list[Sequence[str]]]:
    """The names and the columns of a file: cells as they are written, but for their quotes."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter, strict=True)
        names = next(rows, None)
        if not names:
            raise DataError(f"The manifest {path} cannot be read: its first line, which names the columns, is empty.")
        cells = []
        for row in rows:
            if row and len(row) != len(names):
                raise DataError(
                    f"The manifest {path} cannot be read: line {rows.line_num} has {len(row)} cells, and its first "
                    f"line names {len(names)} columns."
                )
            if row:  # an empty line is none
                cells.append(row)
    return names, list(zip(*cells, strict=True)) if cells else [() for _ in names]


def _check_columns(names: Sequence[str], types: Types, name: str) -> None:
    if twice := sorted({column for column in names if names.count(column) > 1}):
        raise DataError(f"{name} has two columns {twice[0]!r}: give each its own name.")
    if "" in names:
        raise DataError(
            f"Column {names.index('') + 1} of {name} has no name: give it one, or leave it out "
            "(of pandas: to_csv(..., index=False))."
        )
    for asked in types:
        if asked in _OWN:
            raise DataError(f"types= names {asked!r}, which is always text: leave it out.")
        if asked not in names:
            raise DataError(f"types= names {asked!r}, and {name} has no such column. It has: {', '.join(names)}.")


def _as_asked(name: str, values: Sequence[Any], to: FieldType) -> list[Any]:
    read: list[Any] = []
    invalid: list[str] = []
    for row, value in enumerate(values):
        try:
            read.append(convert(value, to))
        except (ValueError, OverflowError):
            read.append(None)
            invalid.append(f"{value!r:.60} (row {row + 1})")
    if invalid:
        raise MetadataError(
            f"{len(invalid):,} of {len(values):,} values of {name!r} are not of type {to}, first "
            f"{', '.join(invalid[:_SHOWN])}: correct them, or leave {name!r} out of types=."
        )
    return read


def _complete(values: Sequence[Any], column: str, name: str) -> Sequence[Any]:
    if None in values:
        raise DataError(f"Row {list(values).index(None) + 1} of {name} has no {column}: every image needs one.")
    return values


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)
