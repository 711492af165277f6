"""JPEG, GIF, WebP, BMP and PNM, and a camera's orientation: the pixels are those that were written."""

from __future__ import annotations

import io
import struct

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from odin_graph.errors import UnreadableImageError
from tests.ingest import by_hand
from tests.ingest.drawing import HEIGHT, TURNS, WIDTH, assert_reads, drawn, read


@pytest.mark.parametrize("plain", [False, True], ids=["binary", "plain"])
@pytest.mark.parametrize("most", [0, 1, 15, 31, 100, 255, 256, 1023, 4095, 65535])
def test_pnm_of_every_maximum(most: int, plain: bool) -> None:
    """The numbers of the file, not spread and not cut: uint8 to 255, uint16 above; PBM is bool, True for white."""
    for bands in (1,) if most == 0 else (1, 3):
        values = drawn("bool", 1) if most == 0 else drawn("uint8" if most < 256 else "uint16", bands, most, most)
        for comment in (False, True):
            assert_reads(by_hand.pnm(values, most, plain=plain, comment=comment), values)


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize(
    ("masks", "bits"),
    [
        ((0x7C00, 0x3E0, 0x1F), 16),
        ((0xF800, 0x7E0, 0x1F), 16),
        ((0x7C00, 0x3E0, 0x1F, 0x8000), 16),
        ((0xF00, 0xF0, 0xF, 0xF000), 16),
        ((0xFF0000, 0xFF00, 0xFF), 32),
        ((0xFF, 0xFF00, 0xFF0000, 0xFF000000), 32),
    ],
)
def test_bmp_of_every_packing(masks: tuple[int, ...], bits: int, top_down: bool) -> None:
    """Bands of 1 to 8 bits are spread over 0 to 255, to within half a step; alpha where there is a mask for it."""
    values = np.concatenate([drawn("uint8", 1, at, (1 << m.bit_count()) - 1) for at, m in enumerate(masks)], axis=2)
    found = read(by_hand.bmp(values, masks, bits, top_down=top_down))
    exact = values * (255 / np.array([(1 << mask.bit_count()) - 1 for mask in masks]))
    assert (found.dtype, found.shape) == (np.uint8, values.shape)
    assert np.abs(found - exact).max() < 1
    assert (found[values == 0] == 0).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_bmp_gif_and_webp_by_pillow(mode: str) -> None:
    """A BMP's fourth byte of 32 bits has no meaning unless a mask says so; a gray GIF is a palette of grays."""
    pixels = drawn("uint8", 4)
    image = Image.fromarray(pixels).convert("RGB" if mode != "RGBA" else "RGBA").convert(mode)
    expected = np.asarray(image.convert("RGB")) if mode == "P" else np.asarray(image).reshape(HEIGHT, WIDTH, -1)
    for kind, modes in (("BMP", "1 L P RGB"), ("GIF", "L P"), ("WEBP", "RGB RGBA")):
        if mode in modes.split():
            out = io.BytesIO()
            image.save(out, kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
            found = read(out.getvalue())
            if mode == "1":
                found = found.astype(bool)
            np.testing.assert_array_equal(found, np.broadcast_to(expected, found.shape), kind)


def test_a_gray_gif_with_transparency_has_an_alpha_band() -> None:
    image = Image.fromarray(drawn("uint8", 1)[..., 0])
    out = io.BytesIO()
    image.save(out, "GIF", transparency=7)
    found = read(out.getvalue())
    assert found.shape[2] in (2, 4)
    np.testing.assert_array_equal(found[..., -1] == 0, np.asarray(image) == 7)


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
def test_the_orientation_of_a_camera(kind: str, orientation: int) -> None:
    pixels = np.kron(drawn("uint8", 3)[:3, :5], np.ones((16, 16, 1), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    how = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}, "PNG": {}}[kind]
    Image.fromarray(pixels).save(out, kind, exif=exif, **how)
    found, expected = read(out.getvalue()), TURNS[orientation](pixels)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= (3 if kind == "JPEG" else 0)


def test_jpeg_agrees_with_another_decoder() -> None:
    picture = np.asarray(Image.fromarray(drawn("uint8", 3)).resize((64, 64), Image.Resampling.BICUBIC))
    for data in (imagecodecs.jpeg_encode(picture), imagecodecs.jpeg_encode(picture[..., :1].copy())):
        decoded = imagecodecs.jpeg_decode(data)
        assert np.abs(read(data).astype(int) - decoded.reshape(64, 64, -1)).max() <= 1


@pytest.mark.parametrize("kind", ["jpeg 12 bits", "lossless", "LS"])
def test_jpeg_of_other_kinds_says_which(kind: str) -> None:
    deep = drawn("uint16", 1, most=4095)[..., 0]
    data = {
        "jpeg 12 bits": lambda: imagecodecs.jpeg_encode(deep, bitspersample=12),
        "lossless": lambda: imagecodecs.ljpeg_encode(deep, bitspersample=12),
        "LS": lambda: imagecodecs.jpegls_encode(deep),
    }[kind]()
    with pytest.raises(
        UnreadableImageError, match=r"^x: it is (JPEG of 12 bits a band|lossless JPEG|JPEG-LS), which is not"
    ):
        read(data)


def test_a_bmp_of_os2_may_be_smaller_than_the_headers_that_came_later() -> None:
    """Two colors, a row of five pixels."""
    head = struct.pack("<IHHHH", 12, 5, 1, 1, 1) + bytes([10, 20, 30, 200, 100, 50])
    data = b"BM" + struct.pack("<IHHI", 14 + len(head) + 4, 0, 0, 14 + len(head)) + head + b"\xa8\0\0\0"
    assert_reads(data, np.array([[[50, 100, 200], [30, 20, 10]] * 3], np.uint8)[:, :5])
