"""Pixels of any kind can be looked at; sheets are drawn whole."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from odin_graph.analysis.contact_sheet import Tile, contact_sheet
from odin_graph.analysis.display import displayable
from odin_graph.errors import QueryError


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "bool"])
@pytest.mark.parametrize("bands", [1, 2, 3, 5])
def test_any_dtype_and_bands_become_8_bit_rgb(dtype: str, bands: int) -> None:
    draw = np.random.default_rng(0)
    pixels = (draw.random((9, 7, bands)) * 3000).astype(dtype) if dtype != "bool" else draw.random((9, 7, bands)) > 0.5
    before = pixels.copy()
    shown = displayable(pixels)
    assert shown.shape == (9, 7, 3)
    assert shown.dtype == np.uint8
    assert shown.max() > shown.min()
    np.testing.assert_array_equal(pixels, before)


def test_8_bits_are_shown_as_they_are() -> None:
    pixels = data.astronaut()[:50, :60]
    np.testing.assert_array_equal(displayable(pixels), pixels)


def test_a_stretch_uses_the_whole_range_and_bears_nan() -> None:
    pixels = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100, 1)
    pixels[0, 0], pixels[0, 1] = np.nan, np.inf
    shown = displayable(pixels)
    assert shown.min() == 0
    assert shown.max() == 255
    assert displayable(np.full((4, 4, 1), np.nan, np.float32)).max() == 0
    assert len(np.unique(displayable(np.full((4, 4, 1), 7, np.uint16)))) == 1


def test_a_sheet_is_saved_in_the_format_of_its_name(tmp_path: Path) -> None:
    tiles = [
        Tile(data.astronaut(), f"photo {n}", truth="a", predicted="b", confidence=0.9, stands_for=3) for n in range(7)
    ]
    sheet = contact_sheet(tiles, title="Seven photographs")
    for suffix, start in {".png": b"\x89PNG", ".pdf": b"%PDF", ".jpg": b"\xff\xd8"}.items():
        assert sheet.save(tmp_path / "new" / f"sheet{suffix}").read_bytes().startswith(start)
    drawn = np.asarray(Image.open(io.BytesIO(sheet._repr_png_())).convert("RGB"))
    assert drawn.std() > 20, "it is not blank"
    with pytest.raises(QueryError, match=r"\.png"):
        sheet.save(tmp_path / "sheet.bmp")


def test_wrong_is_said_without_colour() -> None:
    pixels = np.zeros((4, 4, 1), np.uint8)
    assert Tile(pixels, "i", truth="a", predicted="b").caption().startswith("✗")
    assert Tile(pixels, "i", truth="a", predicted="a").caption().startswith("✓")
    assert Tile(pixels, "i", truth="a").caption() == "truth a"
    assert "stands for 12" in Tile(pixels, "i", stands_for=12).caption()


def test_nothing_to_show_is_an_error() -> None:
    with pytest.raises(QueryError, match="selects none"):
        contact_sheet([])
