"""What users hand in, as entries: a folder of class folders, a manifest, or NumPy arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from odin_graph.arguments import read_path
from odin_graph.errors import DataError, ShapeError
from odin_graph.ingest.entry import Entry, id_of
from odin_graph.ingest.folder import entries_of_folder
from odin_graph.ingest.looking import images_in
from odin_graph.ingest.manifest import (
    SUFFIXES,
    Manifest,
    Recorded,
    Types,
    entries_of_manifest,
    manifest_of_frame,
    read_manifest,
    typed,
    values_of,
)
from odin_graph.ingest.table import EntryTable
from odin_graph.schema.reserved import check_name
from odin_graph.schema.several import in_order


@dataclass(frozen=True, eq=False)
class Given:
    """What a call gave, as entries."""

    entries: Sequence[Entry]
    notes: Sequence[str] = ()
    """Notes of the reader of a manifest, and differences from what is in the files."""


def entries_of(
    source: str | os.PathLike[str] | pd.DataFrame | None,
    *,
    images: Any = None,
    labels: Sequence[Any] | None = None,
    ids: Sequence[str] | None = None,
    metadata: Mapping[str, Sequence[Any]] | pd.DataFrame | None = None,
    types: Types | None = None,
    prefix: str = "image",
    root: str | os.PathLike[str] | None = None,
    recorded: Recorded = lambda _: None,
) -> Given:
    """The entries of whatever was given; see `Images.add` for the arguments.

    Args:
        source: A folder or a manifest.
        images: Arrays instead.
        labels: With ``images``.
        ids: With ``images``.
        metadata: With ``images``.
        types: What columns are to be read as.
        prefix: Of the default ids.
        root: Where relative paths begin.
        recorded: The recorded type of a field, which text is kept in.

    Raises:
        DataError: Nothing, two things, or something that is none of these was given.
        ShapeError: Columns of different lengths.
        MetadataError: A name of metadata, or a value, is refused.
    """
    if (source is None) == (images is None):
        raise DataError(
            "Give a folder, a manifest (CSV, TSV, Parquet, DataFrame), or images= with arrays; one of them."
        )
    types = types or {}
    if source is None:
        return Given(_of_arrays(images, labels, ids, metadata, types, prefix))
    if labels is not None or ids is not None or metadata is not None:
        raise DataError("labels=, ids= and metadata= go with images=; in a manifest they are columns.")
    if isinstance(source, pd.DataFrame):
        return _of_manifest(manifest_of_frame(source, "the DataFrame", types), root, Path(), "the DataFrame")
    if not isinstance(source, str | os.PathLike):
        raise DataError(
            f"Images come from a folder or a manifest, not {type(source).__name__}: give arrays as images=."
        )
    path = read_path("source", source).expanduser()
    if path.is_dir():
        if types:
            raise DataError("types= is for the columns of a manifest or of metadata=: the labels of folders are text.")
        entries, notes = entries_of_folder(path)
        return _looked_into(entries, notes, labeled=False)
    if path.suffix.lower() not in SUFFIXES or not path.exists():
        what = f"is neither a folder nor a manifest ({', '.join(SUFFIXES)})" if path.exists() else "does not exist"
        raise DataError(f"{path} {what}: give a folder of class folders, or a table with a column 'path'.")
    return _of_manifest(read_manifest(path, types, recorded), root, path.parent, str(path))


def _of_manifest(manifest: Manifest, root: str | os.PathLike[str] | None, default: Path, name: str) -> Given:
    entries = entries_of_manifest(manifest, default if root is None else Path(root), name)
    return _looked_into(entries, manifest.notes, labeled=True)


def _looked_into(entries: Sequence[Entry], notes: Sequence[str], *, labeled: bool) -> Given:
    found = images_in(entries, labeled=labeled)
    return Given(found.entries, [*notes, *found.notes])


def _of_arrays(
    images: Any,
    labels: Sequence[Any] | None,
    ids: Sequence[str] | None,
    metadata: Mapping[str, Sequence[Any]] | pd.DataFrame | None,
    types: Types,
    prefix: str,
) -> Sequence[Entry]:
    if isinstance(images, np.ndarray) and images.ndim not in (3, 4):
        raise ShapeError(
            f"images= takes an array (n, height, width) or (n, height, width, bands), or a list of images; "
            f"this one has shape {images.shape}."
        )
    if metadata is not None and not isinstance(metadata, Mapping | pd.DataFrame):
        raise DataError(f"metadata= takes columns by name, not {type(metadata).__name__}: give a dict or a DataFrame.")
    if isinstance(images, Iterator):
        raise DataError(
            f"images= takes an array or a list of images, not {type(images).__name__}: give list(images), in several "
            "calls where they do not fit into memory."
        )
    images = in_order("images", images)
    if not hasattr(images, "__len__"):
        raise DataError(f"images= takes an array or a list of images, not {type(images).__name__}: give [image].")
    n = len(images)
    free = dict(metadata) if metadata is not None else {}
    for name in free:
        check_name("Image", name)
    default_ids = (f"{prefix}/{position:06d}" for position in range(n))
    all_ids = [id_of(id_) for id_ in in_order("ids", ids)] if ids is not None else list(default_ids)
    given: dict[str, Sequence[Any]] = {
        name: values_of(pd.Series(list(in_order(name, column)), dtype=object)) for name, column in free.items()
    }
    if absent := [name for name in types if name not in given and name != "label"]:
        raise DataError(f"types= names {absent[0]!r}, and metadata= has no such column.")
    all_labels: Sequence[Any] = list(in_order("labels", labels)) if labels is not None else [None] * n
    given = typed(given, types)
    all_labels = typed({"label": all_labels}, types)["label"]
    columns: dict[str, Sequence[Any]] = {"ids": all_ids, "labels": all_labels, **given}
    for name, column in columns.items():
        if len(column) != n:
            raise ShapeError(f"{n} images, but {len(column)} {name}: give one for each image.")
    return EntryTable(all_ids, all_labels, given, images)
