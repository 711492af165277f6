"""Decoded segments: read where they are there, made where that pays, and never the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore
from odin_graph.arrays.compaction import compact
from odin_graph.arrays.pruning import without
from odin_graph.arrays.segment import SegmentInfo
from odin_graph.arrays.segmented import SegmentedArray
from odin_graph.config import Budget

ROWS = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)


@pytest.fixture
def store(tmp_path: Path) -> ArrayStore:
    return ArrayStore(str(tmp_path / "arrays"), Budget(memory=256 << 20, threads=2), tmp_path / "decoded")


def files(folder: Path) -> list[Path]:
    return sorted((folder / "decoded").glob("*.raw"))


def segment(store: ArrayStore, start: int = 0) -> SegmentInfo:
    return store.write_dense("pixels", np.arange(start, start + 60), ROWS)


def test_a_slice_is_read_from_what_is_stored_and_a_few_from_what_is_decoded(store: ArrayStore, tmp_path: Path) -> None:
    info = segment(store)
    np.testing.assert_array_equal(store.read(info, slice(3, 20)), ROWS[3:20])
    assert files(tmp_path) == []
    np.testing.assert_array_equal(store.read(info, np.array([50, 3, 4, 3])), ROWS[[50, 3, 4, 3]])
    (file,) = files(tmp_path)
    other = (255 - ROWS).tobytes()
    file.write_bytes(other)  # which shows who reads it
    for positions in (slice(3, 20), np.array([7])):
        np.testing.assert_array_equal(store.read(info, positions), 255 - ROWS[positions])
        np.testing.assert_array_equal(store.uncached().read(info, positions), ROWS[positions])
    file.write_bytes(other[:-1])  # half-written
    np.testing.assert_array_equal(store.read(info, slice(3, 20)), ROWS[3:20])


def test_what_is_written_anew_comes_from_what_is_stored(store: ArrayStore, tmp_path: Path) -> None:
    """A decoded file has no checksum, so that what is wrong in it must not become the truth."""
    segments = [segment(store), segment(store, 60)]
    for info in segments:
        store.rows(info)
    for file in files(tmp_path):
        file.write_bytes((255 - ROWS).tobytes())

    def held(of: list[SegmentInfo], keys: NDArray[np.int64]) -> NDArray[np.uint8]:
        return SegmentedArray(store.uncached(), of).read(keys)

    (merged,) = compact(store, segments)
    np.testing.assert_array_equal(held([merged], np.arange(120)), np.concatenate([ROWS, ROWS]))
    left = without(store, segments[0], np.array([5]))
    np.testing.assert_array_equal(held(left, np.delete(np.arange(60), 5)), np.delete(ROWS, 5, axis=0))
