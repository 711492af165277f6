"""`odin doctor --deep`: every pixel, value and file is read again, a part at a time: each is one answer of a server."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import PurePosixPath
from typing import Any, Final, Literal

import numpy as np

from odin_graph.arrays import SegmentedArray, SegmentInfo
from odin_graph.catalog.doctor.checks.fault import Fault, cleared, shown
from odin_graph.catalog.images.batch import image_digest
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.catalog.records.named_files import named_files
from odin_graph.catalog.records.segments import all_segments, segment_of
from odin_graph.errors import StoreError, TimeLimitError
from odin_graph.graph.writer import batches
from odin_graph.progress import progress_bar
from odin_graph.served import served, served_as, travels
from odin_graph.stores import Stores, hidden_texts

_IMAGES: Final = 512
"""Images of a part, at most."""
_BYTES: Final = 256 << 20
"""Their pixels, about."""
_FILES: Final = 16
"""Files of a part."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is read at once."""

    kind: Literal["pixels", "values", "files"]
    names: list[str]
    """The id of a segment; of files their paths."""
    start: int = 0
    """The first image of the segment, and how many."""
    rows: int = 0

    def argument_json(self) -> dict[str, Any]:
        """Its form on the way to a server."""
        return asdict(self)


@travels
@dataclass(frozen=True, slots=True)
class Found:
    """What is wrong with a part."""

    faults: tuple[Fault, ...] = ()
    changed: tuple[int, ...] = ()
    """The keys of images whose pixels are not what was stored."""


@served
def parts_of(stores: Stores) -> list[tuple[str, list[str], int, int]]:
    """Everything there is to read, as the fields of `Part`: pixels first, then other arrays, then files."""
    pixels: list[Part] = []
    others: list[Part] = []
    for info in all_segments(stores):
        if info.array != ARRAY:
            others.append(Part("values", [info.id]))
            continue
        rows = max(1, min(_IMAGES, _BYTES // max(1, prod(info.shape) * np.dtype(info.dtype).itemsize)))
        pixels += [Part("pixels", [info.id], start, rows) for start in range(0, info.rows, rows)]
    uris = sorted({named.uri for named in named_files(stores)})
    files = [Part("files", part) for part in batches(uris, _FILES)]
    return [(part.kind, part.names, part.start, part.rows) for part in (*pixels, *others, *files)]


def read_again(
    parts: Callable[[], Sequence[tuple[Any, list[str], int, int]]], check: Callable[[Part], Found], *, progress: bool
) -> Iterator[Fault]:
    """Have every part read; the faults, of changed images in one. What cannot be read is a fault.

    Args:
        parts: Lists them: `parts_of`, of these stores or of a server.
        check: Checks one: `check_part`, here or at a server.
        progress: Show a progress bar.
    """
    try:
        listed = [Part(*fields) for fields in parts()]
    except StoreError:  # `check_segments` reports it
        return
    changed: list[int] = []
    with progress_bar("doctor", len(listed), show=progress) as advance:
        for part in listed:
            found = check(part)
            yield from found.faults
            changed += found.changed
            advance(1)
    if changed:
        yield Fault(
            "pixels",
            f"{len(changed)} images are not what was stored, first keys {shown(changed)}.",
            "Restore the files from a backup, and have the disk checked.",
        )


def _check_for_others(stores: Stores, part: Part) -> Found:
    found, hidden = check_part(stores, part), hidden_texts(stores)
    return Found(tuple(cleared(fault, hidden) for fault in found.faults), found.changed)


@served_as(_check_for_others)
def check_part(stores: Stores, part: Part) -> Found:
    """Read a part, and compare it with its digests. What is gone since the parts were listed is left out."""
    try:
        if part.kind == "files":
            return Found(tuple(_files(stores, part.names)))
        if (info := segment_of(stores, part.names[0])) is None:
            return Found()
        if part.kind == "pixels":
            return _pixels(stores, info, part)
        return Found(
            tuple(
                Fault(f"segment {info.id} of {info.array!r}", reason, "Restore its files from a backup.")
                for reason in stores.arrays.check(info, deep=True)
            )
        )
    except TimeLimitError:
        raise  # of a server: it says nothing about the workspace
    except Exception as error:  # noqa: BLE001 - whatever a damaged graph contains, the other parts are read
        reason = str(error).strip().rstrip(".") or type(error).__name__
        return Found(
            (
                Fault(
                    part.names[0], f"It cannot be read again: {reason}.", "Mend the other faults first, or restore it."
                ),
            )
        )


def _pixels(stores: Stores, info: SegmentInfo, part: Part) -> Found:
    array = SegmentedArray(stores.arrays.uncached(), [info])  # the stored files, not cached pixels
    try:
        keys = stores.arrays.keys(info)[part.start : part.start + part.rows]
        images = stores.columns.images(["digest"], keys)  # of those that are not deleted
        digests = dict(zip(images.column("key").to_pylist(), images.column("digest").to_pylist(), strict=True))
        changed = tuple(
            key
            for key, pixels in zip(keys.tolist(), array.read_lazily(keys), strict=True)
            if key in digests and image_digest(pixels) != digests[key]
        )
    except (StoreError, OSError) as error:
        fault = Fault(f"segment {info.id}", f"Its pixels cannot be read: {error}", "Restore its files from a backup.")
        return Found((fault,))
    return Found(changed=changed)


def _files(stores: Stores, uris: Sequence[str]) -> Iterator[Fault]:
    named = {file.uri: file for file in named_files(stores)}
    for file in (named[uri] for uri in uris if uri in named):  # no other file is read for a stranger
        if not stores.arrays.raw.exists(file.uri):
            continue  # `check_files` reports it
        digest = hashlib.sha256()
        try:
            for piece in stores.arrays.raw.pieces(file.uri)[1]:
                digest.update(piece)
        except StoreError as error:
            yield Fault(file.thing, f"Its file cannot be read: {error}", file.remedy, file.mend)
            continue
        if digest.hexdigest() != PurePosixPath(file.uri).stem:
            yield Fault(file.thing, f"Its file {file.uri} is not what was written.", file.remedy, file.mend)
