"""The other operations, against torchvision where it has them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as v2

from odin_graph.errors import DataError, ShapeError
from odin_graph.ops import CenterCrop, Normalize, ToFloat, ToGrayscale, ToRgb

RNG = np.random.default_rng(3)
COLOR = RNG.integers(0, 256, (15, 22, 3), dtype=np.uint8)


def chw(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)


@pytest.mark.parametrize("size", [(4, 4), (15, 22), (7, 10), 9])
def test_crop_agrees_with_torchvision(size: int | tuple[int, int]) -> None:
    theirs = v2.center_crop(chw(COLOR), [size] if isinstance(size, int) else list(size))
    np.testing.assert_array_equal(CenterCrop(size=size)(COLOR), theirs.permute(1, 2, 0).numpy())


def test_a_crop_never_pads() -> None:
    with pytest.raises(ShapeError, match=r"16 x 16 has too little in an image of 15 x 22: put a resize before it"):
        CenterCrop(size=16)(COLOR)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32", "float32"])
def test_to_float_agrees_with_torchvision(dtype: str) -> None:
    pixels = (COLOR.astype(dtype) * (1 if dtype == "uint8" else 100)).astype(dtype)
    theirs = v2.to_dtype(chw(pixels), torch.float32, scale=True)
    ours = ToFloat()(pixels)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs.permute(1, 2, 0).numpy(), rtol=1e-6)


def test_twelve_bits_in_sixteen() -> None:
    assert ToFloat(maximum=4095)(np.array([[[4095]]], np.uint16)) == np.float32(1)


def test_normalize_agrees_with_torchvision() -> None:
    pixels = ToFloat()(COLOR)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    theirs = v2.normalize(chw(pixels), mean, std)
    np.testing.assert_allclose(Normalize(mean=mean, std=std)(pixels), theirs.permute(1, 2, 0).numpy(), atol=1e-6)


def test_normalize_wants_floats_and_a_mean_a_band() -> None:
    with pytest.raises(DataError, match="put to-float before it"):
        Normalize(mean=0.5, std=0.5)(COLOR)
    with pytest.raises(ShapeError, match="2 values of mean for an image of 3 bands"):
        Normalize(mean=[0.1, 0.2], std=1)(ToFloat()(COLOR))
    with pytest.raises(DataError, match="std of 0"):
        Normalize(mean=0, std=[1, 0])
    with pytest.raises(DataError, match="finite numbers"):
        Normalize(mean=float("nan"), std=1)


def test_gray_agrees_with_pillow() -> None:
    theirs = np.asarray(Image.fromarray(COLOR).convert("L"))
    ours = ToGrayscale()(COLOR)
    assert (ours.shape, ours.dtype) == ((15, 22, 1), np.uint8)
    assert np.abs(ours[:, :, 0].astype(int) - theirs).max() <= 1


def test_color_and_gray_leave_out_transparency_and_refuse_spectra() -> None:
    see_through = np.concatenate([COLOR, COLOR[:, :, :1]], axis=2)
    np.testing.assert_array_equal(ToRgb()(see_through), COLOR)
    np.testing.assert_array_equal(ToGrayscale()(see_through), ToGrayscale()(COLOR))
    np.testing.assert_array_equal(ToRgb()(COLOR[:, :, :1]), np.repeat(COLOR[:, :, :1], 3, axis=2))
    for op in (ToRgb(), ToGrayscale()):
        with pytest.raises(ShapeError, match="not 7 bands"):
            op(np.zeros((4, 4, 7), np.uint16))
