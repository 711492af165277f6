"""Segments of units: what is read is what was written, whatever cache, slab or purge lies between."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore, SegmentInfo, UnitArray, codes, compact, units, without
from odin_graph.arrays.units import slab_units, tile_of
from odin_graph.config import Budget
from odin_graph.errors import QueryError, ShapeError, SpaceError, StoreError, UnknownNameError
from tests.shares import share

BUDGET = Budget(memory=256 << 20, threads=2)
ARRAY = "ActivationSet/s/units"
CODECS = ("u8", "f16", "f32")


def drawn(units: int, n: int, seed: int = 0) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).normal(size=(units, n)).astype(np.float32)
    values[::2] = np.maximum(values[::2], 0)
    return values


def open_store(path: Path, *, cached: bool = True) -> ArrayStore:
    return ArrayStore(str(path / "arrays"), BUDGET, path / "cache" / "decoded" if cached else None)


def put(
    store: ArrayStore,
    values: NDArray[np.float32],
    codec: str = "u8",
    keys: NDArray[np.int64] | None = None,
    slab: int = 7,
) -> SegmentInfo:
    keys = np.arange(values.shape[1]) * 3 if keys is None else keys
    parts = (values[start : start + slab] for start in range(0, len(values), slab))
    return store.units.write(ARRAY, keys, len(values), parts, codec)  # type: ignore[arg-type]


def held(array: UnitArray, group: NDArray[np.int64]) -> dict[int, list[tuple[float, float]]]:
    """The interval of each unit of a group, by key."""
    found: dict[int, list[tuple[float, float]]] = {}
    for block in array.blocks(group):
        low, high = block.tables()
        for place, key in enumerate(block.keys.tolist()):
            assert key not in found
            said = block.values[:, place]
            found[key] = [(low[row, code], high[row, code]) for row, code in enumerate(said)]
    return found


@pytest.mark.parametrize("cached", [True, False])
def test_codes_come_back_for_any_group_in_any_order(tmp_path: Path, cached: bool) -> None:
    store, values = open_store(tmp_path, cached=cached), drawn(50, 400)
    info = put(store, values)
    expected, scales = codes.encode(values)
    assert (info.codec, info.dtype, info.shape, info.rows) == ("units", "uint8", (50,), 400)
    for group in ([3], [49, 0, 7], [5, 5, 6, 7, 8, 30], list(range(50)), []):
        chosen = np.array(group, np.int64)
        for _ in range(2):  # the second time from the cache
            np.testing.assert_array_equal(store.units.columns(info, chosen), expected[chosen])
        np.testing.assert_array_equal(store.units.scales(info, chosen)[:, :4], scales[chosen])
        np.testing.assert_array_equal(store.units.columns(info, chosen, slice(17, 90)), expected[chosen, 17:90])
    np.testing.assert_array_equal(open_store(tmp_path).units.columns(info, np.array([9, 2])), expected[[9, 2]])
    assert store.check(info, deep=True) == []


@pytest.mark.parametrize(("runs", "read"), [(2, 1 << 20), (128, 5_000), (1, 1)])
def test_units_that_lie_apart_are_read_in_few_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: int, read: int
) -> None:
    monkeypatch.setattr(units, "_RUNS", runs)
    monkeypatch.setattr(units, "_READ", read)
    store, values = open_store(tmp_path, cached=False), drawn(60, 300)
    info = put(store, values, "f32")
    for group in ([59, 0, 7, 8, 9, 30, 7], list(range(0, 60, 2)), list(range(60)), [4]):
        chosen = np.array(group, np.int64)
        np.testing.assert_array_equal(store.units.columns(info, chosen), values[chosen])
        np.testing.assert_array_equal(store.units.columns(info, chosen, slice(299, 300)), values[chosen, 299:])


def test_captured_values_are_read_without_their_scales(tmp_path: Path) -> None:
    store, values = open_store(tmp_path), drawn(10, 50)
    info = put(store, values, "f32")
    shutil.rmtree(Path(store.units._path(info), "scales"))
    (block,) = UnitArray(store, [info]).blocks(np.array([7, 2]))
    np.testing.assert_array_equal(block.decoded(), values[[7, 2]])
    with pytest.raises(StoreError, match="cannot be read"):
        _ = block.scales


@pytest.mark.parametrize("codec", CODECS)
def test_values_come_back_by_key(tmp_path: Path, codec: str) -> None:
    store, values = open_store(tmp_path), drawn(20, 100)
    values[4, 6], values[5, 7] = np.nan, np.inf
    keys = np.random.default_rng(1).permutation(1000)[:100].astype(np.int64)
    array = UnitArray(store, [put(store, values, codec, keys)])
    assert array.coverage().tolist() == sorted(keys.tolist())
    assert array.not_finite() == (1, 1)
    group, asked = np.array([4, 19, 5]), keys[[6, 3, 3, 7]]
    if codec == "u8":
        with pytest.raises(ShapeError, match="has codes, not values"):
            array.values(group, asked)
        return
    found = array.values(group, asked)
    np.testing.assert_allclose(found, values[group][:, [6, 3, 3, 7]].T, rtol=0 if codec == "f32" else 1e-3, atol=1e-3)
    assert codec == "f16" or (found.view(np.uint32) == values[group][:, [6, 3, 3, 7]].T.copy().view(np.uint32)).all()
    with pytest.raises(StoreError, match="1 keys have no row"):
        array.values(group, np.array([5000]))


@given(st.data())
@settings(max_examples=share(15))
def test_later_segments_count(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever the segments hold, each key has the interval of the last segment that holds it."""
    store = open_store(tmp_path_factory.mktemp("units"))
    infos, truth = [], dict[int, NDArray[np.float32]]()
    for seed in range(data.draw(st.integers(1, 3))):
        keys = np.array(sorted(data.draw(st.sets(st.integers(0, 30), min_size=1, max_size=20))), np.int64)
        values = drawn(6, len(keys), seed)
        infos.append(put(store, values, keys=keys))
        truth |= dict(zip(keys.tolist(), values.T, strict=True))
    array = UnitArray(store, infos)
    group = np.array(data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4)))
    found = held(array, group)
    assert sorted(found) == sorted(truth) == array.coverage().tolist()
    for key, intervals in found.items():
        for (low, high), value in zip(intervals, truth[key][group].tolist(), strict=True):
            assert low <= value <= high
    assert array.missing(np.array([31, *sorted(truth)])).tolist() == [31]


