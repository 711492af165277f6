"""Data set versions as files: export with everything that makes their digest; an import checks it.

All three formats have the same ``manifest.parquet`` (a row an image: id, label, digest, metadata) and differ in where
the pixels are: in the Parquet itself, in class folders, or in the tar files of WebDataset. Pixels are lossless: PNG if
it can store the dtype and bands exactly (uint8 with 1 or 3 bands, uint16 with 1), otherwise the .npy format of NumPy.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from odin_graph.arrays.pixel_reader import PixelReader
from odin_graph.catalog.datasets.datasets import create_dataset
from odin_graph.catalog.datasets.exchange_pixels import (
    AT_ONCE,
    FILE,
    FORMATS,
    PIXELS,
    Format,
    folder_names,
    read_pixels,
    with_pixels,
)
from odin_graph.catalog.datasets.frozen import content_digest
from odin_graph.catalog.datasets.versions import Members
from odin_graph.catalog.images.batch import ImageBatch, image_digest
from odin_graph.catalog.images.differing import differing
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.images.roots import give_roots, roots_by
from odin_graph.catalog.records.fields import recorded_types
from odin_graph.catalog.records.updates import update_metadata
from odin_graph.errors import ConflictError, DataError, DataWarning, OdinError, StoreError
from odin_graph.folder import writing_to
from odin_graph.graph import Transaction
from odin_graph.graph.writer import batches, create_edges
from odin_graph.progress import progress_bar
from odin_graph.schema.metadata import FieldType, convert, decode
from odin_graph.served import served
from odin_graph.stores import Stores
from odin_graph.warned import warn

MANIFEST: Final = "manifest.parquet"
_HEAD: Final = b"odin_dataset"
_VERSION: Final = 1
_OURS: Final = (
    "id",
    "key",
    "label",
    "digest",
    "height",
    "width",
    "bands",
    "dtype",
    "path",
    "created_at",
    "file_digest",
)
__all__ = ["FORMATS", "MANIFEST", "Format", "check_target", "export", "load", "manifest_of"]
_REVISION: Final = re.compile(r"^(.*)@(\d+)$", re.DOTALL)
_BASE: Final = "odin_base_digest"
"""Manifest column: for a revision, the digest of the image that it revises."""
_DIGESTS: Final = "UNWIND $ids AS id MATCH (i:Image {id: id}) RETURN i.id AS id, i.digest AS digest"
_UNLINKED: Final = """
UNWIND $ids AS id MATCH (i:Image {id: id}) WHERE NOT (i)-[:REVISION_OF]->(:Image) RETURN collect(i.id) AS ids
"""
_KEYS: Final = "UNWIND $ids AS id MATCH (i:Image {id: id}) RETURN collect(i.key) AS keys"
_EXISTING: Final = "UNWIND $ids AS id MATCH (i:Image {id: id}) RETURN collect(i.id) AS ids"


@dataclass(frozen=True)
class Head:
    """The header of the manifest, which describes the version."""

    base: str
    digest: str
    label_field: str | None
    format: Format
    tags: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)


def check_target(path: Path, kind: Format) -> None:
    """Refuse an export before anything is read for it.

    Raises:
        ConflictError: The folder exists and is not empty.
        DataError: Another format.
    """
    if kind not in FORMATS:
        raise DataError(f"{kind!r} is not a format of a data set: give {', '.join(FORMATS)}.")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConflictError(f"{path} exists and is not empty: give the name of a new folder.")


@served
def manifest_of(stores: Stores, dataset: str) -> pa.Table:
    """What `export` writes of a version besides pixels: a row an image, and about the version in the schema.

    Raises:
        DataError: Members were deleted.
    """
    (record,) = stores.graph.read("MATCH (d:Dataset {id: $id}) RETURN properties(d) AS d", {"id": dataset})
    own = record["d"]
    head = {
        "version": _VERSION,
        "base": own["base"],
        "digest": own["digest"],
        "label_field": own.get("label_field"),
        "tags": list(own.get("tags") or ()),
        "metadata": _metadata_to_json(stores, own),
    }
    return _manifest(stores, dataset).replace_schema_metadata({_HEAD: json.dumps(head).encode()})


def export(rows: pa.Table, pixels: PixelReader, dataset: str, path: Path, kind: Format, *, progress: bool) -> None:
    """Write a version into a new folder: images with labels, metadata and versions, and its own metadata and tags.

    Args:
        rows: The manifest, of `manifest_of`.
        pixels: The pixels of all images, of this machine or another one.
        dataset: Its id, for the progress bar.
        path: The folder, which `check_target` has checked.
        kind: The format.
        progress: Show a progress bar.

    Raises:
        SpaceError: No space is left.
        StoreError: The folder cannot be written, pixels cannot be read, or are not those of the image's digest.
    """
    fresh = path.with_name(f".{path.name}.part")
    with writing_to(path):
        try:
            shutil.rmtree(fresh, ignore_errors=True)  # from a call that was killed
            fresh.mkdir(parents=True)
            _write(rows, pixels, kind, fresh, dataset, progress)
            if path.exists():
                path.rmdir()
            fresh.rename(path)  # so that a folder of this name is always complete
        except BaseException:
            shutil.rmtree(fresh, ignore_errors=True)
            raise


def _write(rows: pa.Table, pixels: PixelReader, kind: Format, folder: Path, dataset: str, progress: bool) -> None:
    head = json.dumps({**json.loads(rows.schema.metadata[_HEAD]), "format": kind}).encode()
    folders = folder_names(rows.column("label").to_pylist())
    with ExitStack() as end, progress_bar(f"export {dataset}", rows.num_rows, show=progress) as advance:
        writer: pq.ParquetWriter | None = None
        for shard, at in enumerate(range(0, rows.num_rows, AT_ONCE)):
            part = rows.slice(at, AT_ONCE)
            images = pixels.read_list(part.column("key").to_numpy())
            _check_digests(part, images)
            part = with_pixels(part.drop_columns(["key"]), images, kind, folder, shard, folders)
            if writer is None:
                schema = part.schema.with_metadata({_HEAD: head})
                made = pq.ParquetWriter(folder / MANIFEST, schema, compression="zstd", write_page_checksum=True)
                writer = end.enter_context(made)
            writer.write_table(part.cast(writer.schema))
            advance(part.num_rows)


def _check_digests(rows: pa.Table, images: Sequence[NDArray[Any]]) -> None:
    for id_, digest, image in zip(
        rows.column("id").to_pylist(), rows.column("digest").to_pylist(), images, strict=True
    ):
        if image_digest(image) != digest:
            raise StoreError(
                f"The pixels of {id_!r} are not those that were stored, so they are not exported: run `odin doctor "
                "--deep`, and restore them from a backup."
            )


def load(stores: Stores, path: Path, base: str | None, *, progress: bool = True) -> str:
    """Import what `export` wrote; return the id with its version.

    Images that exist already, by id and pixels, are left as they are; if their label or metadata differ from the
    export, a `DataWarning` says so. A revision ``ID@2`` stays the revision ``ID@2``.

    Raises:
        ConflictError: An id exists with other pixels.
        DataError: The folder is not an export, or its content does not match its digest; then no data set is made.
    """
    file = path / MANIFEST
    if not file.exists():
        raise DataError(
            f"{path} has no {MANIFEST}, so it is not an exported data set: db.images.add({str(path)!r}) reads images."
        )
    with _read(path):
        manifest = pq.ParquetFile(file, page_checksum_verification=True)
        frozen = manifest.read(
            [name for name in ("id", "label", "digest", _BASE) if name in manifest.schema_arrow.names]
        )
    head = _read_head(manifest, file)
    _check_digest(path, head, frozen)
    keys: list[NDArray[np.int64]] = []
    others: list[str] = []
    _check_bases(stores, frozen)
    with progress_bar(f"import {head.base}", manifest.metadata.num_rows, show=progress) as advance:
        for shard in range(manifest.num_row_groups):
            with _read(path):
                part = manifest.read_row_group(shard)
                images = list(read_pixels(part, head.format, path))
            part_labels = part.column("label").to_pylist()
            free = [name for name in part.column_names if name not in (*_OURS, _BASE, FILE, PIXELS)]
            ids, digests = part.column("id").to_pylist(), part.column("digest").to_pylist()
            _check_pixels(path, ids, images, digests)
            batch = ImageBatch(
                ids=ids,
                pixels=images,
                digests=digests,
                labels=part_labels,
                metadata={name: part.column(name).to_pylist() for name in free},
                versions=True,
            )
            stored = add_images(stores, batch)
            if stored.skipped:
                positions = differing(stores, stored.keys, {"label": part_labels, **batch.metadata})
                others += [ids[position] for position in positions]
            keys.append(stored.keys)
            advance(part.num_rows)
    _link_revisions(stores, frozen.column("id").to_pylist())
    if others:
        warn(
            f"{len(others):,} images of {path} are here with another label or other metadata, first {others[0]!r}, and "
            "were left as they are: db.labels.update(...) and db.images.update(...) change them.",
            DataWarning,
        )
    unlabeled = head.label_field is None
    dataset = create_dataset(
        stores,
        base or head.base,
        np.concatenate(keys),
        label=head.label_field,
        labels=None if unlabeled else frozen.column("label").combine_chunks(),
    )
    _describe(stores, dataset, head)
    return dataset


def _metadata_to_json(stores: Stores, own: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The free metadata of a version, each value with its type, as JSON."""
    types = recorded_types(stores.graph, "Dataset")
    result: dict[str, list[Any]] = {}
    for name in types.keys() & own.keys():
        value = decode(own[name], types[name])
        if value is not None:
            text = convert(value, FieldType.STRINGS if types[name].is_list else FieldType.STRING)
            result[name] = [types[name].value, text]
    return result


