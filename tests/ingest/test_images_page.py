"""docs/images.md says what becomes of each kind of file, and this is what becomes of it."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from odin_graph.errors import UnreadableImageError
from tests.ingest import by_hand
from tests.ingest.drawing import by_hand_deep, drawn, read, written

PAGE = Path(__file__).parents[2] / "docs" / "images.md"
ROWS = dict(re.findall(r"^\| ((?:PNG|JPEG|WebP|GIF|TIFF|BMP|P[A-Z]M)[^|]*) \| ([^|]+) \|", PAGE.read_text(), re.M))
GRAY, RGB, RGBA, DEEP = drawn("uint8", 1), drawn("uint8", 3), drawn("uint8", 4), drawn("uint16", 3)
PICTURE = Image.fromarray(RGB)


def saved(image: Image.Image, kind: str, **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **how)
    return out.getvalue()


def animated(kind: str) -> bytes:
    frames = [Image.fromarray(drawn("uint8", 3, seed)) for seed in range(3)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


def deep(bits: int) -> bytes:
    return by_hand_deep(drawn("uint16", 1, most=(1 << bits) - 1), bits, "<", 1)


def wide(values: NDArray[Any], bits: int) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, values[..., 0], bitspersample=bits, photometric="minisblack", metadata=None)
    return out.getvalue()


def small(bits: int, **tags: Any) -> bytes:
    return by_hand.tiff(drawn("uint8", 1, most=(1 << bits) - 1), bits, **tags)


def of_image_j() -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, np.zeros((5, 9, 9), np.uint16), imagej=True, truncate=True)
    return out.getvalue()


PALETTE = (b"PLTE", bytes(range(48)))
KINDS = {
    "PNG, gray of 1 bit": by_hand.png(drawn("uint8", 1, most=1), 1, 0),
    "PNG, gray of 2 or 4 bits": by_hand.png(drawn("uint8", 1, most=15), 4, 0),
    "PNG, gray of 8 bits": by_hand.png(GRAY, 8, 0),
    "PNG, gray of 16 bits": by_hand.png(DEEP[..., :1], 16, 0),
    "PNG, RGB of 8 bits": by_hand.png(RGB, 8, 2),
    "PNG, RGB of 16 bits": by_hand.png(DEEP, 16, 2),
    "PNG, gray with alpha": by_hand.png(RGB[..., :2], 8, 4),
    "PNG, RGB with alpha": by_hand.png(RGBA, 8, 6),
    "PNG, palette": by_hand.png(drawn("uint8", 1, most=15), 4, 3, before=[PALETTE]),
    "PNG, palette with transparency": by_hand.png(drawn("uint8", 1, most=15), 4, 3, before=[PALETTE, (b"tRNS", b"\0")]),
    "PNG, gray with a transparent color": by_hand.png(GRAY, 8, 0, before=[(b"tRNS", b"\0\7")]),
    "PNG, RGB with a transparent color": by_hand.png(RGB, 8, 2, before=[(b"tRNS", b"\0\7\0\7\0\7")]),
    "PNG, animated": animated("PNG"),
    "JPEG, gray": saved(Image.fromarray(GRAY[..., 0]), "JPEG"),
    "JPEG, YCbCr or RGB": saved(PICTURE, "JPEG"),
    "JPEG, CMYK": saved(PICTURE.convert("CMYK"), "JPEG"),
    "JPEG of 12 bits, lossless JPEG, JPEG-LS": imagecodecs.jpegls_encode(GRAY[..., 0]),
    "JPEG with previews behind it (MPO)": animated("MPO"),
    "WebP": saved(PICTURE, "WEBP"),
    "WebP with alpha": saved(Image.fromarray(RGBA), "WEBP"),
    "WebP, animated": animated("WEBP"),
    "GIF": saved(PICTURE, "GIF"),
    "GIF with transparency": saved(PICTURE.quantize(9), "GIF", transparency=1),
    "GIF, animated": animated("GIF"),
    "TIFF, 1 bit": small(1),
    "TIFF, 2 to 8 bits": small(4),
    "TIFF, 9 to 16 bits": deep(12),
    "TIFF, 17 to 32 bits": wide(drawn("uint32", 1, most=(1 << 20) - 1), 20),
    "TIFF, int8": written(drawn("int8", 1)),
    "TIFF, float32": written(drawn("float32", 1)),
    "TIFF, RGB of 8 bits": written(RGB),
    "TIFF, RGB of 16 bits": written(DEEP),
    "TIFF, RGB with alpha": written(RGBA, extrasamples=["assocalpha"]),
    "TIFF, seven bands": by_hand.tiff(drawn("uint8", 7), 8, t262=1, t338=[0] * 6),
    "TIFF, white is zero": by_hand.tiff(GRAY, 8, t262=0),
    "TIFF, white is zero, signed or float": by_hand.tiff(drawn("float32", 1).view("u4"), 32, t262=0, t339=3),
    "TIFF, palette": small(4, t262=3, t320=[257 * n for n in range(48)]),
    "TIFF, YCbCr": by_hand.tiff(RGB, 8, t262=6, t530=[1, 1]),
    "TIFF, YCbCr as JPEG": written(RGB, compression="jpeg"),
    "TIFF, YCbCr with fewer colors than pixels, not as JPEG": by_hand.tiff(RGB, 8, t262=6, t530=[2, 2]),
    "TIFF, CMYK of 8 bits": by_hand.tiff(RGBA, 8, t262=5),
    "TIFF, CMYK of 16 bits": by_hand.tiff(drawn("uint16", 4), 16, t262=5),
    "TIFF, CMYK with alpha": by_hand.tiff(drawn("uint8", 5), 8, t262=5),
    "TIFF, Lab": by_hand.tiff(RGB, 8, t262=8),
    "TIFF, a camera's raw mosaic": by_hand.tiff(GRAY, 8, t262=32803),
    "TIFF, complex numbers": by_hand.tiff(drawn("uint64", 1), 64, t339=6),
    "TIFF, bands of different depths": by_hand.tiff(RGB, 8, t258=[8, 8, 4]),
    "TIFF, several images": animated("TIFF"),
    "TIFF, a stack behind one page (ImageJ)": of_image_j(),
    "BMP of 1 to 8 bits": saved(PICTURE.quantize(9), "BMP"),
    "BMP of 24 or 32 bits": saved(PICTURE, "BMP"),
    "BMP with alpha": by_hand.bmp(RGBA, (0xFF0000, 0xFF00, 0xFF, 0xFF000000), 32),
    "BMP, 5-6-5": by_hand.bmp(RGB & 31, (0xF800, 0x7E0, 0x1F), 16),
    "BMP of more than 8 bits a band": by_hand.bmp(RGB, (0x3FF00000, 0xFFC00, 0x3FF), 32),
    "PBM": by_hand.pnm(GRAY > 99, 0),
    "PGM with a maximum to 255": by_hand.pnm(GRAY & 31, 31),
    "PGM with a maximum above 255": by_hand.pnm(DEEP[..., :1] & 1023, 1023),
    "PPM": by_hand.pnm(RGB, 255),
    "PNM, several images": by_hand.pnm(RGB, 255) * 2,
    "PAM, PFM": b"P7\nWIDTH 1\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\nENDHDR\n\0",
}


def test_every_row_of_the_page_has_a_file() -> None:
    assert set(ROWS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_becomes_what_the_page_says(kind: str) -> None:
    try:
        found = read(KINDS[kind])
    except UnreadableImageError as error:
        became = "refused as broken" if "broken" in str(error) else "refused"
    else:
        became = f"`{found.dtype}`, {found.shape[2]} band{'s' if found.shape[2] > 1 else ''}"
    assert became == ROWS[kind]
