"""Huge images as segments: any box is NumPy's slice, and only its tiles are read."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiledb
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore, SegmentedArray, SegmentInfo, compact, tiled
from odin_graph.arrays.boxes import Box
from odin_graph.arrays.overview import SIDE
from odin_graph.config import Budget
from odin_graph.errors import DataError, QueryError, ShapeError, StoreError
from tests.shares import share

BUDGET = Budget(memory=256 << 20, threads=2)
DTYPES = ("bool", "uint8", "int16", "uint16", "float16", "float32", "int64", "float64")


class Held:
    """An array in memory as something that is read by rows; it counts how many at once."""

    def __init__(self, pixels: NDArray[Any]) -> None:
        self.pixels, self.most = pixels, 0

    @property
    def shape(self) -> Any:
        return self.pixels.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.pixels.dtype

    def rows(self, first: int, end: int) -> NDArray[Any]:
        self.most = max(self.most, end - first)
        return self.pixels[first:end]


def noise(shape: tuple[int, ...], dtype: str, seed: int = 0) -> NDArray[Any]:
    """Every bit pattern of integers; floats of any size."""
    rng = np.random.default_rng(seed)
    if dtype.startswith("float"):
        return (rng.standard_normal(shape) * 1000).astype(dtype)
    if dtype == "bool":
        return rng.random(shape) > 0.5
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@st.composite
def boxes(draw: st.DrawFn, height: int, width: int) -> Box:
    """Boxes whose edges like to lie on, and one beside, the edges of tiles."""
    edges = [place + off for place in range(0, max(height, width) + 1, tiled.TILE) for off in (-1, 0, 1)]

    def span(size: int) -> tuple[int, int]:
        near = st.sampled_from([edge for edge in [*edges, size - 1, size] if 0 <= edge <= size])
        low, high = sorted(draw(st.lists(near | st.integers(0, size), min_size=2, max_size=2, unique=True)))
        return low, high

    (left, right), (top, bottom) = span(width), span(height)
    return left, top, right, bottom


def read_stats(call: Any) -> tuple[Any, int]:
    """What a call returns, and how many tiles TileDB says it read for it."""
    tiledb.stats_enable()
    try:
        tiledb.stats_reset()
        found = call()
        counters = json.loads(tiledb.stats_dump(json=True, print_out=False))
    finally:
        tiledb.stats_disable()
    text = json.dumps(counters)
    assert "Reader.num_tiles_read" in text, text
    return found, sum(
        value
        for part in (counters if isinstance(counters, list) else [counters])
        for name, value in part.get("counters", {}).items()
        if name.endswith("Reader.num_tiles_read")
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bands", [1, 3, 5])
def test_any_box_is_numpys_slice(root: str, dtype: str, bands: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the image was written in several slabs, whose edges are edges of fragments."""
    monkeypatch.setattr(tiled, "SLAB_BYTES", 1 << 17)
    store = ArrayStore(root, BUDGET)
    pixels = noise((700, 600, bands), dtype)
    source = Held(pixels)
    info = store.write_tiled("pixels", 5, source)
    assert source.most < 700
    assert (info.codec, info.rows, info.shape, info.dtype) == ("tiled", 1, pixels.shape, dtype)

    @settings(max_examples=share(15))
    @given(box=boxes(700, 600))
    def check(box: Box) -> None:
        left, top, right, bottom = box
        found = store.read_box(info, 0, box)
        assert found.dtype == pixels.dtype
        assert found.tobytes() == np.ascontiguousarray(pixels[top:bottom, left:right]).tobytes()

    check()
    (whole,) = store.read_list(info, np.array([0]))
    assert whole.tobytes() == pixels.tobytes()
    assert store.check(info, deep=True) == []