def _describe(stores: Stores, dataset: str, head: Head) -> None:
    """Add the exported tags and metadata to a version; existing metadata is kept."""
    (row,) = stores.graph.read("MATCH (d:Dataset {id: $id}) RETURN properties(d) AS own", {"id": dataset})
    tags = list(dict.fromkeys([*(row["own"].get("tags") or ()), *head.tags]))
    if tags:
        stores.graph.write("MATCH (d:Dataset {id: $id}) SET d.tags = $tags", {"id": dataset, "tags": tags})
    if new := {name: [value] for name, value in head.metadata.items() if name not in row["own"]}:
        update_metadata(stores, "Dataset", [dataset], new)


def _check_bases(stores: Stores, table: pa.Table) -> None:
    """Refuse revisions of an image that has other pixels here, before anything is stored."""
    if _BASE not in table.column_names:  # an export of an older version
        return
    bases = {
        found[1]: digest
        for id_, digest in zip(table.column("id").to_pylist(), table.column(_BASE).to_pylist(), strict=True)
        if digest is not None and (found := _REVISION.match(id_))
    }
    for part in batches(list(bases), AT_ONCE):
        for row in stores.graph.read(_DIGESTS, {"ids": part}):
            if row["digest"] is not None and row["digest"] != bases[row["id"]]:
                raise ConflictError(
                    f"The export has revisions of {row['id']!r}, but {row['id']!r} has other pixels in this workspace "
                    "than in the export. Nothing was loaded: load it into a workspace of its own."
                )


