"""What users hand in, as entries: a folder of class folders, a manifest, or NumPy arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from odin_graph.errors import DataError, ShapeError
from odin_graph.ingest.entry import Entry

_READ: Final = {".csv": pd.read_csv, ".parquet": pd.read_parquet}


def entries_of(
    source: str | os.PathLike[str] | pd.DataFrame | None,
    *,
    images: Any = None,
    labels: Sequence[Any] | None = None,
    ids: Sequence[str] | None = None,
    metadata: Mapping[str, Sequence[Any]] | pd.DataFrame | None = None,
    prefix: str = "image",
    root: str | os.PathLike[str] | None = None,
) -> list[Entry]:
    """The entries of whatever was given; see `Images.add` for the arguments.

    Raises:
        DataError: Nothing, two things, or something that is none of these was given.
        ShapeError: Columns of different lengths.
    """
    if (source is None) == (images is None):
        raise DataError("Give a folder, a manifest (CSV, Parquet, DataFrame), or images= with arrays; one of them.")
    if source is None:
        return _of_arrays(images, labels, ids, metadata, prefix)
    if labels is not None or ids is not None or metadata is not None:
        raise DataError("labels=, ids= and metadata= go with images=; in a manifest they are columns.")
    if isinstance(source, pd.DataFrame):
        return _of_frame(source, Path(root) if root is not None else Path(), "the DataFrame")
    path = Path(source).expanduser()
    if path.is_dir():
        return _of_folder(path)
    if path.suffix.lower() not in _READ:
        what = "is neither a folder nor a manifest (.csv, .parquet)" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}.")
    try:
        frame = _READ[path.suffix.lower()](path)
    except (OSError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise DataError(f"The manifest {path} cannot be read: {error}") from error
    return _of_frame(frame, Path(root) if root is not None else path.parent, str(path))


def _of_folder(folder: Path) -> list[Entry]:
    """Every file below it by path; the label is the name of the first folder. Hidden files and folders are left out."""
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        raise DataError(f"{folder} holds no files: class folders with images are expected in it.")
    inside = [path.relative_to(folder) for path in files]
    return [
        Entry(id=name.as_posix(), path=path, label=name.parts[0] if len(name.parts) > 1 else None)
        for path, name in zip(files, inside, strict=True)
    ]


def _of_frame(frame: pd.DataFrame, root: Path, name: str) -> list[Entry]:
    """A row an image: ``path``, and where they are there ``id`` and ``label``; every other column is metadata."""
    if "path" not in frame.columns:
        raise DataError(f"{name} has no column 'path'. It has: {', '.join(map(str, frame.columns)) or 'none'}.")
    held = frame.convert_dtypes()  # integers with gaps stay integers
    columns = {str(column): _values(held[column]) for column in held.columns}
    paths = columns.pop("path")
    if None in paths:
        raise DataError(f"Row {paths.index(None) + 1} of {name} has no path.")
    ids = columns.pop("id", [Path(str(path)).as_posix() for path in paths])
    labels = columns.pop("label", [None] * len(paths))
    return [
        Entry(str(id_), root / str(path), None, label, {key: values[row] for key, values in columns.items()})
        for row, (id_, path, label) in enumerate(zip(ids, paths, labels, strict=True))
    ]


def _of_arrays(
    images: Any,
    labels: Sequence[Any] | None,
    ids: Sequence[str] | None,
    metadata: Mapping[str, Sequence[Any]] | pd.DataFrame | None,
    prefix: str,
) -> list[Entry]:
    if isinstance(images, np.ndarray) and images.ndim not in (3, 4):
        raise ShapeError(
            f"images= takes an array (n, height, width) or (n, height, width, bands), or a list of images; "
            f"this one has shape {images.shape}."
        )
    n = len(images)
    given = {} if metadata is None else {str(name): _values(pd.Series(metadata[name])) for name in metadata}
    held = list(ids) if ids is not None else [f"{prefix}/{position:06d}" for position in range(n)]
    said = list(labels) if labels is not None else [None] * n
    for name, column in {"ids": held, "labels": said, **given}.items():
        if len(column) != n:
            raise ShapeError(f"{n} images, but {len(column)} {name}: give one for each image.")
    return [
        Entry(
            str(held[row]),
            None,
            np.asarray(images[row]),
            said[row],
            {name: values[row] for name, values in given.items()},
        )
        for row in range(n)
    ]


def _values(column: pd.Series[Any]) -> list[Any]:
    """A column's values with None where one is missing."""
    return [None if _missing(value) else value for value in column.tolist()]


def _missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value)
