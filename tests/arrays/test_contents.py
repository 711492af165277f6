"""What was stored is read as it was stored, or refused: whatever happens to a file, and whatever any clock says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tiledb

from odin_graph.arrays import ArrayStore, SegmentInfo, opening, tiled
from odin_graph.config import Budget
from odin_graph.errors import StoreError
from tests.arrays.conftest import Past

BUDGET = Budget(memory=1 << 30, threads=2)
ROWS = np.random.default_rng(0).integers(0, 255, (40, 16, 16, 1), np.uint8)
KEYS = np.arange(40)


class Image:
    """A huge image, read by rows."""

    shape = (600, 500, 1)
    dtype = np.dtype("uint8")
    pixels = np.random.default_rng(1).integers(0, 255, shape, dtype)

    def rows(self, first: int, end: int) -> np.ndarray:
        return self.pixels[first:end].copy()


def _dense(store: ArrayStore) -> SegmentInfo:
    return store.write_dense("pixels", KEYS, ROWS)


def _ragged(store: ArrayStore) -> SegmentInfo:
    return store.write_ragged("pixels", KEYS, [row[: 4 + n % 8] for n, row in enumerate(ROWS)])


def _tiled(store: ArrayStore) -> SegmentInfo:
    return store.write_tiled("pixels", 1, Image())


def _table(store: ArrayStore) -> SegmentInfo:
    return store.write_table("members", pa.table({"key": KEYS, "label": [f"class {key % 7}" for key in KEYS]}))


def _units(store: ArrayStore) -> SegmentInfo:
    values = ROWS.reshape(40, -1).T.astype(np.float32)
    return store.units.write("layer", KEYS, len(values), [values[:100], values[100:200], values[200:]], "u8")


WRITERS: dict[str, Callable[[ArrayStore], SegmentInfo]] = {
    "dense": _dense,
    "ragged": _ragged,
    "tiled": _tiled,
    "table": _table,
    "units": _units,
}


def read(store: ArrayStore, info: SegmentInfo) -> list[bytes]:
    """All that the segment holds."""
    match info.codec:
        case "table":
            return [str(store.read_table(info).to_pydict()).encode()]
        case "units":
            every = np.arange(info.shape[0])
            return [store.units.columns(info, every).tobytes(), store.units.scales(info).tobytes()]
        case "tiled":
            return [row.tobytes() for row in [*store.read_list(info, np.array([0])), store.read_overview(info)]]
        case _:
            return [row.tobytes() for row in store.read_list(info, KEYS)]


def _gone(past: Past, file: str) -> None:
    past.delete(file)


def _cut(past: Past, file: str) -> None:
    past.put(file, past.get(file)[:-1] or b"x")


def _byte(past: Past, file: str) -> None:
    data = bytearray(past.get(file) or b"\0")
    data[len(data) // 2] ^= 1
    past.put(file, bytes(data))


def _emptied(past: Past, file: str) -> None:
    past.put(file, b"" if past.get(file) else b"x")


@pytest.mark.parametrize("damage", [_gone, _cut, _byte, _emptied])
@pytest.mark.parametrize("codec", WRITERS)
def test_a_damaged_file_is_never_read_as_something_else(
    codec: str, damage: Callable[[Past, str], None], root: str, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file of a segment, gone or altered: the next reader refuses, and so does a deep check."""
    monkeypatch.setattr(tiled, "SLAB_BYTES", 1 << 17)
    store = ArrayStore(root, BUDGET)
    info = WRITERS[codec](store)
    files = past.names(f"{root}/{info.uri}")
    assert len(files) >= (1 if codec == "table" else 4)
    for file in files:
        whole = past.get(file)
        damage(past, file)
        fresh = ArrayStore(root, BUDGET)
        with pytest.raises(StoreError, match=r"odin doctor"):
            read(fresh, info)
        assert fresh.check(info, deep=True), file
        past.put(file, whole)
    assert read(ArrayStore(root, BUDGET), info) == read(store, info)


def test_what_is_written_into_a_segment_is_refused(root: str) -> None:
    """Another client that opens the array and writes has it refused, with all its checksums right."""
    store = ArrayStore(root, BUDGET)
    info = _dense(store)
    with tiledb.open(f"{root}/{info.uri}", "w", ctx=store.raw.context()) as array:
        array[0:1] = np.zeros((1, 256), np.uint8)
    with pytest.raises(StoreError, match="missing, added or changed"):
        read(ArrayStore(root, BUDGET), info)