def _link_revisions(stores: Stores, ids: Sequence[str]) -> None:
    """Make each revision a REVISION_OF its latest earlier version that exists here."""
    numbers = {id_: (found[1], int(found[2])) for id_ in ids if (found := _REVISION.match(id_))}
    for part in batches(list(numbers), AT_ONCE):

        def link(tx: Transaction, part: list[str] = part) -> None:
            (row,) = tx.run(_UNLINKED, {"ids": part}) or ({"ids": []},)
            earlier = {
                id_: [base, *(f"{base}@{number}" for number in range(2, version))]
                for id_, (base, version) in numbers.items()
                if id_ in row["ids"]
            }
            candidates = sorted({name for names in earlier.values() for name in names})
            (row,) = tx.run(_EXISTING, {"ids": candidates}) or ({"ids": []},)
            existing = set(row["ids"])
            edges = [
                {"start": id_, "end": before[-1]}
                for id_, names in earlier.items()
                if (before := [name for name in names if name in existing])
            ]
            create_edges(tx, "REVISION_OF", ("Image", "id"), ("Image", "id"), edges)
            linked = tx.run(_KEYS, {"ids": [edge["start"] for edge in edges]}) or [{"keys": []}]
            roots = roots_by(tx.run, linked[0]["keys"])
            give_roots(tx, [(key, key) for key in roots], roots)

        stores.graph.execute(link)


