"""Pixels drawn by chance, files of them, and what is read of a file."""

from __future__ import annotations

import io
from functools import cache
from pathlib import PurePath
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from odin_graph.ingest.file import File, Origin
from odin_graph.ingest.readers import OpenedFrame, Readers
from tests.ingest import by_hand

HEIGHT, WIDTH = 37, 41
TURNS = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


def drawn(dtype: Any, bands: int, seed: int = 0, most: int | None = None) -> NDArray[Any]:
    """Numbers over the whole range of a dtype, or to a largest one, both ends among them."""
    draw, dtype = np.random.default_rng(seed), np.dtype(dtype)
    shape = (HEIGHT, WIDTH, bands)
    if dtype.kind == "b":
        return draw.random(shape) < 0.5
    if dtype.kind == "f":
        return draw.normal(0, 1e4, shape).astype(dtype)
    low, high = (0, most) if most is not None else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    found = draw.integers(low, high, shape, dtype, endpoint=True)
    found[0, 0], found[-1, -1] = low, high
    return found


def assert_reads(data: bytes, expected: NDArray[Any], what: object = "") -> None:
    found = read(data)
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), what
    np.testing.assert_array_equal(found, expected, err_msg=str(what))


def written(pixels: NDArray[Any], **how: Any) -> bytes:
    """By tifffile."""
    out = io.BytesIO()
    bands = pixels.shape[2]
    how.setdefault("photometric", "rgb" if bands > 2 else "minisblack")
    if bands == 2:
        how.setdefault("planarconfig", "contig")
        how.setdefault("extrasamples", ["unassalpha"])
    elif bands == 4:
        how.setdefault("extrasamples", ["unassalpha"])
    if how.get("planarconfig") == "separate":
        pixels = np.moveaxis(pixels, 2, 0)
    elif bands == 1:
        pixels = pixels[..., 0]
    tifffile.imwrite(out, pixels, metadata=None, **how)
    return out.getvalue()


def by_hand_deep(pixels: NDArray[Any], bits: int, order: str, fill: int, **tags: Any) -> bytes:
    """Numbers of more than 8 bits that are no whole bytes are packed by their bits."""
    if bits in (16, 32) or bits <= 8:
        return by_hand.tiff(pixels, bits, order=order, fill=fill, **tags)
    rows = pixels.reshape(len(pixels), -1)
    each = (rows[:, :, None] >> np.arange(bits - 1, -1, -1, dtype=np.uint16)) & 1
    packed = np.packbits(each.reshape(len(rows), -1).astype(np.uint8), axis=1)[..., None]
    height, width, bands = pixels.shape
    shown = {"t256": width, "t257": height, "t258": [bits] * bands, "t277": bands, "t339": [1] * bands}
    return by_hand.tiff(packed, 8, order=order, fill=fill, **{"t262": 2 if bands > 2 else 1, **shown, **tags})


def opened(origin: Origin, name: str = "x") -> OpenedFrame:
    return _readers().open((File(name, origin),)).image()


def read(data: bytes, name: str = "x") -> NDArray[Any]:
    """The pixels; where the reader gives them in one step too, they are the same."""
    found = _readers().read(PurePath(name), data)
    if (small := in_one_step(data, name)) is not None:
        assert (small.dtype, small.shape) == (found.dtype, found.shape)
        np.testing.assert_array_equal(small, found)
    return found


def in_one_step(data: bytes, name: str = "x", most: int = 1 << 30) -> NDArray[Any] | None:
    return _readers().small(File(name, data), most)


@cache
def _readers() -> Readers:
    return Readers.installed()
