"""Data set versions as files: out with everything that makes their digest, and in again, or refused.

Three formats hold the same ``manifest.parquet`` (a row an image: id, label, digest, metadata) and differ in where the
pixels are: in the Parquet itself, in class folders, or in the tar files of WebDataset. Pixels are lossless: PNG where
it holds the dtype and bands exactly (uint8 with 1 or 3 bands, uint16 with 1), NumPy's .npy for all else.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from odin_graph.catalog.batch import ImageBatch
from odin_graph.catalog.datasets import create_dataset
from odin_graph.catalog.frozen import content_digest
from odin_graph.catalog.images import add_images
from odin_graph.catalog.pixels import ARRAY
from odin_graph.catalog.versions import Members
from odin_graph.errors import ConflictError, DataError, StoreError
from odin_graph.progress import progress_bar
from odin_graph.stores import Stores

Format: TypeAlias = Literal["parquet", "folder", "webdataset"]

FORMATS: Final = ("parquet", "folder", "webdataset")
MANIFEST: Final = "manifest.parquet"
_HEAD: Final = b"odin_dataset"
_VERSION: Final = 1
_AT_ONCE: Final = 1_000
"""Images a row group, a tar file, and a transaction."""
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
_REVISION: Final = re.compile(r"@(\d+)$")


@dataclass(frozen=True)
class Head:
    """What the manifest says of the version."""

    base: str
    digest: str
    label_field: str | None
    format: Format


def export(stores: Stores, dataset: str, path: Path, kind: Format, *, progress: bool = True) -> None:
    """Write a version into a new folder.

    Raises:
        ConflictError: The folder exists and is not empty.
        DataError: Another format, or members that were deleted.
    """
    if kind not in FORMATS:
        raise DataError(f"{kind!r} is no format of a data set: give {', '.join(FORMATS)}.")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise ConflictError(f"{path} exists and is not empty: give the name of a new folder.")
    rows = _manifest(stores, dataset)
    (record,) = stores.graph.read("MATCH (d:Dataset {id: $id}) RETURN properties(d) AS d", {"id": dataset})
    own = record["d"]
    head = {
        "version": _VERSION,
        "base": own["base"],
        "digest": own["digest"],
        "label_field": own.get("label_field"),
        "format": kind,
    }
    fresh = path.with_name(f".{path.name}.part")
    fresh.mkdir(parents=True, exist_ok=True)
    writer: pq.ParquetWriter | None = None
    with progress_bar(f"export {dataset}", rows.num_rows, show=progress) as advance:
        for shard, at in enumerate(range(0, rows.num_rows, _AT_ONCE)):
            part = rows.slice(at, _AT_ONCE)
            images = stores.columns.array(ARRAY).read_list(part.column("key").to_numpy())
            part = _with_pixels(part.drop_columns(["key"]), images, kind, fresh, shard)
            if writer is None:
                schema = part.schema.with_metadata({_HEAD: json.dumps(head).encode()})
                writer = pq.ParquetWriter(fresh / MANIFEST, schema, compression="zstd")
            writer.write_table(part.cast(writer.schema))
            advance(part.num_rows)
    if writer is not None:
        writer.close()
    if path.exists():
        path.rmdir()
    fresh.rename(path)  # whole, or not under its name


def load(stores: Stores, path: Path, base: str | None, *, progress: bool = True) -> str:
    """Store what `export` wrote; the id of the version, with its version.

    Images that are there already, by id and pixels, are the same images.

    Raises:
        DataError: It is no such folder, or its content is not what its digest says; then no data set is made.
    """
    file = path / MANIFEST
    if not file.exists():
        raise DataError(
            f"{path} holds no {MANIFEST}, so it is no exported data set: db.images.add({str(path)!r}) reads images."
        )
    source = pq.ParquetFile(file)
    head = _read_head(source, file)
    keys: list[NDArray[np.int64]] = []
    labels: list[Any] = []
    digests: list[str] = []
    with progress_bar(f"import {head.base}", source.metadata.num_rows, show=progress) as advance:
        for shard in range(source.num_row_groups):
            part = source.read_row_group(shard)
            images = list(_read_pixels(part, head.format, path))
            said = part.column("label").to_pylist()
            free = [name for name in part.column_names if name not in (*_OURS, "file", "pixels")]
            batch = ImageBatch(
                ids=[_REVISION.sub(r".v\1", id_) for id_ in part.column("id").to_pylist()],
                pixels=images,
                labels=said,
                metadata={name: part.column(name).to_pylist() for name in free},
            )
            stored = add_images(stores, batch)
            keys.append(stored.keys)
            labels += said
            digests += part.column("digest").to_pylist()
            advance(part.num_rows)
    _check(stores, head, np.concatenate(keys), labels, digests, path)
    none = head.label_field is None
    return create_dataset(
        stores,
        base or head.base,
        np.concatenate(keys),
        label=head.label_field,
        labels=None if none else pa.array(labels, pa.null() if all(label is None for label in labels) else None),
    )


def _manifest(stores: Stores, dataset: str) -> pa.Table:
    members = Members.of(stores, dataset)
    names = [name for name in stores.columns.fields("Image") if name not in ("key", "label")]
    held = stores.columns.images(names, members.keys)
    place = pa.compute.index_in(pa.array(members.keys), held.column("key"))
    if place.null_count:
        raise DataError(
            f"{place.null_count} images of {dataset} were deleted, so that the export would not be the version. "
            "Revise it, which leaves them out: dataset.revise()."
        )
    rows = held.take(place)
    kept = [name for name in names if name in ("id", "digest", "height", "width", "bands", "dtype")]
    free = [name for name in names if name not in _OURS]
    columns = {"key": rows.column("key"), **{name: rows.column(name) for name in kept}}
    columns["label"] = stores.columns.members(dataset).column("label")
    return pa.table({**columns, **{name: rows.column(name) for name in free}})


def _with_pixels(part: pa.Table, images: list[NDArray[Any]], kind: Format, folder: Path, shard: int) -> pa.Table:
    if kind == "parquet":
        return part.append_column("pixels", pa.array([image.tobytes() for image in images], pa.large_binary()))
    rows = part.to_pylist()
    first = shard * _AT_ONCE
    if kind == "folder":
        names = []
        for at, (row, image) in enumerate(zip(rows, images, strict=True), start=first):
            data, suffix = _encoded(image)
            file = Path("images") / _safe(str(row["label"])) / f"{at:07}-{_safe(row['id'])}{suffix}"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(data)
            names.append(str(file))
        return part.append_column("file", pa.array(names, pa.string()))
    tar = f"{shard:06}.tar"
    with tarfile.open(folder / tar, "w") as out:
        for at, (row, image) in enumerate(zip(rows, images, strict=True), start=first):
            data, suffix = _encoded(image)
            said = json.dumps({name: value for name, value in row.items() if value is not None}, default=str)
            for name, held in ((f"{at:09}{suffix}", data), (f"{at:09}.json", said.encode())):
                entry = tarfile.TarInfo(name)
                entry.size = len(held)
                out.addfile(entry, io.BytesIO(held))
    return part.append_column("file", pa.array([tar] * len(rows), pa.string()))


def _read_pixels(part: pa.Table, kind: Format, folder: Path) -> Iterator[NDArray[Any]]:
    if kind == "parquet":
        for row in part.select(["pixels", "height", "width", "bands", "dtype"]).to_pylist():
            shape = row["height"], row["width"], row["bands"]
            yield np.frombuffer(row["pixels"], row["dtype"]).reshape(shape)
        return
    if kind == "folder":
        for name in part.column("file").to_pylist():
            file = (folder / name).resolve()
            if not file.is_relative_to(folder.resolve()):
                raise DataError(f"The manifest names {name!r}, which is outside of {folder}.")
            yield _decoded(file.read_bytes(), file.suffix)
        return
    with tarfile.open(folder / part.column("file")[0].as_py()) as tar:
        for entry in tar:
            if not entry.name.endswith(".json") and (held := tar.extractfile(entry)) is not None:
                yield _decoded(held.read(), Path(entry.name).suffix)


def _encoded(image: NDArray[Any]) -> tuple[bytes, str]:
    from PIL import Image

    out = io.BytesIO()
    bands = image.shape[-1]
    if (image.dtype == np.uint8 and bands in (1, 3)) or (image.dtype == np.uint16 and bands == 1):
        Image.fromarray(image[:, :, 0] if bands == 1 else image).save(out, "PNG")
        return out.getvalue(), ".png"
    np.save(out, image, allow_pickle=False)
    return out.getvalue(), ".npy"


def _decoded(data: bytes, suffix: str) -> NDArray[Any]:
    from PIL import Image

    if suffix == ".npy":
        held: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
        return held
    image = np.asarray(Image.open(io.BytesIO(data), formats=("PNG",)))
    return image.astype(np.uint16) if image.dtype.kind in "iu" and image.dtype.itemsize > 1 else image


def _safe(name: str) -> str:
    """As a part of a path, on any system."""
    return re.sub(r"[^\w.\-]+", "_", name)[:100].strip(".") or "_"


def _read_head(source: pq.ParquetFile, file: Path) -> Head:
    try:
        said = json.loads(source.schema_arrow.metadata[_HEAD])
        head = Head(said["base"], said["digest"], said["label_field"], said["format"])
    except (TypeError, KeyError, ValueError) as error:
        raise DataError(f"{file} is a table, but not the manifest of an exported data set.") from error
    if said["version"] > _VERSION:
        raise DataError(f"{file} was written by a newer odin_graph: update this one.")
    return head


def _check(
    stores: Stores, head: Head, keys: NDArray[np.int64], labels: list[Any], digests: list[str], path: Path
) -> None:
    """Compare what is stored now with what was exported."""
    held = stores.columns.images(["id", "digest"], keys)
    by_key = dict(zip(held.column("key").to_pylist(), held.column("digest").to_pylist(), strict=True))
    found = [by_key[key] for key in keys.tolist()]
    for place, (stored, exported) in enumerate(zip(found, digests, strict=True)):
        if stored != exported:
            raise StoreError(
                f"{path} is damaged: the pixels of image {place} are others than when it was exported. No data set "
                "is made. Export it again."
            )
    if content_digest(found, labels) != head.digest:
        raise StoreError(
            f"{path} is damaged: its images and labels do not make the digest {head.digest[:12]} that it was exported "
            "with, so a label, an image or the order was changed. No data set is made. Export it again, or add the "
            "images as new ones with db.images.add(...)."
        )
