"""Every depth and kind of pixel comes in as it is in the file, or is refused with a reason; nothing passes 8 bits."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.file import File
from odin_graph.ingest.frame import Contents, Frame
from odin_graph.ingest.reader import READERS, Reader
from odin_graph.ingest.readers import Readers

DRAW = np.random.default_rng(0)
GRAY = DRAW.integers(0, 256, (7, 5), np.uint8)
COLOR = DRAW.integers(0, 256, (7, 5, 3), np.uint8)
ALPHA = DRAW.integers(0, 256, (7, 5, 4), np.uint8)
DEEP = DRAW.integers(0, 2**16, (7, 5), np.uint16)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def read(data: bytes, name: str = "x.png") -> np.ndarray:
    return Readers.installed().read(Path(name), data)


def deep_png(pixels: np.ndarray) -> bytes:
    """PNG of 16 bits a band, written by hand: Pillow cannot."""
    height, width, bands = pixels.shape
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    "pixels",
    [GRAY, COLOR, ALPHA, DEEP, GRAY > 128, np.dstack([GRAY, GRAY[::-1]])],
    ids=["gray", "color", "alpha", "16 bits", "bool", "gray and alpha"],
)
def test_pixels_are_those_of_the_file(pixels: np.ndarray, kind: str) -> None:
    found = read(encoded(Image.fromarray(pixels), kind))
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, pixels.reshape(7, 5, -1))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("pixels", [COLOR, DEEP], ids=["color", "16 bits"])
def test_compressed_tiff(pixels: np.ndarray, compression: str) -> None:
    """The place of the data in a file may be any number, 16 among them, and says nothing of its depth."""
    found = read(encoded(Image.fromarray(pixels), "TIFF", compression=compression), "x.tiff")
    np.testing.assert_array_equal(found, pixels.reshape(7, 5, -1))


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_wide_tiff(dtype: str) -> None:
    pixels = (DRAW.random((7, 5)) * 1e6 - 5e5).astype(dtype)
    found = read(encoded(Image.fromarray(pixels), "TIFF"), "x.TIF")
    assert found.dtype == dtype
    np.testing.assert_array_equal(found[:, :, 0], pixels)


@pytest.mark.parametrize("bands", [2, 3, 4])
def test_png_of_16_bits_in_color(bands: int) -> None:
    pixels = DRAW.integers(0, 2**16, (7, 5, bands), np.uint16)
    found = read(deep_png(pixels))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("place", [20, 60, -20])
def test_broken_png_of_16_bits_in_color(place: int) -> None:
    data = bytearray(deep_png(DRAW.integers(0, 2**16, (7, 5, 3), np.uint16)))
    data[place] ^= 0xFF
    with pytest.raises(UnreadableImageError, match=r"^x\.png: it is (broken|not an image)"):
        read(bytes(data))


def test_palette_becomes_its_colors() -> None:
    image = Image.fromarray(COLOR).quantize(8)
    np.testing.assert_array_equal(read(encoded(image, "PNG")), np.asarray(image.convert("RGB")))
    clear = read(encoded(image, "PNG", transparency=0))
    np.testing.assert_array_equal(clear[..., 3] == 0, np.asarray(image) == 0)


def test_cmyk_becomes_rgb() -> None:
    image = Image.fromarray(COLOR).convert("CMYK")
    np.testing.assert_array_equal(read(encoded(image, "TIFF"), "x.tif"), np.asarray(image.convert("RGB")))


def test_the_orientation_of_a_camera_is_applied() -> None:
    """6: the camera was held so that the picture has to be turned clockwise."""
    exif = Image.Exif()
    exif[0x0112] = 6
    np.testing.assert_array_equal(read(encoded(Image.fromarray(COLOR), "PNG", exif=exif)), np.rot90(COLOR, -1))


def test_jpeg_and_png_of_a_real_photograph() -> None:
    photograph = skimage.data.astronaut()
    np.testing.assert_array_equal(read(encoded(Image.fromarray(photograph), "PNG")), photograph)
    lossy = read(encoded(Image.fromarray(photograph), "JPEG", quality=95), "x.jpg")
    assert (lossy.shape, lossy.dtype) == (photograph.shape, np.uint8)
    assert np.abs(lossy.astype(int) - photograph).mean() < 3


def test_a_file_of_several_frames_is_refused() -> None:
    frames = [Image.fromarray(GRAY), Image.fromarray(GRAY[::-1])]
    data = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    with pytest.raises(UnreadableImageError) as caught:
        read(data, "stack.tif")
    assert str(caught.value) == (
        "stack.tif: it has 2 frames: add them one by one as arrays, or all with db.volumes.add(...) or "
        "db.videos.add(...)"
    )


@pytest.mark.parametrize("kept", [10, 40, 0.5, 0.9])
def test_a_truncated_file_is_refused(kept: float) -> None:
    data = encoded(Image.fromarray(skimage.data.camera()), "PNG")
    with pytest.raises(UnreadableImageError, match=r"^cut\.png: it is "):
        read(data[: int(kept * len(data)) if kept < 1 else int(kept)], "cut.png")


def test_whatever_a_file_holds_it_reads_or_is_refused() -> None:
    """Bytes changed at random make decoders raise all sorts of errors: each is ours."""
    data = bytearray(encoded(Image.fromarray(COLOR), "TIFF", compression="tiff_lzw"))
    refused = 0
    for _ in range(300):
        broken = bytearray(data)
        for place in DRAW.integers(0, len(data), 3):
            broken[place] = DRAW.integers(0, 256)
        try:
            assert read(bytes(broken), "x.tif").ndim == 3
        except UnreadableImageError:
            refused += 1
    assert refused > 50


def test_a_text_that_is_named_as_an_image() -> None:
    with pytest.raises(UnreadableImageError) as caught:
        read(b"hello", "notes.png")
    assert str(caught.value) == (
        "notes.png: it is not an image, or of a format that is not read: BMP, GIF, JPEG, PNG, PNM, TIFF and WebP are"
    )


def test_a_decompression_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of some bytes that unpacks to far too many pixels; the limit is Pillow's."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(UnreadableImageError, match=r"^x\.png: it would unpack to more pixels than is safe .*MAX_IMAGE"):
        read(encoded(Image.fromarray(np.zeros((40, 40), np.uint8)), "PNG"))


def test_a_name_says_nothing() -> None:
    """Neither where it says another format, nor one that nobody reads, nor nothing."""
    for name in ("x.tif", "x.xyz", "x"):
        np.testing.assert_array_equal(read(encoded(Image.fromarray(COLOR), "PNG"), name), COLOR)
    with pytest.raises(UnreadableImageError, match=r"^a\.png: it is not an image: it is empty"):
        read(b"", "a.png")


class Greedy(Reader):
    formats = ("anything",)

    def accepts(self, file: File) -> bool:
        return True

    def open(self, files: Sequence[File]) -> Contents:
        return Contents([Frame((1, 1), np.uint8, lambda box: np.zeros((1, 1), np.uint8))])


def test_a_file_of_two_readers_is_refused_unless_one_goes_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS._entries, "greedy", Greedy())
    data = encoded(Image.fromarray(COLOR), "PNG")
    with pytest.raises(UnreadableImageError, match=r"^x\.png: the readers greedy and png both take it for theirs"):
        read(data)
    monkeypatch.setattr(Greedy, "before", frozenset({"png"}))
    assert read(data).shape == (1, 1, 1)
