"""Frames of a file or a series, in their order, as a volume or a video: its slices or frames are images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.images.stacks import PARTS, Stack
from odin_graph.config import Budget
from odin_graph.errors import ShapeError, UnreadableImageError
from odin_graph.ingest.decoding import check_memory
from odin_graph.ingest.entry import Entry
from odin_graph.ingest.files import is_text, printable
from odin_graph.ingest.formats.source import nbytes
from odin_graph.ingest.readers import Opened, Readers
from odin_graph.ingest.table import EntryTable
from odin_graph.schema.reserved import check_name

_SHARE: Final = 32
"""Frames that together take less than this share of the budget's memory are decoded once, others twice."""


class FrameArray:
    """Frames as an array (n, h, w) or (n, h, w, bands) that is read where it is sliced."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        first = opened[0]
        self.dtype = first.dtype
        self.shape = (len(opened), *(first.shape if first.shape[2] > 1 else first.shape[:2]))

    def __getitem__(self, where: Any) -> NDArray[Any]:
        """The frame at ``where[0]``."""
        (index,) = where
        found = self._opened[index].read()
        return found if found.shape[2] > 1 else found[..., 0]


def without_stacks(entries: Sequence[Entry]) -> tuple[Sequence[Entry], list[list[Entry]]]:
    """The entries of single images, and those of each volume and video.

    Raises:
        MetadataError: A name that metadata of a volume or a video may not have.
    """
    if isinstance(entries, EntryTable):
        return entries, []
    found: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.part is not None and entry.part.stack is not None:
            found.setdefault(entry.part.thing, []).append(entry)
            for name in entry.metadata:
                check_name(entry.part.stack, name)
    if not found:
        return entries, []
    return [entry for entry in entries if entry.part is None or entry.part.stack is None], list(found.values())


def stack_of(readers: Readers, entries: Sequence[Entry], budget: Budget, labels: Sequence[str]) -> Stack:
    """The volume or video that is made of entries, each of a frame, all of them readable.

    Args:
        readers: Those that are installed.
        entries: Of all frames of one thing, in their order.
        budget: A frame is held whole, within its memory.
        labels: Of the nodes of the images.

    Raises:
        UnreadableImageError: A frame cannot be read, or has another shape or dtype; names the file.
    """
    part, path = entries[0].part, entries[0].path
    assert part is not None
    assert part.stack is not None
    assert path is not None
    opened = readers.open(part.files)
    first = opened[0]
    if len(opened) != len(entries):
        raise UnreadableImageError(f"{printable(path)}: it changed while it was read")
    for entry in entries:
        if not is_text(entry.id, entry.label, entry.path):
            raise UnreadableImageError(f"{printable(path)}: its name, id or label is not UTF-8: rename it")
    for index in range(len(opened)):
        frame = opened[index]
        if (frame.shape, frame.dtype) != (first.shape, first.dtype):
            raise UnreadableImageError(
                f"{printable(path)}: {PARTS[part.stack]} {index} is {frame.dtype} of shape {frame.shape}, and the "
                f"first is {first.dtype} of shape {first.shape}: they are not a {part.stack.lower()}"
            )
    check_memory(path, first, budget, by_rows=False)
    lazy = FrameArray(opened)
    if nbytes(first) * len(opened) <= budget.memory // _SHARE:
        array: Any = np.stack([lazy[(index,)] for index in range(len(opened))])
    else:
        array = lazy
        for index in range(len(opened)):
            lazy[(index,)]  # what is damaged fails here, before any of it is stored
    names = dict.fromkeys(name for entry in entries for name in entry.metadata)
    columns = {name: [entry.metadata.get(name) for entry in entries] for name in names}
    try:
        return Stack(
            kind=part.stack,
            id=part.thing,
            array=array,
            fps=opened.fps,
            labels=[entry.label for entry in entries],
            columns=columns,
            own={name: values[0] for name, values in columns.items() if all(value == values[0] for value in values)},
            paths=[entry.path for entry in entries],
            node_labels=labels,
        )
    except ShapeError as error:
        raise UnreadableImageError(f"{printable(path)}: {error}") from error