def _manifest(stores: Stores, dataset: str) -> pa.Table:
    members = Members.of(stores, dataset)
    names = [name for name in stores.columns.fields("Image") if name not in ("key", "label")]
    images = stores.columns.images(names, members.keys)
    positions = pa.compute.index_in(pa.array(members.keys), images.column("key"))
    if positions.null_count:
        raise DataError(
            f"{positions.null_count} images of {dataset} were deleted, so that the export would not be the version. "
            "Revise it, which leaves them out: dataset.revise()."
        )
    rows = images.take(positions)
    fixed = [name for name in names if name in ("id", "digest", "height", "width", "bands", "dtype")]
    free = [name for name in names if name not in _OURS]
    columns = {"key": rows.column("key"), **{name: rows.column(name) for name in fixed}}
    columns["label"] = stores.columns.members(dataset).column("label")
    columns[_BASE] = _base_digests(stores, rows.column("id").to_pylist())
    return pa.table({**columns, **{name: rows.column(name) for name in free}})


def _base_digests(stores: Stores, ids: Sequence[str]) -> pa.Array:
    bases = [found[1] if (found := _REVISION.match(id_)) else None for id_ in ids]
    known: dict[str | None, str | None] = {}
    for part in batches(sorted({base for base in bases if base is not None}), AT_ONCE):
        known.update((row["id"], row["digest"]) for row in stores.graph.read(_DIGESTS, {"ids": part}))
    return pa.array([known.get(base) for base in bases], pa.string())


def _read_head(source: pq.ParquetFile, file: Path) -> Head:
    try:
        data = json.loads(source.schema_arrow.metadata[_HEAD])
        metadata = {name: _metadata_from_json(type_, text) for name, (type_, text) in data.get("metadata", {}).items()}
        tags = data.get("tags", ())
        head = Head(data["base"], data["digest"], data["label_field"], data["format"], tags, metadata)
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{file} is a table, but not the manifest of an exported data set.") from error
    if data["version"] > _VERSION:
        raise DataError(f"{file} was written by a newer odin_graph: update this one.")
    return head


def _metadata_from_json(type_: str, text: Any) -> Any:
    to = FieldType(type_)
    if to.scalar is FieldType.STRING:
        return text
    return [convert(item, to.scalar) for item in text] if to.is_list else convert(text, to)


@contextmanager
def _read(path: Path) -> Iterator[None]:
    """Turn what a damaged export makes readers raise into an error of ours."""
    try:
        yield
    except OdinError:
        raise
    except Exception as error:
        raise StoreError(
            f"{path} is damaged: {str(error) or type(error).__name__}. No data set is made. Export it again."
        ) from error


def _check_digest(path: Path, head: Head, frozen: pa.Table) -> None:
    """Compare the manifest with the digest that it was exported with, before anything of it is stored."""
    with _read(path):
        found = content_digest(frozen.column("digest").to_pylist(), frozen.column("label").to_pylist())
    if found != head.digest:
        raise StoreError(
            f"{path} is damaged: its images and labels do not make the digest {head.digest[:12]} that it was exported "
            "with, so a label, an image or the order was changed. No data set is made. Export it again, or add the "
            "images as new ones with db.images.add(...)."
        )


def _check_pixels(path: Path, ids: list[str], images: list[NDArray[Any]], digests: list[str]) -> None:
    """Compare pixels with their digests, before they are stored."""
    if len(images) != len(ids):
        raise StoreError(
            f"{path} is damaged: {len(images):,} of {len(ids):,} images of a part are there. No data set is made. "
            "Export it again."
        )
    for id_, pixels, digest in zip(ids, images, digests, strict=True):
        if image_digest(pixels) != digest:
            raise StoreError(
                f"{path} is damaged: the pixels of {id_!r} are others than when it was exported. No data set is made. "
                "Export it again."
            )
