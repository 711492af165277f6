"""Resize against torchvision and Pillow, in every dtype."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as v2

from odin_graph.errors import DataError
from odin_graph.ops import Resize

SIZES = [(17, 23), (64, 96), (31, 200), (5, 5)]
MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def photograph(dtype: str, bands: int = 3) -> np.ndarray:
    from skimage import data

    pixels = data.astronaut()[100:180, 150:270, :bands]
    return (pixels.astype(np.float64) / 255 * (65535 if dtype == "uint16" else 255)).astype(dtype)


@pytest.mark.parametrize("method", MODES)
@pytest.mark.parametrize("size", SIZES)
def test_floats_agree_with_torchvision(size: tuple[int, int], method: str) -> None:
    pixels = photograph("float32")
    ours = Resize(size=size, method=method)(pixels)
    theirs = v2.resize(torch.from_numpy(pixels).permute(2, 0, 1), list(size), MODES[method], antialias=True)
    np.testing.assert_allclose(ours, theirs.permute(1, 2, 0).numpy(), atol=2e-3)


@pytest.mark.parametrize("size", SIZES)
def test_eight_bits_agree_with_pillow(size: tuple[int, int]) -> None:
    """Pillow rounds between its two passes, so one level of difference is its own."""
    pixels = photograph("uint8")
    theirs = np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR))
    ours = Resize(size=size)(pixels)
    assert ours.dtype == np.uint8
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_sixteen_bits_keep_their_levels() -> None:
    pixels = photograph("uint16", bands=1)
    ours = Resize(size=(40, 60))(pixels)
    exact = np.asarray(Image.fromarray(pixels[:, :, 0].astype(np.float32)).resize((60, 40), Image.Resampling.BILINEAR))
    assert ours.dtype == np.uint16
    assert np.abs(ours[:, :, 0] - exact).max() <= 0.51
    assert len(np.unique(ours)) > 256


def test_a_number_is_the_shorter_side() -> None:
    theirs = v2.resize(torch.zeros(1, 80, 121), [32])
    assert Resize(size=32)(np.zeros((80, 121, 1), np.uint8)).shape == (*theirs.shape[1:], 1)


def test_a_batch_is_its_images() -> None:
    pixels = np.stack([photograph("uint8"), photograph("uint8")[::-1]])
    resize = Resize(size=(30, 31), method="bicubic")
    np.testing.assert_array_equal(resize(pixels), np.stack([resize(image) for image in pixels]))


def test_nearest_invents_no_values_and_takes_bools() -> None:
    mask = photograph("uint8")[:, :, :1] > 128
    ours = Resize(size=(20, 30), method="nearest")(mask)
    theirs = v2.resize(torch.from_numpy(mask).permute(2, 0, 1), [20, 30], InterpolationMode.NEAREST_EXACT)
    np.testing.assert_array_equal(ours, theirs.permute(1, 2, 0).numpy())


def test_bools_are_not_interpolated() -> None:
    with pytest.raises(DataError, match='method="nearest"'):
        Resize(size=4)(np.zeros((8, 8, 1), bool))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "uint64"])
def test_overshoot_is_clipped_not_wrapped(dtype: str) -> None:
    """Bicubic overshoots at an edge: the largest integer must not wrap around to the smallest."""
    pixels = np.zeros((16, 16, 1), dtype)
    pixels[:, 8:] = np.iinfo(dtype).max
    ours = Resize(size=32, method="bicubic")(pixels)
    assert ours[:, 24:].min() > np.iinfo(dtype).max * 0.9


@pytest.mark.parametrize("size", [0, -3, 2.5, (3,), (3, 0), "28", True])
def test_a_size_that_is_none_is_refused(size: object) -> None:
    with pytest.raises(DataError, match="whole number or"):
        Resize(size=size)  # type: ignore[arg-type]
