"""The pixels of an exported version: in the Parquet itself, in class folders, or in tar files."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.errors import DataError

Format: TypeAlias = Literal["parquet", "folder", "webdataset"]

FORMATS: Final = ("parquet", "folder", "webdataset")
FILE: Final = "odin_file"
PIXELS: Final = "odin_pixels"
"""Columns of the manifest, beside those of the user's metadata."""
AT_ONCE: Final = 1_000
"""Images a row group, a tar file, and a transaction."""


def folder_names(labels: Sequence[Any]) -> dict[str, str]:
    """A folder name for each class, by the class as text; unique even for classes like <5mm and >5mm."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for label in sorted({str(label) for label in labels}):
        name, number = _safe(label), 1
        while name.casefold() in taken:  # some file systems ignore case
            number += 1
            name = f"{_safe(label)}-{number}"
        taken.add(name.casefold())
        names[label] = name
    return names


def with_pixels(
    part: pa.Table,
    images: list[NDArray[Any]],
    kind: Format,
    folder: Path,
    shard: int,
    folders: Mapping[str, str],
) -> pa.Table:
    """Write the images of a shard; return the table with a column of their files, or of their pixels."""
    if kind == "parquet":
        return part.append_column(PIXELS, pa.array([image.tobytes() for image in images], pa.large_binary()))
    rows = part.to_pylist()
    first = shard * AT_ONCE
    if kind == "folder":
        names = []
        for at, (row, image) in enumerate(zip(rows, images, strict=True), start=first):
            data, suffix = _encoded(image)
            file = Path("images") / folders[str(row["label"])] / f"{at:07}-{_safe(row['id'])}{suffix}"
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(data)
            names.append(str(file))
        return part.append_column(FILE, pa.array(names, pa.string()))
    tar = f"{shard:06}.tar"
    with tarfile.open(folder / tar, "w") as out:
        for at, (row, image) in enumerate(zip(rows, images, strict=True), start=first):
            data, suffix = _encoded(image)
            metadata = json.dumps({name: value for name, value in row.items() if value is not None}, default=str)
            for name, content in ((f"{at:09}{suffix}", data), (f"{at:09}.json", metadata.encode())):
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                out.addfile(entry, io.BytesIO(content))
    return part.append_column(FILE, pa.array([tar] * len(rows), pa.string()))


def read_pixels(part: pa.Table, kind: Format, folder: Path) -> Iterator[NDArray[Any]]:
    """The images of a shard, in its order."""
    if kind == "parquet":
        for row in part.select([PIXELS, "height", "width", "bands", "dtype"]).to_pylist():
            shape = row["height"], row["width"], row["bands"]
            yield np.frombuffer(row[PIXELS], row["dtype"]).reshape(shape)
        return
    if kind == "folder":
        for name in part.column(FILE).to_pylist():
            file = (folder / name).resolve()
            if not file.is_relative_to(folder.resolve()):
                raise DataError(f"The manifest names {name!r}, which is outside of {folder}.")
            yield _decoded(file.read_bytes(), file.suffix)
        return
    with tarfile.open(folder / part.column(FILE)[0].as_py()) as tar:
        for entry in tar:
            if not entry.name.endswith(".json") and (content := tar.extractfile(entry)) is not None:
                yield _decoded(content.read(), Path(entry.name).suffix)


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
        array: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
        return array
    image = np.asarray(Image.open(io.BytesIO(data), formats=("PNG",)))
    return image.astype(np.uint16) if image.dtype.kind in "iu" and image.dtype.itemsize > 1 else image


def _safe(name: str) -> str:
    """Make a name safe as a part of a path on any system."""
    return re.sub(r"[^\w.\-]+", "_", name)[:100].strip(".") or "_"