def test_boxes_of_every_kind_of_segment(root: str) -> None:
    """Small and large dense, ragged and tiled images, asked for together and repeated."""
    store = ArrayStore(root, BUDGET)
    images = {key: noise((20, 30, 3), "uint8", key) for key in range(4)}
    large = {key: noise((800, 700, 3), "uint8", key) for key in (10, 11)}
    odd = {key: noise((10 + key, 40, 3), "uint8", key) for key in (20, 21, 22)}
    huge = {30: noise((600, 500, 3), "uint8", 30), 31: noise((50, 900, 3), "uint8", 31)}
    segments = [
        store.write_dense("pixels", np.array(list(held)), np.stack(list(held.values()))) for held in (images, large)
    ]
    segments.append(store.write_ragged("pixels", np.array(list(odd)), list(odd.values())))
    segments += [store.write_tiled("pixels", key, Held(image)) for key, image in huge.items()]
    every = {**images, **large, **odd, **huge}
    array = SegmentedArray(store, segments)
    assert array.huge().tolist() == [30, 31]

    @settings(max_examples=share(25))
    @given(data=st.data(), asked=st.lists(st.sampled_from(sorted(every)), min_size=1, max_size=12))
    def check(data: st.DataObject, asked: list[int]) -> None:
        keys = np.array(asked)
        assert array.shapes(keys) == [every[key].shape for key in asked]
        wanted = [data.draw(boxes(*every[key].shape[:2])) for key in asked]
        for key, (left, top, right, bottom), found in zip(asked, wanted, array.read_boxes(keys, wanted), strict=True):
            np.testing.assert_array_equal(found, every[key][top:bottom, left:right])

    check()
    for key, shown, lazy in zip(
        every, array.read_displayed(np.array(list(every))), array.read_lazily(np.array(list(every))), strict=True
    ):
        np.testing.assert_array_equal(shown, every[key])  # none is larger than its overview
        held = lazy if isinstance(lazy, np.ndarray) else lazy.rows(0, lazy.shape[0])
        np.testing.assert_array_equal(held, every[key])


def test_a_crop_reads_its_tiles_alone(root: str) -> None:
    """4,096 x 4,096 are 256 tiles; a box of 512 x 512 lies on four of them, or on nine at the most."""
    store = ArrayStore(root, BUDGET)
    pixels = noise((4096, 4096, 1), "uint8")
    info = store.write_tiled("pixels", 1, Held(pixels))
    for left, top, most in ((0, 0, 4), (1024, 2048, 4), (100, 3000, 9), (3584, 3584, 4)):
        found, tiles = read_stats(
            lambda left=left, top=top: store.read_box(info, 0, (left, top, left + 512, top + 512))
        )
        np.testing.assert_array_equal(found, pixels[top : top + 512, left : left + 512])
        assert 1 <= tiles <= most
    _, tiles = read_stats(lambda: store.read_list(info, np.array([0])))
    assert tiles == 256


def test_the_overview_is_the_mean_of_squares(root: str) -> None:
    store = ArrayStore(root, BUDGET)
    for dtype, bands in (("uint16", 3), ("float32", 1), ("bool", 1), ("int64", 1)):
        pixels = noise((2050, 700, bands), dtype)
        found = store.read_overview(store.write_tiled("pixels", 1, Held(pixels)))
        step = 3  # the smallest that brings 2,050 below SIDE
        assert found.shape == (684, 234, bands)
        assert max(found.shape) <= SIDE
        assert found.dtype == pixels.dtype
        for row, column in ((0, 0), (100, 57), (683, 233)):
            part = pixels[row * step : (row + 1) * step, column * step : (column + 1) * step].astype(np.float64)
            mean = part.mean(axis=(0, 1))
            expected = mean > 0.5 if dtype == "bool" else mean if dtype == "float32" else np.rint(mean)
            np.testing.assert_allclose(found[row, column].astype(float), expected, rtol=1e-5)


def test_floats_that_are_no_numbers_survive(root: str) -> None:
    pixels = noise((300, 300, 1), "float32")
    pixels[5, 5], pixels[6, 6], pixels[7, 7] = np.nan, np.inf, -np.inf
    store = ArrayStore(root, BUDGET)
    info = store.write_tiled("pixels", 1, Held(pixels))
    assert store.read_box(info, 0, (0, 0, 300, 300)).tobytes() == pixels.tobytes()


def test_tiles_of_very_wide_images_stay_small() -> None:
    for shape, itemsize in (
        ((10**6, 10**6, 3), 4),
        ((100, 20_000_000, 1), 1),
        ((20_000, 20_000, 1), 1),
        ((5, 5, 5), 8),
    ):
        parts = list(tiled.slabs(shape, itemsize))  # type: ignore[arg-type]
        assert parts[0][0] == 0
        assert parts[-1][1] == shape[0]
        assert all(end == begin for (_, end), (begin, _) in itertools.pairwise(parts))
        row = shape[1] * shape[2] * itemsize
        assert (parts[0][1] - parts[0][0]) * row <= max(tiled.SLAB_BYTES, 16 * row)


