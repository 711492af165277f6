"""What users hand in, as entries: a folder of class folders, a manifest, or NumPy arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import pandas as pd

from odin_graph.catalog.sources import is_lazy, is_rows
from odin_graph.errors import DataError, ShapeError
from odin_graph.ingest.entry import Entry
from odin_graph.ingest.folder import entries_of_folder
from odin_graph.ingest.manifest import SUFFIXES, entries_of_frame, read_manifest, values_of
from odin_graph.schema.metadata import check_name


def entries_of(
    source: str | os.PathLike[str] | pd.DataFrame | None,
    *,
    images: Any = None,
    labels: Sequence[Any] | None = None,
    ids: Sequence[str] | None = None,
    metadata: Mapping[str, Sequence[Any]] | pd.DataFrame | None = None,
    prefix: str = "image",
    root: str | os.PathLike[str] | None = None,
) -> Sequence[Entry]:
    """The entries of whatever was given; see `Images.add` for the arguments.

    Raises:
        DataError: Nothing, two things, or something that is none of these was given.
        ShapeError: Columns of different lengths.
        MetadataError: A name of metadata is refused.
    """
    if (source is None) == (images is None):
        raise DataError("Give a folder, a manifest (CSV, Parquet, DataFrame), or images= with arrays; one of them.")
    if source is None:
        return _of_arrays(images, labels, ids, metadata, prefix)
    if labels is not None or ids is not None or metadata is not None:
        raise DataError("labels=, ids= and metadata= go with images=; in a manifest they are columns.")
    if isinstance(source, pd.DataFrame):
        return entries_of_frame(source, Path(root) if root is not None else Path(), "the DataFrame")
    if not isinstance(source, str | os.PathLike):
        raise DataError(
            f"Images come from a folder or a manifest, not {type(source).__name__}: give arrays as images=."
        )
    path = Path(source).expanduser()
    if path.is_dir():
        return entries_of_folder(path)
    if path.suffix.lower() not in SUFFIXES or not path.exists():
        what = f"is neither a folder nor a manifest ({', '.join(SUFFIXES)})" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}: give a folder of class folders, or a table with a column 'path'.")
    return entries_of_frame(read_manifest(path), Path(root) if root is not None else path.parent, str(path))


def _image(given: Any) -> Any:
    """Pixels as an array; what is read where it is sliced stays what it is."""
    return given if is_lazy(given) or is_rows(given) else np.asarray(given)


@dataclass(frozen=True, eq=False)
class ArrayEntries(Sequence[Entry]):
    """Images of arrays, each made an entry when it is asked for: a million are no more than their columns."""

    ids: Sequence[str]
    images: Any
    labels: Sequence[Any]
    metadata: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, row: int) -> Entry: ...
    @overload
    def __getitem__(self, row: slice) -> list[Entry]: ...
    def __getitem__(self, row: int | slice) -> Entry | list[Entry]:
        if isinstance(row, slice):
            return [self[place] for place in range(*row.indices(len(self)))]
        values = {name: column[row] for name, column in self.metadata.items()}
        return Entry(self.ids[row], None, _image(self.images[row]), self.labels[row], values)


def _of_arrays(
    images: Any,
    labels: Sequence[Any] | None,
    ids: Sequence[str] | None,
    metadata: Mapping[str, Sequence[Any]] | pd.DataFrame | None,
    prefix: str,
) -> Sequence[Entry]:
    if isinstance(images, np.ndarray) and images.ndim not in (3, 4):
        raise ShapeError(
            f"images= takes an array (n, height, width) or (n, height, width, bands), or a list of images; "
            f"this one has shape {images.shape}."
        )
    n = len(images)
    free = dict(metadata) if metadata is not None else {}
    for name in free:
        check_name("Image", name)
    given = {name: values_of(pd.Series(list(column), dtype=object)) for name, column in free.items()}
    held = [str(id_) for id_ in ids] if ids is not None else [f"{prefix}/{position:06d}" for position in range(n)]
    said = list(labels) if labels is not None else [None] * n
    columns: dict[str, Sequence[Any]] = {"ids": held, "labels": said, **given}
    for name, column in columns.items():
        if len(column) != n:
            raise ShapeError(f"{n} images, but {len(column)} {name}: give one for each image.")
    return ArrayEntries(held, images, said, given)