def test_segments_that_change_places_are_refused(root: str, past: Past) -> None:
    """Two sound segments of the same keys and shape, each where the other belongs."""
    store = ArrayStore(root, BUDGET)
    one, other = store.write_dense("pixels", KEYS, ROWS), store.write_dense("pixels", KEYS, ROWS[::-1])
    held = {name: past.get(name) for info in (one, other) for name in past.names(f"{root}/{info.uri}")}
    for name in held:
        past.delete(name)
    for name, data in held.items():
        swapped = name.replace(one.uri, other.uri) if one.uri in name else name.replace(other.uri, one.uri)
        past.put(swapped, data)
    for info in (one, other):
        with pytest.raises(StoreError, match="missing, added or changed"):
            read(ArrayStore(root, BUDGET), info)


def test_a_commit_that_is_lost_under_an_open_store_is_an_error(root: str, past: Past) -> None:
    """Also after the segment was verified, a hole is no pixels of 255."""
    store = ArrayStore(root, BUDGET)
    info = _dense(store)
    assert read(store, info)
    for name in past.names(f"{root}/{info.uri}"):
        if "/__commits/" in name:
            past.delete(name)
    with pytest.raises(StoreError, match="a part is missing"):
        read(store, info)


def _commits(past: Past, address: str) -> list[str]:
    return sorted(name for name in past.names(address) if "/__commits/" in name)


@pytest.mark.parametrize(("codec", "array"), [("tiled", "pixels"), ("units", "values")])
def test_each_commit_of_several_that_is_lost_under_an_open_store_is_an_error(
    codec: str, array: str, root: str, past: Past, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first, an inner one and the last; what comes back is read again."""
    monkeypatch.setattr(tiled, "SLAB_BYTES", 1 << 17)
    store = ArrayStore(root, BUDGET)
    info = WRITERS[codec](store)
    expected = read(store, info)
    commits = _commits(past, f"{root}/{info.uri}/{array}")
    assert len(commits) >= 3
    for commit in commits:
        content = past.get(commit)
        past.delete(commit)
        with pytest.raises(StoreError, match=r"missing, added or changed.*odin doctor"):
            read(store, info)
        past.put(commit, content)
        assert read(store, info) == expected


def test_a_commit_that_is_lost_while_units_are_read_is_an_error(root: str, past: Past) -> None:
    """A purge reads them slab by slab, and would write a hole again as values."""
    store = ArrayStore(root, BUDGET)
    info = _units(store)
    slabs = store.units.slabs(info, room=1)
    assert next(slabs).values.any()
    values = f"{root}/{info.uri}/values"
    (inner,) = (
        fragment.uri.rpartition("/")[2]
        for fragment in tiledb.FragmentInfoList(values, ctx=store.raw.context())
        if fragment.nonempty_domain[0] == (100, 199)
    )
    (commit,) = (name for name in _commits(past, values) if inner in name)
    past.delete(commit)
    with pytest.raises(StoreError, match="missing, added or changed"):
        list(slabs)


@pytest.mark.parametrize("codec", WRITERS)
def test_no_clock_takes_part_in_what_is_written(codec: str, root: str, past: Past) -> None:
    """Fragments carry no time, so that TileDB finds them as of any moment since 1970."""
    names = past.names(f"{root}/{WRITERS[codec](ArrayStore(root, BUDGET)).uri}")
    fragments = [name.partition("/__fragments/")[2] for name in names if "/__fragments/" in name]
    assert all(name.startswith(f"__{opening.WRITTEN}_{opening.WRITTEN}_") for name in fragments)
    assert fragments or codec == "table"


@pytest.mark.parametrize("codec", WRITERS)
def test_what_a_fast_clock_wrote_is_there(
    codec: str, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fragments from the year 2100 are read like any other, without and with the caches."""
    store = ArrayStore(root, BUDGET)
    expected = read(store, WRITERS[codec](store))
    monkeypatch.setattr(opening, "WRITTEN", 4_102_444_800_000)
    info = WRITERS[codec](store)
    assert read(ArrayStore(root, BUDGET), info) == expected
    assert read(ArrayStore(root, BUDGET, tmp_path / "cache" / "decoded"), info) == expected


def test_a_segment_without_a_digest_is_a_fault(root: str) -> None:
    """A client that takes it off its node is found out."""
    store = ArrayStore(root, BUDGET)
    info = _dense(store)
    assert store.check(info) == []
    assert store.check(replace(info, digest=""))