def test_compaction_leaves_it_alone(root: str) -> None:
    store = ArrayStore(root, BUDGET)
    huge = [store.write_tiled("pixels", key, Held(noise((300, 300, 1), "uint8", key))) for key in (1, 2)]
    small = [store.write_dense("pixels", np.array([key]), noise((1, 300, 300, 1), "uint8", key)) for key in (3, 4)]
    merged = compact(store, [*huge, *small])
    assert [info for info in merged if info.codec == "tiled"] == huge
    assert len(merged) == 3


def test_more_than_the_memory_is_refused_with_the_remedy(root: str) -> None:
    pixels = noise((1500, 1500, 1), "uint8")
    info = ArrayStore(root, BUDGET).write_tiled("pixels", 7, Held(pixels))
    small = ArrayStore(root, Budget(memory=4 << 20, threads=1))
    array = SegmentedArray(small, [info])
    for read in (array.read, array.read_list):
        with pytest.raises(QueryError, match=r"1,500 x 1,500 x 1 uint8.*image\.crop"):
            read(np.array([7]))
    np.testing.assert_array_equal(array.read_boxes(np.array([7]), [(3, 4, 900, 90)])[0], pixels[4:90, 3:900])


@pytest.mark.parametrize(
    ("box", "error"),
    [
        ((0, 0, 11, 5), ShapeError),
        ((-1, 0, 5, 5), ShapeError),
        ((5, 0, 5, 5), ShapeError),
        ((0, 6, 5, 5), ShapeError),
        ((0, 0, 5), DataError),
        ((0, 0, 5, 5.5), DataError),
        ((0, 0, 5, float("nan")), DataError),
        ((0, 0, True, 5), DataError),
        ("abcd", DataError),
    ],
)
def test_a_box_that_is_none_is_refused(root: str, box: Any, error: type[Exception]) -> None:
    store = ArrayStore(root, BUDGET)
    info = store.write_tiled("pixels", 1, Held(noise((8, 10, 1), "uint8")))
    with pytest.raises(error, match="box"):
        store.read_box(info, 0, box)


def test_what_cannot_be_stored_is_refused_and_nothing_is_left(root: str) -> None:
    store = ArrayStore(root, BUDGET)

    class Lying(Held):
        def rows(self, first: int, end: int) -> NDArray[Any]:
            return super().rows(first, end)[:-1]

    for source in (Lying(noise((9, 9, 1), "uint8")), Held(noise((9, 9), "uint8")), Held(np.zeros((0, 9, 1), np.uint8))):
        with pytest.raises(ShapeError):
            store.write_tiled("pixels", 1, source)
    with pytest.raises(ShapeError):
        store.write_tiled("pixels", 1, Held(np.zeros((3, 3, 1), np.complex64)))
    assert [file.uri for file in store.files() if not file.uri.startswith("keys/")] == []


def _damaged(store: ArrayStore, monkeypatch: pytest.MonkeyPatch) -> tuple[SegmentInfo, Path]:
    monkeypatch.setattr(tiled, "SLAB_BYTES", 1 << 18)
    info = store.write_tiled("pixels", 1, Held(noise((1200, 1000, 1), "uint8")))
    assert store.check(info, deep=True) == []
    return info, Path(store.root) / info.uri


def test_check_sees_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lost slab, also with all that tells of it; a changed byte; a lost overview; a lost segment."""
    store = ArrayStore(str(tmp_path / "arrays"), BUDGET)
    info, folder = _damaged(store, monkeypatch)
    fragments = sorted((folder / "pixels" / "__fragments").iterdir())
    assert len(fragments) > 2
    shutil.rmtree(fragments[1])
    assert store.check(info)

    info, folder = _damaged(store, monkeypatch)
    lost = sorted((folder / "pixels" / "__fragments").iterdir())[1]
    for held in [lost, *(folder / "pixels" / "__commits").glob(f"{lost.name}*")]:
        shutil.rmtree(held) if held.is_dir() else held.unlink()
    shutil.rmtree(folder / "pixels" / "__fragment_meta")
    assert any("missing, added or changed" in reason for reason in store.check(info))

    info, folder = _damaged(store, monkeypatch)
    data = max((folder / "pixels").rglob("a0.tdb"), key=lambda file: file.stat().st_size)
    raw = bytearray(data.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    data.write_bytes(raw)
    assert store.check(info) == []
    assert store.check(info, deep=True)
    with pytest.raises(StoreError, match="odin doctor"):
        store.read_list(info, np.array([0]))

    info, folder = _damaged(store, monkeypatch)
    shutil.rmtree(folder / "overview")
    assert store.check(info)

    info, folder = _damaged(store, monkeypatch)
    shutil.rmtree(folder)
    (reason,) = store.check(info)
    assert "missing" in reason
