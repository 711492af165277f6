"""A table of images that is kept, and brought up to date with what the journal of the graph says was changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.columns import snapshot_file
from odin_graph.columns.patching import exchange_rows, exchange_values, keys_of
from odin_graph.columns.reading import LOOK_UP_COST
from odin_graph.columns.snapshot_file import SavedTable
from odin_graph.columns.statistics import Statistics, statistics_of
from odin_graph.graph import ChangeToken, Graph
from odin_graph.graph.journal import Point, Touched

_ROUNDS: Final = 20
"""Times that rows are read which others change at the same time."""
_FEW: Final = 1_000
"""Rows that are looked up in any case."""
_UNSAVED: Final = 256
"""Changes after which the file is written again: a new process has to catch up with them."""

Keys = NDArray[np.int64]


@dataclass(frozen=True)
class Source:
    """Where the rows come from.

    Args:
        all: Reads some columns of all images, sorted by key.
        some: Reads some columns of images of these keys.
        affected: Which of some columns a change concerns: none, or all where it adds or removes rows.
    """

    all: Callable[[Sequence[str]], pa.Table]
    some: Callable[[Keys, Sequence[str]], pa.Table]
    affected: Callable[[Touched, Sequence[str]], Sequence[str]]


class CachedTable:
    """Columns ``key`` and others, sorted by key. Not safe for threads: whoever has it holds a lock.

    Args:
        graph: The graph, whose journal tells what was changed.
        note: The file beside which the columns are saved.
        source: Reads rows.
    """

    def __init__(self, graph: Graph, note: Path, source: Source) -> None:
        self._graph = graph
        self._note = note
        self._source = source
        self._table: pa.Table | None = None
        self._point: Point | None = None
        self._saved: SavedTable | None = None
        self._unchecked: set[str] = set()
        self._unsaved = 0
        self._statistics: dict[str, Statistics] = {}

    @property
    def names(self) -> list[str]:
        """The columns that are kept."""
        return [] if self._table is None else list(self._table.column_names)

    def has(self, name: str, type_: pa.DataType | None = None) -> bool:
        """Whether a column is kept, of a type if one is given, and as it was saved."""
        if self._saved is not None and name in self._unchecked:
            self._unchecked.discard(name)
            if not self._saved.is_whole(name):
                self._table = None if name == "key" or self._table is None else self._table.drop_columns([name])
        if self._table is None or name not in self._table.column_names:
            return False
        if type_ is not None and self._table.schema.field(name).type != type_:  # the field has another type by now
            self._table = self._table.drop_columns([name])
            self._statistics.pop(name, None)
            return False
        return True

    def statistics(self, name: str) -> Statistics:
        """The statistics of a column that is kept."""
        if name not in self._statistics:
            self._statistics[name] = statistics_of(self.columns([name]).column(name).combine_chunks())
        return self._statistics[name]

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns that are kept, each in one piece."""
        assert self._table is not None
        for name in names:
            column = self._table.column(name)
            if column.num_chunks > 1:
                self._table = _with(self._table, name, pa.chunked_array([column.combine_chunks()]))
        return self._table.select(list(names))

    def catch_up(self, token: ChangeToken) -> ChangeToken | None:
        """Bring the table to a state, or a later one, which is returned; None if it has to be read anew."""
        for _ in range(2):
            if self._point is None:
                self._load()
            if self._point is None:
                return None
            if self._point.token == token:
                return token
            reached = self._follow()
            if reached is not None:
                return reached
        return None  # nor is what is saved of any use, maybe by another process

    def read(self, names: Sequence[str]) -> tuple[pa.Table, ChangeToken | None]:
        """Read columns of all images, together with those that are kept unless these are up to date.

        Returns:
            The columns, and the state that they are of: None where others never stop writing, and rows are of several
            states, each as it was committed.
        """
        kept, wanted = self.names, list(names)
        missing = [name for name in wanted if name not in kept]
        if self._point is not None and missing and self.has("key"):
            self._align(missing)
        else:
            point = self._graph.point()
            table = self._source.all([*dict.fromkeys([*wanted, *kept])])
            self._forget()
            if point is None:
                return table.select(wanted), None
            self._table, self._point = table, point
        assert self._table is not None
        table = self._table.select(wanted)
        token = self._follow()
        if token is None:
            return table, None
        self._save()
        return self.columns(wanted), token

    def _follow(self) -> ChangeToken | None:
        """Apply what was changed since, until nothing is; None, and nothing is kept, where that is not possible."""
        for _ in range(_ROUNDS):
            assert self._point is not None
            if self._graph.change_token() == self._point.token:
                return self._point.token
            caught = self._graph.since(self._point)
            if caught is None or not self._apply(caught[0]):
                break
            touched, self._point = caught
            if not any(self._source.affected(change, self.names) for change in touched):
                if self._unsaved > _UNSAVED:
                    self._save()
                return self._point.token
        self._forget()
        return None

    def _apply(self, touched: Sequence[Touched]) -> bool:
        """Read the rows that were changed; False where it is as fast to read all."""
        names, rows = self.names, list[Keys]()
        values: dict[tuple[str, ...], list[Keys]] = {}
        for change in touched:
            affected = self._source.affected(change, names)
            if not affected:
                continue
            self._unsaved += 1
            whole = len(affected) == len(names)
            if change.keys is None and whole:
                return False
            if change.keys is None:
                self._align(affected)
            elif whole:
                rows.append(change.keys)
            else:
                values.setdefault(tuple(affected), []).append(change.keys)
        assert self._table is not None
        parts = [(names, rows)] * bool(rows) + [(["key", *some], parts) for some, parts in values.items()]
        todo = [(columns, np.unique(np.concatenate(keys))) for columns, keys in parts]
        looked_up = sum(len(keys) * len(columns) for columns, keys in todo) * LOOK_UP_COST
        if looked_up > max(self._table.num_rows, _FEW) * len(names):
            return False
        for columns, keys in todo:
            new = self._source.some(keys, columns)
            # A field may have been removed, or got another type, since.
            if set(columns) != set(new.column_names) or any(
                new.schema.field(name).type != self._table.schema.field(name).type for name in columns
            ):
                return False
            whole = columns is names
            self._table = exchange_rows(self._table, keys, new) if whole else exchange_values(self._table, new)
            for name in columns:
                self._statistics.pop(name, None)
        return True

    def _align(self, names: Sequence[str]) -> None:
        """Read some columns of all images, for the rows that there are; what was changed since is read again."""
        assert self._table is not None
        new = self._source.all(["key", *names])
        stored, keys = keys_of(self._table), keys_of(new)
        position = np.searchsorted(keys, stored)
        there = position < len(keys)
        there[there] = keys[position[there]] == stored[there]
        rows = new.take(pa.array(position, mask=~there))
        for name in names:
            if name in rows.column_names:
                self._table = _with(self._table, name, rows.column(name))
            elif name in self._table.column_names:  # the field was removed since
                self._table = self._table.drop_columns([name])
            self._statistics.pop(name, None)
            self._unchecked.discard(name)

    def _load(self) -> None:
        saved = snapshot_file.load(self._note)
        if saved is not None:
            self._saved, self._table, self._point = saved, saved.table, saved.point
            self._unchecked, self._unsaved = set(saved.table.column_names), 0

    def _save(self) -> None:
        if self._table is None or self._point is None:
            return
        for name in list(self._unchecked):
            self.has(name)
        if self._table is None:  # what was saved is damaged
            self._forget()
            return
        self._table, self._unsaved = self._table.combine_chunks(), 0
        saved = snapshot_file.save(self._note, self._table, self._point)
        if saved is not None:  # the mapped columns take no memory of ours
            self._table = saved.table

    def _forget(self) -> None:
        self._table = self._point = self._saved = None
        self._unchecked, self._unsaved = set(), 0
        self._statistics.clear()


def _with(table: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    position = table.schema.get_field_index(name)
    return table.append_column(name, column) if position < 0 else table.set_column(position, name, column)
