"""What a compaction replaced goes by itself, and whoever was reading it reads on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
import skimage.data

from odin_graph.catalog.images.batch import ImageBatch
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.images.pixels import ARRAY, compact_pixels
from odin_graph.catalog.images.revisions import revise_images
from odin_graph.catalog.purge.gc import named_uris
from odin_graph.stores import Stores

ROWS = np.random.default_rng(0).integers(0, 255, (400, 12, 12), np.uint8)


def _add(stores: Stores, first: int, end: int) -> np.ndarray:
    return add_images(stores, ImageBatch([f"i{n}" for n in range(first, end)], ROWS[first:end])).keys


def _segments(stores: Stores) -> set[str]:
    return {file.uri for file in stores.arrays.files() if file.uri.startswith("segments/")}


def test_no_file_stays_that_a_compaction_replaced(stores: Stores) -> None:
    """The pixels are on disk once."""
    for first in range(0, 400, 50):
        _add(stores, first, first + 50)
    assert compact_pixels(stores) > 0
    assert _segments(stores) <= named_uris(stores)


def test_a_reader_of_before_reads_on(stores: Stores) -> None:
    """An array that was listed before a compaction, here or in another process, gives the same rows after it."""
    keys = np.concatenate([_add(stores, first, first + 50) for first in range(0, 400, 50)])
    with closing(Stores.open(stores.address, create=False)) as other:
        arrays = [held.columns.array(ARRAY) for held in (stores, other)]
        before = [np.squeeze(array.read(keys[:60])) for array in arrays]
        compact_pixels(stores)
        for array, held in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(held, ROWS[:60])
            np.testing.assert_array_equal(np.squeeze(array.read(keys)), ROWS)
            np.testing.assert_array_equal(np.squeeze(np.stack(array.read_list(keys[::-1]))), ROWS[::-1])


def test_two_that_compact_at_once_do_not_fail(stores: Stores) -> None:
    """One of them wins each group, and every image is there once."""
    with closing(Stores.open(stores.address, create=False)) as other, ThreadPoolExecutor(2) as pool:
        for round_ in range(4):
            for first in range(round_ * 100, round_ * 100 + 100, 25):
                _add(stores, first, first + 25)
            list(pool.map(compact_pixels, (stores, other)))
        keys = stores.columns.images(["id"]).column("key").to_numpy()
        np.testing.assert_array_equal(np.squeeze(other.columns.array(ARRAY).read(keys)), ROWS)
        assert _segments(stores) <= named_uris(stores)


def _patches() -> np.ndarray:
    """160 places of three photographs."""
    photographs = np.concatenate(
        [skimage.data.astronaut(), skimage.data.coffee()[:384, :512], skimage.data.rocket()[:384, :512]]
    )
    return photographs.reshape(-1, 64, 8, 64, 3).swapaxes(1, 2).reshape(-1, 64, 64, 3)


@pytest.mark.parametrize(
    ("make", "share"),
    [(lambda: np.random.default_rng(0).integers(0, 255, (160, 64, 64, 3), np.uint8), 1.02), (_patches, 0.9)],
    ids=["noise", "photographs"],
)
def test_a_folder_is_no_larger_than_the_pixels(stores: Stores, make: Callable[[], np.ndarray], share: float) -> None:
    """After images in several calls, new pixels of half of them, and a compaction: noise cannot be made smaller."""
    pixels = make()
    ids = [f"i{n}" for n in range(len(pixels))]
    for first in range(0, len(ids), 40):
        add_images(stores, ImageBatch(ids[first : first + 40], pixels[first : first + 40]))
    revise_images(stores, ids[::2], 255 - pixels[::2])
    compact_pixels(stores)
    assert stores.arrays.raw.local is not None
    size = sum(file.stat().st_size for file in stores.arrays.raw.local.rglob("*") if file.is_file())
    assert size < share * 1.5 * pixels.nbytes