def test_a_purged_key_is_in_no_segment(tmp_path: Path) -> None:
    store, values = open_store(tmp_path), drawn(30, 60)
    for codec in CODECS:
        info = put(store, values, codec)
        (new,) = without(store, info, np.array([0, 3, 90, 1000]))
        left = np.setdiff1d(np.arange(60), [0, 1, 30])
        assert store.keys(new).tolist() == (left * 3).tolist()
        some = np.array([29, 1, 12])
        (block,) = UnitArray(store, [new]).blocks(some)
        if codec == "u8":
            low, high = block.tables()
            assert (np.take_along_axis(low, block.values, 1) <= values[some][:, left]).all()
            assert (values[some][:, left] <= np.take_along_axis(high, block.values, 1)).all()
        else:
            np.testing.assert_allclose(block.decoded(), values[some][:, left], rtol=0 if codec == "f32" else 2**-11)
        assert store.check(new, deep=True) == []
        assert without(store, info, store.keys(info)) == []


def test_compaction_leaves_units_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    infos = [put(store, drawn(4, 10, seed), keys=np.arange(10) + 10 * seed) for seed in range(3)]
    assert compact(store, infos) == infos


def test_columns_are_kept_decoded_and_dropped_at_any_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, values = open_store(tmp_path), drawn(40, 300)
    info, some = put(store, values), np.array([1, 30])
    expected = codes.encode(values)[0]
    reads: list[int] = []
    real = store.units._cache.columns  # type: ignore[union-attr]

    def counted(info: SegmentInfo, chosen: NDArray[np.int64], read: object) -> object:
        return real(info, chosen, lambda part: (reads.append(len(part)), read(part))[1])  # type: ignore[operator,func-returns-value]

    monkeypatch.setattr(store.units._cache, "columns", counted)
    for _ in range(3):
        np.testing.assert_array_equal(store.units.columns(info, some), expected[some])
    np.testing.assert_array_equal(store.units.columns(info, np.array([30, 2])), expected[[30, 2]])
    assert reads == [2, 1]
    (file,) = (tmp_path / "cache" / "units").iterdir()
    file.unlink()
    np.testing.assert_array_equal(store.units.columns(info, some), expected[some])
    assert reads == [2, 1, 2]
    np.testing.assert_array_equal(store.units.columns(info, np.array([3]), keep=False), expected[[3]])
    assert store.units._cache.lacks(info, np.array([3])) == 1  # type: ignore[union-attr]


