"""Operations on images of every dtype and number of bands, against torchvision, scikit-image and NumPy; their maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import skimage
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional as v2

from odin_graph.errors import DataError, ShapeError
from odin_graph.ops import (
    OPS,
    Blur,
    CenterCrop,
    Clahe,
    Contrast,
    Crop,
    Flip,
    ImageOp,
    Pad,
    Pipeline,
    Resize,
    Rotate,
    Threshold,
    build_op,
)

DTYPES = ("uint8", "uint16", "float32")
BANDS = (1, 3, 5)
PHOTO = skimage.data.astronaut()[::6, ::5].astype(np.float64) / 255


def photo(dtype: str, bands: int) -> NDArray[Any]:
    """A real photograph with as many bands, in the whole range of the dtype: 8 bits would not hold its values."""
    image = np.stack([np.roll(PHOTO[:, :, band % 3], band, axis=0) for band in range(bands)], axis=-1)
    fine = image * 0.9 + 0.05 * np.sin(np.arange(image.size)).reshape(image.shape) + 0.05
    return (fine * (np.iinfo(dtype).max if dtype != "float32" else 1)).astype(dtype)


def chw(pixels: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def hwc(tensor: torch.Tensor) -> NDArray[Any]:
    return tensor.permute(1, 2, 0).numpy()


@pytest.mark.parametrize("bands", BANDS)
@pytest.mark.parametrize("dtype", DTYPES)
class TestEveryKindOfImage:
    def test_crop_flip_and_pad_agree_with_torchvision(self, dtype: str, bands: int) -> None:
        image = photo(dtype, bands)
        tensor = chw(image)
        found = Crop(box=(7, 3, 38, 23))(image)
        np.testing.assert_array_equal(found, hwc(v2.crop(tensor, 3, 7, 20, 31)))
        np.testing.assert_array_equal(Flip()(image), hwc(v2.horizontal_flip(tensor)))
        np.testing.assert_array_equal(Flip(axis="vertical")(image), hwc(v2.vertical_flip(tensor)))
        for mode in ("constant", "edge", "reflect"):
            padded = Pad(top=1, left=2, bottom=3, right=4, mode=mode)(image)  # type: ignore[arg-type]
            np.testing.assert_array_equal(padded, hwc(v2.pad(tensor, [2, 1, 4, 3], padding_mode=mode)))
            assert padded.dtype == image.dtype

    @pytest.mark.parametrize("degrees", [0, 90, 180, 270, -90, 450])
    def test_quarter_turns_are_exact(self, dtype: str, bands: int, degrees: float) -> None:
        image = photo(dtype, bands)
        np.testing.assert_array_equal(Rotate(degrees=degrees, expand=True)(image), np.rot90(image, degrees // 90))

    @pytest.mark.parametrize("degrees", [12.5, -77.0])
    def test_rotate_agrees_with_scikit_image(self, dtype: str, bands: int, degrees: float) -> None:
        image = photo(dtype, bands)
        theirs = skimage.transform.rotate(image.astype(np.float64), degrees, order=1, preserve_range=True)
        ours = Rotate(degrees=degrees)(image)
        assert ours.dtype == image.dtype
        inside = skimage.transform.rotate(np.ones(image.shape[:2]), degrees, order=1) > 0.999
        scale = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
        np.testing.assert_allclose(ours[inside] / scale, theirs[inside] / scale, atol=0.51 / scale + 1e-5)

    def test_blur_agrees_with_scikit_image(self, dtype: str, bands: int) -> None:
        image = photo(dtype, bands)
        theirs = skimage.filters.gaussian(image.astype(np.float64), 2.0, mode="reflect", channel_axis=-1)
        ours = Blur(sigma=2.0)(image)
        assert ours.dtype == image.dtype
        scale = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
        np.testing.assert_allclose(ours / scale, theirs / scale, atol=0.51 / scale + 1e-5)
        assert dtype == "uint8" or len(np.unique(ours)) > 256, "nothing passed through 8 bits"

    def test_contrast_agrees_with_torchvision_band_by_band(self, dtype: str, bands: int) -> None:
        image = photo(dtype, bands)
        scale = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
        ours = Contrast(factor=0.6)(image)
        assert ours.dtype == image.dtype
        for band in range(bands):
            tensor = chw(image[:, :, [band]].astype(np.float32) / np.float32(scale))
            theirs = hwc(v2.adjust_contrast(tensor, 0.6))
            np.testing.assert_allclose(ours[:, :, [band]] / scale, theirs, atol=0.51 / scale + 1e-5)

    def test_threshold(self, dtype: str, bands: int) -> None:
        image = photo(dtype, bands)
        value = float(np.median(image))
        found = Threshold(value=value)(image)
        assert found.dtype == np.bool_
        np.testing.assert_array_equal(found, np.greater(image, value))

    def test_clahe_is_scikit_images_and_keeps_fine_values(self, dtype: str, bands: int) -> None:
        image = photo(dtype, bands)
        scale = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
        ours = Clahe(clip=0.02, tiles=4)(image)
        assert ours.dtype == image.dtype
        for band in range(bands):
            tile = [side // 4 for side in image.shape[:2]]
            theirs = skimage.exposure.equalize_adapthist(image[:, :, band] / scale, tile, 0.02)
            np.testing.assert_allclose(ours[:, :, band] / scale, theirs, atol=0.51 / scale + 1e-6)
        assert dtype == "uint8" or len(np.unique(ours)) > 256, "nothing passed through 8 bits"

    def test_one_by_one_is_as_a_batch(self, dtype: str, bands: int) -> None:
        images = np.stack([photo(dtype, bands), photo(dtype, bands)[::-1]])
        for op in (Crop(box=(1, 1, 10, 10)), Flip(), Pad(top=2), Blur(sigma=1), Contrast(factor=2)):
            each = Pipeline((op,))
            np.testing.assert_array_equal(each.batch(images), np.stack([each(image) for image in images]))


def test_what_is_handed_in_stays_as_it_is() -> None:
    image = photo("uint16", 3)
    before = image.copy()
    for op in SPATIAL:
        op(image)
    for op in (Blur(sigma=1), Contrast(factor=2), Clahe(), Threshold(value=3)):
        op(image)
    np.testing.assert_array_equal(image, before)


# Where things lie

SPATIAL: list[ImageOp] = [
    Crop(box=(11, 5, 61, 45)),
    CenterCrop(size=(41, 52)),
    Resize(size=(120, 60)),
    Resize(size=50),
    Flip(),
    Flip(axis="vertical"),
    Pad(top=4, left=9, right=2),
    Rotate(degrees=90, expand=True),
    Rotate(degrees=30),
    Rotate(degrees=-52, expand=True),
]


@pytest.mark.parametrize("op", SPATIAL, ids=str)
@pytest.mark.parametrize("at", [(30, 40), (36, 52), (30, 33)])
def test_a_marked_spot_goes_where_the_map_says(op: Any, at: tuple[int, int]) -> None:
    """A bright spot is drawn, the operation applied, and the spot looked for in the result."""
    height, width = PHOTO.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    spot = np.exp(-((rows - at[0]) ** 2 + (columns - at[1]) ** 2) / 18.0)[:, :, np.newaxis].astype(np.float32)
    result = op(spot)[:, :, 0].astype(np.float64)
    where = op.geometry(height, width)
    assert result.shape == (where.height, where.width)
    y, x = (np.average(axis + 0.5, weights=result) for axis in np.mgrid[: where.height, : where.width])
    np.testing.assert_allclose(where.on_parent([x, y]), [[at[1] + 0.5, at[0] + 0.5]], atol=0.35)


@given(st.lists(st.sampled_from(SPATIAL[2:]), max_size=4), st.data())
def test_maps_compose_and_go_both_ways(ops: list[Any], data: st.DataObject) -> None:
    pipeline = Pipeline(tuple(ops))
    height, width = 90, 110
    where = pipeline.geometry(height, width)
    shape = pipeline(np.zeros((height, width, 1), np.float32)).shape
    assert (where.height, where.width) == shape[:2]
    number = st.floats(-50, 150)
    points = np.array(data.draw(st.lists(st.tuples(number, number), min_size=1, max_size=5)))
    one_by_one, held, size = points, list(ops), (height, width)
    geometries = []
    for op in held:
        geometries.append(op.geometry(*size))
        size = geometries[-1].height, geometries[-1].width
    for geometry in reversed(geometries):
        one_by_one = geometry.on_parent(one_by_one)
    np.testing.assert_allclose(where.on_parent(points), one_by_one, atol=1e-6)
    np.testing.assert_allclose(where.from_parent(where.on_parent(points)), points, atol=1e-6)


def test_boxes() -> None:
    where = Pipeline((Crop(box=(20, 10, 60, 40)), Resize(size=(60, 80)))).geometry(100, 100)
    assert where.box_on_parent((0, 0, 80, 60)) == (20, 10, 60, 40)
    assert where.box_from_parent((20, 10, 60, 40)) == (0, 0, 80, 60)
    turned = Rotate(degrees=90, expand=True).geometry(50, 80)
    np.testing.assert_allclose(turned.box_from_parent((0, 0, 10, 5)), (0, 70, 5, 80), atol=1e-9)
    assert Blur(sigma=1) is not None
    assert Pipeline((Blur(sigma=1),)).geometry(5, 6).box_on_parent((1, 2, 3, 4)) == (1, 2, 3, 4)


# What is refused, and what is kept


@pytest.mark.parametrize(
    ("op", "image", "kind", "said"),
    [
        (Crop(box=(0, 60, 5, 110)), "uint8", ShapeError, "reaches outside of an image of 86 x 103"),
        (Crop(box=(0, -1, 5, 4)), "uint8", ShapeError, "reaches outside"),
        (Pad(top=500, mode="reflect"), "uint8", ShapeError, "needs more pixels"),
        (Pad(top=1, fill=300), "uint8", DataError, "cannot contain 300"),
        (Pad(top=1, fill=0.5), "uint16", DataError, r"cannot contain 0\.5"),
        (Rotate(degrees=10), "bool", DataError, "no values in between"),
        (Blur(sigma=1), "bool", DataError, "cannot be blurred"),
        (Contrast(factor=1), "bool", DataError, "has no contrast"),
        (Clahe(), "int16", DataError, "takes unsigned integers or floats"),
    ],
)
def test_images_that_do_not_fit(op: ImageOp, image: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind, match=said):
        op((photo("uint8", 1) > 99).astype(image))


def test_floats_beyond_one_have_no_clahe() -> None:
    with pytest.raises(DataError, match="floats from 0 to 1"):
        Clahe()(photo("float32", 1) * 7)


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("crop", {"box": [0, 0, 5, 0]}, "is empty"),
        ("crop", {"box": [0, 0.5, 5, 1]}, "in whole pixels"),
        ("flip", {"axis": "sideways"}, "no axis 'sideways'"),
        ("pad", {"top": -1}, "0 or more"),
        ("pad", {"mode": "wrap"}, "no mode 'wrap'"),
        ("rotate", {"degrees": float("nan")}, "finite angle"),
        ("rotate", {"degrees": 1, "method": "best"}, "no method 'best'"),
        ("blur", {"sigma": 0}, "above 0"),
        ("threshold", {"value": float("inf")}, "finite value"),
        ("contrast", {"factor": -1}, "0 or more"),
        ("clahe", {"clip": 2}, "clip in"),
    ],
)
def test_parameters_that_are_refused(name: str, parameters: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        build_op(name, parameters)


def test_every_operation_is_kept_as_json() -> None:
    ops = (*SPATIAL, Blur(sigma=1.5), Threshold(value=3), Contrast(factor=2), Clahe(clip=0.2, tiles=3))
    held = Pipeline(ops)
    assert Pipeline.from_json(held.to_json()) == held
    assert {"blur", "clahe", "contrast", "crop", "flip", "pad", "rotate", "threshold"} <= set(OPS)


def test_bool_masks_turn_and_flip() -> None:
    mask = photo("uint8", 1) > 99
    turned = Rotate(degrees=33, method="nearest")(mask)
    assert turned.dtype == np.bool_
    assert 0 < turned.sum() < mask.sum() * 1.1
    np.testing.assert_array_equal(Flip()(Flip()(mask)), mask)
