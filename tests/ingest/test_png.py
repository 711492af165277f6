"""PNG of every depth, color type and filter, whole and by rows: its pixels are those that were written."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from odin_graph.errors import UnreadableImageError
from tests.ingest import by_hand
from tests.ingest.drawing import HEIGHT, WIDTH, assert_reads, drawn, in_one_step, opened, read

PNG_KINDS = [(0, d) for d in (1, 2, 4, 8, 16)] + [(c, d) for c in (2, 4, 6) for d in (8, 16)]


@pytest.mark.parametrize("interlaced", [False, True], ids=["straight", "interlaced"])
@pytest.mark.parametrize(("color", "depth"), PNG_KINDS)
def test_png_of_every_kind(color: int, depth: int, interlaced: bool) -> None:
    """Each depth and color type, by every filter; with a transparent color, an alpha band says where it was."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    values = drawn("uint16" if depth == 16 else "uint8", samples, depth, (1 << depth) - 1)
    spread = values * (255 // ((1 << depth) - 1)) if depth < 8 else values
    plain = values.astype(bool) if (color, depth) == (0, 1) else spread
    for pieces in (1, 5):
        assert_reads(by_hand.png(values, depth, color, interlaced=interlaced, pieces=pieces, seed=depth), plain)
    if color in (0, 2):
        clear = values[3, 4]
        trns = clear.astype(">u2").tobytes()
        data = by_hand.png(values, depth, color, interlaced=interlaced, before=[(b"tRNS", trns)])
        alpha = (values != clear).any(axis=2, keepdims=True) * np.iinfo(spread.dtype).max
        expected = np.concatenate([spread, alpha.astype(spread.dtype)], axis=2)
        assert_reads(data, expected)
        np.testing.assert_array_equal(imagecodecs.png_decode(data), expected, "libpng agrees")


@pytest.mark.parametrize("damage", ["none", "cut", "flipped"])
def test_png_of_16_bits_is_the_same_with_and_without_libpng(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than one step of decoding; what is damaged is refused by both."""
    from odin_graph.ingest.formats import png

    values = np.tile(drawn("uint16", 3), (20, 30, 1))
    data = bytearray(by_hand.png(values, 16, 2, pieces=7))
    if damage == "cut":
        data = data[:-9_000]
    elif damage == "flipped":
        data[len(data) // 2] ^= 4
    for codecs in (imagecodecs, None):
        monkeypatch.setattr(png, "imagecodecs", codecs)
        if damage == "none":
            assert_reads(bytes(data), values)
            continue
        assert in_one_step(bytes(data)) is None
        with pytest.raises(UnreadableImageError, match=r"^x: it is broken"):
            read(bytes(data))


@pytest.mark.parametrize(("color", "depth"), PNG_KINDS)
def test_small_png_are_decoded_in_one_step(color: int, depth: int) -> None:
    """Those of whole bytes that say nothing else of their pixels, up to a size; `read` compares both ways."""
    samples = {0: 1, 2: 3, 4: 2, 6: 4}[color]
    values = drawn("uint16" if depth == 16 else "uint8", samples, depth, (1 << depth) - 1)
    size = HEIGHT * WIDTH * samples * depth // 8
    remarks = [(b"pHYs", bytes(9)), (b"tEXt", b"Title\0IEND")]
    for pieces in (1, 5):
        data = by_hand.png(values, depth, color, before=remarks, pieces=pieces)
        assert (in_one_step(data, most=size) is not None) == (depth >= 8)
        assert in_one_step(data, most=size - 1) is None
        assert in_one_step(data[:-12]) is None, "its end is missing"
        read(data)
    upside_down = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x03\0\0\0\0\0\0"
    for part in [(b"tRNS", bytes(2 * samples)), (b"eXIf", upside_down), (b"acTL", bytes(8)), (b"ABCD", b"")]:
        assert in_one_step(by_hand.png(values, depth, color, before=[part])) is None
    assert in_one_step(by_hand.png(values, depth, color, interlaced=True)) is None


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_palettes_of_png(depth: int) -> None:
    values = drawn("uint8", 1, depth, (1 << depth) - 1)
    table = np.random.default_rng(0).integers(0, 256, (1 << depth, 3), np.uint8)
    before = [(b"PLTE", table.tobytes())]
    assert_reads(by_hand.png(values, depth, 3, before=before), table[values[..., 0]])
    alpha = np.full(1 << depth, 255, np.uint8)
    alpha[:2] = 0, 77
    clear = np.column_stack([table, alpha])
    assert_reads(by_hand.png(values, depth, 3, before=[*before, (b"tRNS", alpha[:2].tobytes())]), clear[values[..., 0]])


def test_a_png_is_read_by_rows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Some rows at a time, in any order, of a file or of its bytes, at every depth: the same pixels."""
    from odin_graph.ingest.formats import png

    monkeypatch.setattr(png, "_PART", 300)
    monkeypatch.setattr(png, "_PIECE", 50)
    for color, depth in PNG_KINDS:
        samples = {0: 1, 2: 3, 4: 2, 6: 4}[color]
        values = drawn("uint16" if depth == 16 else "uint8", samples, depth, (1 << depth) - 1)
        data = by_hand.png(values, depth, color, pieces=3, seed=color)
        (tmp_path / "x.png").write_bytes(data)
        whole = imagecodecs.png_decode(data).reshape(HEIGHT, WIDTH, samples)
        for origin in (data, tmp_path / "x.png"):
            source = opened(origin)
            for first, end in ((0, 5), (5, 20), (30, HEIGHT), (3, 4), (0, HEIGHT)):
                expected = whole[first:end].astype(bool) if depth == 1 else whole[first:end]
                np.testing.assert_array_equal(source.rows(first, end), expected)