def test_the_cache_keeps_its_budget(tmp_path: Path) -> None:
    small = Budget(memory=4 << 20, threads=2)
    store = ArrayStore(str(tmp_path / "arrays"), small, tmp_path / "cache" / "decoded")
    values = drawn(100, 2_000)
    infos = [put(store, values, "f32", slab=100) for _ in range(5)]
    for info in infos:
        for start in range(0, 100, 20):
            some = np.arange(start, start + 20)
            np.testing.assert_array_equal(store.units.columns(info, some), values[some])
    taken = sum(file.stat().st_blocks * 512 for file in (tmp_path / "cache" / "units").iterdir())
    assert taken <= (small.memory // 4) * 1.5


def test_a_folder_that_cannot_be_written_costs_speed_alone(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    store, values = open_store(tmp_path), drawn(5, 50)
    info = put(store, values, "f32")
    np.testing.assert_array_equal(store.units.columns(info, np.array([4, 1])), values[[4, 1]])


def test_a_file_that_may_not_grow_costs_speed_alone(tmp_path: Path) -> None:
    store, values = open_store(tmp_path), drawn(50, 5_000)
    info = put(store, values, "f32", slab=50)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        np.testing.assert_array_equal(store.units.columns(info, np.arange(30)), values[:30])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_wrong_units_and_slabs_are_said(tmp_path: Path) -> None:
    store, values = open_store(tmp_path), drawn(6, 10)
    info = put(store, values)
    with pytest.raises(QueryError, match=r"There is no unit 6: ActivationSet/s/units has 6, numbered from 0\."):
        store.units.columns(info, np.array([1, 6]))
    with pytest.raises(UnknownNameError, match="no codec of units 'u4'"):
        put(store, values, "u4")
    with pytest.raises(ShapeError, match="5 units were written, but 6 were announced"):
        store.units.write(ARRAY, np.arange(10), 6, iter([values[:5]]), "u8")
    with pytest.raises(ShapeError, match="of 10 images"):
        store.units.write(ARRAY, np.arange(10), 6, iter([values, values]), "u8")
    with pytest.raises(ShapeError, match="a key is given twice"):
        put(store, values, keys=np.zeros(10, np.int64))
    with pytest.raises(ShapeError, match="has units, not rows"):
        store.read_list(info, np.array([0]))


def test_check_says_what_is_gone(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    info = put(store, drawn(200, 500), slab=128)
    assert store.check(info, deep=True) == []
    fragments = sorted((tmp_path / "arrays" / info.uri / "values" / "__fragments").iterdir())
    assert len(fragments) == 2
    data = next(file for file in fragments[0].iterdir() if file.name.startswith("a0"))
    bytes_ = bytearray(data.read_bytes())
    bytes_[len(bytes_) // 2] ^= 255
    data.write_bytes(bytes(bytes_))
    assert store.check(info, deep=True)


def test_tiles_are_whole_units_of_many_images_or_many_units_of_few() -> None:
    assert tile_of(2048, 60_000) == (1, 60_000)
    assert tile_of(100_352, 10_000) == (6, 10_000)
    assert tile_of(3_211_264, 500) == (64, 500)
    assert tile_of(10, 300_000) == (1, 65_536)
    assert slab_units(100_352, 10_000, 64 << 20) % 6 == 0
    assert slab_units(3, 10_000, 1) == 3


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    said = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if said.returncode:
        pytest.skip("a full disk needs the right to mount one")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_keeps_nothing_half(small_disk: Path) -> None:
    store = ArrayStore(str(small_disk / "arrays"), BUDGET)
    info = put(store, drawn(20, 1000), "f32")
    before = {file.uri for file in store.files()}
    with pytest.raises(SpaceError, match="odin gc"):
        put(store, drawn(2_000, 1000), "f32", slab=200)
    assert {file.uri for file in store.files()} == before
    assert not list((small_disk / "arrays" / "fresh").iterdir())
    assert store.check(info, deep=True) == []
