"""Entries as columns: what a manifest or arrays give, a row an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from odin_graph.ingest.entry import Entry


@dataclass(frozen=True, eq=False)
class EntryTable(Sequence[Entry]):
    """Entries of files or of arrays, each made when it is asked for: a million are no more than their columns."""

    ids: Sequence[str]
    labels: Sequence[Any]
    metadata: Mapping[str, Sequence[Any]]
    images: Any = None
    """The pixels, where they are not in files."""
    paths: Sequence[str] | None = None
    names: Sequence[str] | None = None
    """Of the files; see `Entry`."""

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, row: int) -> Entry: ...
    @overload
    def __getitem__(self, row: slice) -> list[Entry]: ...
    def __getitem__(self, row: int | slice) -> Entry | list[Entry]:
        if isinstance(row, slice):
            return [self[place] for place in range(*row.indices(len(self)))]
        return Entry(
            self.ids[row],
            None if self.paths is None else self.paths[row],
            None if self.images is None else self.images[row],
            self.labels[row],
            {name: column[row] for name, column in self.metadata.items()},
            "" if self.names is None else self.names[row],
        )
