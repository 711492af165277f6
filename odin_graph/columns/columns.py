"""The columns of one workspace. Metadata goes stale when the graph changes; what is frozen never does."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore, SegmentedArray, SegmentInfo
from odin_graph.columns import snapshot_file
from odin_graph.columns.fields import column, fields
from odin_graph.columns.floats import canonical_table
from odin_graph.columns.recent import Recent
from odin_graph.columns.segment_rows import segment_rows
from odin_graph.columns.statistics import Statistics, statistics_of
from odin_graph.errors import OdinError, StoreError, UnknownNameError
from odin_graph.graph import ChangeToken, Graph
from odin_graph.graph.export import Part
from odin_graph.graph.moment import Moment
from odin_graph.graph.writer import batches, quoted
from odin_graph.schema.kinds import undeleted
from odin_graph.schema.metadata import FieldType

ROWS: Final = 20_000
"""Keys a statement: one list of rows comes in several times faster than as many records."""
_TRIES: Final = 3
"""Readings that others may spoil by writing, at least, before the last is taken as it is."""
_PATIENCE: Final = 5.0
"""Seconds of such readings, at least."""
_LOOK_UP_COST: Final = 4
"""Images that a scan reads in the time of one look-up by key (measured: 2 to 5 on either engine)."""
_OF_IMAGES: Final = ("pixels", "originals")
"""Arrays with a row an image."""
_LASTING: Final = ("key", "id", "digest")
"""Fields that never change while an image exists."""
_MOST_STATISTICS: Final = 4096
"""Statistics of frozen columns that are kept."""
# One clause a step, so that ArcadeDB begins at the deletions, which are few.
_GONE: Final = (
    "MATCH (x:Deletion) MATCH (x)<-[:INVALIDATED_BY]-(i:Image) WHERE i.deleted = true "
    "RETURN collect(DISTINCT i.key) AS keys"
)
_ROOTS: Final = "roots"
_UP: Final = "-[:HAS_ROOT|DERIVED_FROM|REVISION_OF]->"
_ROOT: Final = "RETURN collect([i.key, r.key, labels(r), r.id]) AS rows"
_ROOTS_OF: Final = f"UNWIND $keys AS key MATCH (i:Image {{key: key}}){_UP}(r) {_ROOT}"


Probabilities: TypeAlias = "tuple[NDArray[np.int64], NDArray[np.float32]]"


@dataclass(frozen=True)
class _Snapshot:
    token: ChangeToken
    table: pa.Table
    """Sorted by key; with any of the fields."""
    statistics: dict[str, Statistics] = field(default_factory=dict)
    """By column, for those whose statistics were requested."""


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
        self._folder = folder
        self._snapshots: dict[str, _Snapshot] = {}
        self._loading = threading.RLock()
        self._tables: Recent[pa.Table] = Recent(arrays.budget.memory // 8, lambda table: int(table.nbytes))
        self._probabilities: Recent[Probabilities] = Recent(
            arrays.budget.memory // 8, lambda entry: entry[0].nbytes + entry[1].nbytes
        )
        self._frozen: dict[tuple[str, ...], Statistics] = {}
        self._gone: tuple[ChangeToken, NDArray[np.int64]] | None = None
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
            now = at.token if at is not None else self._graph.change_token()
            current, token = self._current("Image", now), cast("ChangeToken | None", now)
            missing = [name for name in wanted if current is None or name not in current.column_names]
            if missing and keys is not None and self._are_few(keys):
                return self._read(lambda: self._load_keys("Image", keys, self._types("Image", wanted)))
            if missing:
                current, token = self._refresh("Image", wanted, () if current is None else current.column_names)
            assert current is not None
            table = current.select(wanted)
        return (table if keys is None else _only(table, keys)), token

    def known(self, name: str, at: Moment) -> Statistics | None:
        """The statistics of a field of images, if its column is cached and current; reads nothing."""
        with self._loading:
            if (
                self._current("Image", at.token) is None
                or name not in (snapshot := self._snapshots["Image"]).table.column_names
            ):
                return None
            if name not in snapshot.statistics:
                snapshot.statistics[name] = statistics_of(_whole(snapshot.table.column(name)))
            return snapshot.statistics[name]

    def known_of(self, array: str, name: str, at: Moment) -> Statistics:
        """The statistics of a frozen column: a data set's label, or a column of a prediction set."""
        segments = self.segments(array, at)
        key = (*(info.id for info in segments), name)
        if key not in self._frozen:
            if len(self._frozen) >= _MOST_STATISTICS:
                self._frozen.clear()
            self._frozen[key] = statistics_of(_whole(self._table(array, at).column(name)))
        return self._frozen[key]

    def lasting(self, keys: NDArray[np.int64]) -> pa.Table:
        """The columns ``key``, ``id`` and ``digest`` of images that are not deleted, sorted by key.

        These never change while an image exists: a table that was read at any time serves the images that it has, and
        only deletions since then and new images are looked up. So a caller that has just written does not read all
        images again.
        """
        with self._loading:
            snapshot = self._snapshots.get("Image")
            if snapshot is None or not {*_LASTING} <= {*snapshot.table.column_names}:
                return self.images(_LASTING, keys)
            if snapshot.token == self._graph.change_token():
                return _only(snapshot.table.select(_LASTING), keys)
            table = _only(snapshot.table.select(_LASTING), keys)
            new = np.setdiff1d(keys, table.column("key").to_numpy())
            if len(new) and not self._are_few(new):
                return self.images(_LASTING, keys)
            kept = self.present(table)
            if not len(new):
                return kept
            read, _ = self._read(lambda: self._load_keys("Image", new, self._types("Image", _LASTING)))
            return pa.concat_tables([kept, read.select(_LASTING)]).sort_by("key").combine_chunks()

    def roots(self, keys: NDArray[np.int64] | None = None) -> pa.Table:
        """Columns ``key`` and ``root`` of the images that were derived or are revisions, sorted by key.

        ``root`` is a string: the key of the image at the beginning, or ``Volume/ID`` or ``Video/ID``. New pixels of an
        image have the root of the old ones. What was made of several images has a row for each root.

        Args:
            keys: Only these images. Where columns are stale and the images few, nothing else is read.
        """
        with self._loading:
            table = self._current(_ROOTS, self._graph.change_token())
            if table is None and keys is not None and self._are_few(keys):
                return self._read(lambda: _only(_rooted(self._ups(keys)), keys))[0]
            if table is None:
                table, token = self._read(self._load_roots)
                if token is not None:
                    self._snapshots[_ROOTS] = _Snapshot(token, table)
                    snapshot_file.save(self._file(_ROOTS), table, str(token))
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
        token = at.token if at is not None else self._graph.change_token()
        cached = self._gone
        if cached is None or cached[0] != token:
            keys = np.sort(np.array((at or self._graph).read(_GONE)[0]["keys"], np.int64))
            cached = self._gone = (token, keys)
        return cached[1]

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

    def _current(self, kind: str, token: ChangeToken) -> pa.Table | None:
        snapshot = self._snapshots.get(kind)
        if snapshot is not None and snapshot.token == token:
            return snapshot.table
        saved = snapshot_file.load(self._file(kind), str(token))
        if saved is not None:
            self._snapshots[kind] = _Snapshot(token, saved)
        return saved

    def _refresh(self, kind: str, names: Sequence[str], others: Iterable[str]) -> tuple[pa.Table, ChangeToken | None]:
        """Read all images, and cache them if they are of one moment, which is returned.

        Args:
            kind: Their label.
            names: Fields that are asked for.
            others: Fields that are read as well, if they still exist.
        """

        def load() -> pa.Table:
            known = self.fields(kind)
            requested = dict.fromkeys([*names, *(name for name in others if name in known)])
            return self._load(kind, self._types(kind, requested))

        table, token = self._read(load)
        if token is not None:
            snapshot_file.save(self._file(kind), table, str(token))
            mapped = snapshot_file.load(self._file(kind), str(token))
            # Another process may have saved its own table there: of the same moment, and with other fields.
            if mapped is not None and {*table.column_names} <= {*mapped.column_names}:
                table = mapped
            self._snapshots[kind] = _Snapshot(token, table)
        return table, token

    def _read(self, load: Callable[[], pa.Table]) -> tuple[pa.Table, ChangeToken | None]:
        """Read, again where somebody wrote meanwhile, so that a table is of one moment, which is returned.

        Where others never stop writing, the last table is returned without a moment and not cached: every row as it was
        committed, none older than this call, but of several moments, as in a scan by the engine.
        """
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
        return len(keys) * _LOOK_UP_COST < int(row["n"])

    def _types(self, kind: str, names: Iterable[str]) -> dict[str, FieldType]:
        known = self.fields(kind)
        for name in names:
            if name not in known:
                raise UnknownNameError.of(f"{kind.lower()} field", name, known)
        return {name: known[name] for name in names}

    def _load(self, kind: str, types: dict[str, FieldType]) -> pa.Table:
        parts = self._graph.export(kind, types, lambda part: _table_of(part, types))
        return (
            pa.concat_tables([_table_of({name: [] for name in types}, types), *parts]).sort_by("key").combine_chunks()
        )

    def _load_roots(self) -> pa.Table:
        (ends,) = self._graph.read(f"MATCH (i:Image){_UP}() RETURN min(i.key) AS first, max(i.key) AS last")
        if ends["first"] is None:
            return _rooted([])
        statement = f"MATCH (i:Image){_UP}(r) WHERE i.key >= $first AND i.key < $end {_ROOT}"
        parts = [
            self._graph.read(statement, {"first": first, "end": first + ROWS})
            for first in range(ends["first"], ends["last"] + 1, ROWS)
        ]
        return _rooted([row for (part,) in parts for row in part["rows"]])

    def _ups(self, keys: NDArray[np.int64]) -> list[Sequence[Any]]:
        """The edges to roots of these images, of what these lead to, and so on: few levels, if any."""
        found: list[Sequence[Any]] = []
        seen: set[int] = set()
        level = np.unique(keys).tolist()
        while level:
            seen.update(level)
            rows = [
                row for part in batches(level, ROWS) for row in self._graph.read(_ROOTS_OF, {"keys": part})[0]["rows"]
            ]
            found += rows
            level = sorted({row[1] for row in rows if row[1] is not None} - seen)
        return found

    def _load_keys(self, kind: str, keys: NDArray[np.int64], types: dict[str, FieldType]) -> pa.Table:
        values = ", ".join(f"n.{quoted(name)}" for name in types)
        statement = (
            f"UNWIND $keys AS key MATCH (n:{kind} {{key: key}}) WHERE {undeleted()} RETURN collect([{values}]) AS rows"
        )
        parts = [_as_table([], types)]
        for part in batches(np.unique(keys).tolist(), ROWS):
            (found,) = self._graph.read(statement, {"keys": part})
            parts.append(_as_table(found["rows"], types))
        return pa.concat_tables(parts).sort_by("key").combine_chunks()

    def _file(self, kind: str) -> Path:
        return self._folder / f"{kind}.arrow"


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The column as one array of plain values."""
    array = column.combine_chunks()
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _as_table(rows: Sequence[Sequence[Any]], types: dict[str, FieldType]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in types)
    return _table_of(dict(zip(types, columns, strict=True)), types)


def _table_of(part: Part, types: Mapping[str, FieldType]) -> pa.Table:
    return pa.table({name: column(part[name], field) for name, field in types.items()})


def _rooted(rows: Iterable[Sequence[Any]]) -> pa.Table:
    """The roots of each image, from edges: its key, the key, labels and id of what it leads to.

    Every chain is followed to its end: what other clients drew may have no HAS_ROOT, or several parents.
    """
    up: dict[int, tuple[int | str, ...]] = {}
    for key, root_key, labels, root_id in rows:
        root = root_key if root_key is not None else f"{'Volume' if 'Volume' in labels else 'Video'}/{root_id}"
        before = up.get(key, ())
        if root not in before:
            up[key] = (*before, root)
    keys: list[int] = []
    roots: list[str] = []
    for key in sorted(up):
        found = up[key] if up.keys().isdisjoint(up[key]) else _ends(up, key)
        keys += [key] * len(found)
        roots += sorted(map(str, found))
    return pa.table({"key": pa.array(keys, pa.int64()), "root": pa.array(roots, pa.string())})


def _ends(up: Mapping[int, Sequence[int | str]], key: int) -> set[int | str]:
    """The ends of all chains from a key; of a cycle, which has no end, all its nodes."""
    ends, visited, pending = set[int | str](), set[int | str](), [*up[key]]
    while pending:
        node = pending.pop()
        if not isinstance(node, int) or node not in up:
            ends.add(node)
        elif node not in visited:
            visited.add(node)
            pending += up[node]
    return ends or visited


def _only(table: pa.Table, keys: NDArray[np.int64]) -> pa.Table:
    """The rows of these keys, from a table sorted by key."""
    stored, wanted = table.column("key").to_numpy(), np.unique(keys)
    first, end = (np.searchsorted(stored, wanted, side) for side in ("left", "right"))
    number = end - first
    return table.take(pa.array(np.arange(number.sum()) + np.repeat(first - np.cumsum(number) + number, number)))
