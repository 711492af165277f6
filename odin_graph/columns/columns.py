"""The columns of one workspace. Metadata goes stale when the graph changes; what is frozen never does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore, SegmentedArray, SegmentInfo
from odin_graph.columns.cached_table import CachedTable, Source
from odin_graph.columns.fields import arrow_type, fields
from odin_graph.columns.floats import canonical_table
from odin_graph.columns.patching import keys_of
from odin_graph.columns.reading import LOOK_UP_COST, read_all, read_deleted, read_deleted_of, read_keys
from odin_graph.columns.recent import Recent
from odin_graph.columns.roots import read_roots, read_roots_of
from odin_graph.columns.segment_rows import segment_rows
from odin_graph.columns.statistics import Statistics, statistics_of
from odin_graph.errors import OdinError, StoreError, UnknownNameError
from odin_graph.graph import ChangeToken, Graph
from odin_graph.graph.journal import ROOT, Touched
from odin_graph.graph.moment import Moment
from odin_graph.schema.metadata import FieldType

_TRIES: Final = 3
"""Readings that others may spoil by writing, at least, before the last is taken as it is."""
_PATIENCE: Final = 5.0
"""Seconds of such readings, at least."""
_OF_IMAGES: Final = ("pixels", "originals")
"""Arrays with a row an image."""
_MOST_STATISTICS: Final = 4096
"""Statistics of frozen columns that are kept."""
_ROOT: Final = ("key", "root")

Probabilities: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.float32]]"


class Columns:
    """Arrow columns by key, read from the graph and the arrays, and kept.

    Args:
        graph: The graph.
        arrays: The arrays, which hold what is frozen.
        folder: A local folder for columns of this workspace; can be dropped at any time.
    """

    def __init__(self, graph: Graph, arrays: ArrayStore, folder: Path) -> None:
        self._graph = graph
        self._arrays = arrays
        self._images = CachedTable(
            graph,
            folder / "Image.json",
            Source(
                lambda names: read_all(graph, self._known(names)),
                lambda keys, names: read_keys(graph, keys, self._known(names)),
                _of_any,
            ),
        )
        self._roots = CachedTable(
            graph,
            folder / "roots.json",
            Source(lambda _: read_roots(graph), lambda keys, _: read_roots_of(graph, keys), _of_edges),
        )
        self._gone = CachedTable(
            graph,
            folder / "deleted.json",
            Source(lambda _: read_deleted(graph), lambda keys, _: read_deleted_of(graph, keys), _of_rows),
        )
        self._loading = threading.RLock()
        self._tables: Recent[pa.Table] = Recent(arrays.budget.memory // 8, lambda table: int(table.nbytes))
        self._probabilities: Recent[Probabilities] = Recent(
            arrays.budget.memory // 8, lambda entry: entry[0].nbytes + entry[1].nbytes
        )
        self._frozen: dict[tuple[str, ...], Statistics] = {}
        os.register_at_fork(after_in_child=self._after_fork)

    def fields(self, kind: str = "Image", at: Moment | None = None) -> dict[str, FieldType]:
        """Every field of a kind with its type, ours and free metadata."""
        return fields(at or self._graph.moment(), kind)

    def images(self, names: Sequence[str], keys: NDArray[np.int64] | None = None, at: Moment | None = None) -> pa.Table:
        """The columns ``key`` and ``names`` of images that are not deleted, sorted by key; null where missing.

        Args:
            names: The fields.
            keys: Only these images, those of them that are there. Where columns are stale and the images few, nothing
                else is read.
            at: A moment that was looked up for this question; what is older is read again.

        Raises:
            UnknownNameError: There is no such field.
        """
        return self.images_at(names, keys, at)[0]

    def images_at(
        self, names: Sequence[str], keys: NDArray[np.int64] | None = None, at: Moment | None = None
    ) -> tuple[pa.Table, ChangeToken | None]:
        """What `images` gives, and its moment; None where others kept writing and the rows are of several moments."""
        wanted = list(dict.fromkeys(["key", *names]))
        with self._loading:
            token = self._images.catch_up(at.token if at is not None else self._graph.change_token())
            types = self._types(wanted, at)
            stale = [name for name, type_ in types.items() if not self._images.has(name, arrow_type(type_))]
            if (token is None or stale) and keys is not None and self._are_few(keys):
                return self._read(lambda: read_keys(self._graph, keys, self._types(wanted)))
            if token is None or stale:
                table, token = self._all(self._images, wanted)
            else:
                table = self._images.columns(wanted)
        return (table if keys is None else _only(table, keys)), token

    def known(self, name: str, at: Moment) -> Statistics | None:
        """The statistics of a field of images, if its column is cached and current; reads nothing."""
        with self._loading:
            if self._images.catch_up(at.token) is None or not self._images.has(name):
                return None
            return self._images.statistics(name)

    def known_of(self, array: str, name: str, at: Moment) -> Statistics:
        """The statistics of a frozen column: a data set's label, or a column of a prediction set."""
        segments = self.segments(array, at)
        key = (*(info.id for info in segments), name)
        if key not in self._frozen:
            if len(self._frozen) >= _MOST_STATISTICS:
                self._frozen.clear()
            self._frozen[key] = statistics_of(_whole(self._table(array, at).column(name)))
        return self._frozen[key]

    def roots(self, keys: NDArray[np.int64] | None = None) -> pa.Table:
        """Columns ``key`` and ``root`` of the images that were derived or are revisions, sorted by key.

        ``root`` is a string: the key of the image at the beginning, or ``Volume/ID`` or ``Video/ID``. New pixels of an
        image have the root of the old ones. What was made of several images has a row for each root.

        Args:
            keys: Only these images. Where columns are stale and the images few, nothing else is read.
        """
        with self._loading:
            current = self._roots.catch_up(self._graph.change_token()) is not None and self._roots.has("key")
            if not current and keys is not None and self._are_few(keys):
                return self._read(lambda: read_roots_of(self._graph, keys))[0]
            table = (
                self._roots.columns(_ROOT) if current and self._roots.has("root") else self._all(self._roots, _ROOT)[0]
            )
        return table if keys is None else _only(table, keys)

    def segments(self, array: str, at: Moment | None = None) -> tuple[SegmentInfo, ...]:
        """The segments of an array that the graph names, in the order they were made in."""
        rows = segment_rows(
            at or self._graph.moment(),
            self._graph,
            "MATCH (s:Segment {array: $array}) RETURN properties(s) AS s ORDER BY s.created_at, s.id",
            {"array": array},
        )
        return tuple(SegmentInfo.from_node(row["s"]) for row in rows)

    def segments_of(self, arrays: Sequence[str]) -> dict[str, list[SegmentInfo]]:
        """The segments of many arrays in one query, by array, in the order they were made in."""
        rows = segment_rows(
            self._graph,
            self._graph,
            "UNWIND $arrays AS array MATCH (s:Segment {array: array}) "
            "RETURN array, properties(s) AS s ORDER BY s.created_at, s.id",
            {"arrays": list(arrays)},
        )
        found: dict[str, list[SegmentInfo]] = {}
        for row in rows:
            found.setdefault(row["array"], []).append(SegmentInfo.from_node(row["s"]))
        return found

    def array(self, array: str) -> SegmentedArray:
        """An array by name, over the segments that it has now."""
        named = self._named if array in _OF_IMAGES else None
        return SegmentedArray(self._arrays, self.segments(array), lambda: self.segments(array), named)

    def _named(self, keys: NDArray[np.int64]) -> str:
        """How messages name images: the first by id, and how many there are."""
        keys = np.unique(keys)
        try:
            (row,) = self._graph.read("MATCH (i:Image {key: $key}) RETURN i.id AS id", {"key": int(keys[0])})
        except (OdinError, ValueError):  # the caller's own message matters more
            row = {"id": None}
        name = f"of key {keys[0]}" if row["id"] is None else f"{row['id']!r} (key {keys[0]})"
        return f"image {name}" if len(keys) == 1 else f"{len(keys):,} images of which the first is {name}"

    def members(self, dataset: str, at: Moment | None = None) -> pa.Table:
        """Columns ``key`` and ``label`` of a data set version, in its order, with the labels it froze."""
        return self._table(f"Dataset/{dataset}/members", at)

    def deleted(self, at: Moment | None = None) -> NDArray[np.int64]:
        """The keys of all deleted images, sorted; read once, until somebody writes."""
        with self._loading:
            token = at.token if at is not None else self._graph.change_token()
            if self._gone.catch_up(token) is not None and self._gone.has("key"):
                return keys_of(self._gone.columns(["key"]))
            return keys_of(self._all(self._gone, ["key"])[0])

    def present(self, table: pa.Table, at: Moment | None = None) -> pa.Table:
        """The rows of a table with ``key`` whose image was not deleted, in their order."""
        gone = self.deleted(at)
        if not len(gone):
            return table
        return table.filter(pa.array(~np.isin(table.column("key").to_numpy(), gone)))

    def predictions(self, set_id: str, at: Moment | None = None) -> pa.Table:
        """Columns ``key``, ``predicted``, ``confidence``, ``wrong`` of a prediction set, sorted by key."""
        return self._table(f"PredictionSet/{set_id}/columns", at)

    def probabilities(self, set_id: str, at: Moment | None = None) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Keys (n,), sorted, and probabilities (n, classes) of a prediction set."""
        segments = self.segments(f"PredictionSet/{set_id}/probabilities", at)

        def load() -> Probabilities:
            array = SegmentedArray(self._arrays, segments)
            keys = array.coverage()
            rows = array.read(keys)
            rows.flags.writeable = False
            return keys, rows

        if not segments:
            raise StoreError(
                f"The prediction set {set_id!r} has no probabilities: it was logged without. "
                "Log them with log_predictions(probabilities=..., classes=...)."
            )
        return self._probabilities.get(segments, load)

    def _table(self, array: str, at: Moment | None) -> pa.Table:
        segments = self.segments(array, at)
        if not segments:
            raise StoreError(f"{array} has no stored table. Run `odin doctor`.")
        return self._tables.get(segments, lambda: self._read_table(segments))

    def _after_fork(self) -> None:
        """In a forked child: the thread that holds the lock does not exist here."""
        self._loading = threading.RLock()

    def _read_table(self, segments: tuple[SegmentInfo, ...]) -> pa.Table:
        """Read a table, which can be cached by its segments: those never change."""
        tables = [self._arrays.read_table(info) for info in segments]
        if len(tables) > 1:
            tables = [pa.concat_tables(tables, promote_options="permissive").sort_by("key")]
        return canonical_table(tables[0])

    def _all(self, cached: CachedTable, names: Sequence[str]) -> tuple[pa.Table, ChangeToken | None]:
        """Read columns of all images, again where a foreign client wrote meanwhile, and cache them.

        Where others never stop writing, the last table is returned without a moment and not cached: every row as it was
        committed, none older than this call, but of several moments, as in a scan by the engine.
        """
        until, tries = time.monotonic() + _PATIENCE, 0
        while True:
            table, token = cached.read(names)
            tries += 1
            if token is not None or (tries >= _TRIES and time.monotonic() > until):
                return table, token

    def _read(self, load: Callable[[], pa.Table]) -> tuple[pa.Table, ChangeToken | None]:
        """Read a few rows, again where somebody wrote meanwhile, as `_all` does."""
        until, tries = time.monotonic() + _PATIENCE, 0
        while True:
            before = self._graph.change_token()
            table = load()
            if self._graph.change_token() == before:
                return table, before
            tries += 1
            if tries >= _TRIES and time.monotonic() > until:
                return table, None

    def _are_few(self, keys: NDArray[np.int64]) -> bool:
        """Whether to look images up is faster than to scan all of them."""
        (row,) = self._graph.read("MATCH (n:Image) RETURN count(n) AS n")
        return len(keys) * LOOK_UP_COST < int(row["n"])

    def _types(self, names: Iterable[str], at: Moment | None = None) -> dict[str, FieldType]:
        known = self.fields(at=at)
        for name in names:
            if name not in known:
                raise UnknownNameError.of("image field", name, known)
        return {name: known[name] for name in names}

    def _known(self, names: Iterable[str]) -> dict[str, FieldType]:
        """The types of those fields that still exist."""
        known = self.fields()
        return {name: known[name] for name in names if name in known}


def _of_any(change: Touched, names: Sequence[str]) -> Sequence[str]:
    return names if change.fields is None else [name for name in names if name in change.fields]


def _of_rows(change: Touched, names: Sequence[str]) -> Sequence[str]:
    """Of what only comes and goes with images."""
    return names if change.fields is None else ()


def _of_edges(change: Touched, names: Sequence[str]) -> Sequence[str]:
    return names if change.fields is None or ROOT in change.fields else ()


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array of plain values."""
    array = column.combine_chunks()
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _only(table: pa.Table, keys: NDArray[np.int64]) -> pa.Table:
    """The rows of these keys, from a table sorted by key."""
    stored, wanted = table.column("key").to_numpy(), np.unique(keys)
    first, end = (np.searchsorted(stored, wanted, side) for side in ("left", "right"))
    number = end - first
    return table.take(pa.array(np.arange(number.sum()) + np.repeat(first - np.cumsum(number) + number, number)))
