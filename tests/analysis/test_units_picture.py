"""Pictures of units are drawn whole, with names and values as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from odin_graph.analysis.units_picture import MOST, UnitRow, units_picture
from odin_graph.errors import QueryError, ShapeError


def test_ten_channels_and_their_crops(tmp_path: Path) -> None:
    photograph = data.astronaut()
    crops = [photograph[at : at + 64, at : at + 64] for at in range(0, 448, 64)]
    rows = [UnitRow(f"features.28, channel {at}", crops, np.linspace(2, 1, 7) * at) for at in range(10)]
    drawn = units_picture(rows, title="What drives ten channels")
    said = [text.get_text() for text in drawn.figure.texts]
    assert said[0] == "What drives ten channels"
    assert said[1:4] == ["features.28, channel 0", "0", "0"], "a dead unit has one value, no range"
    assert {"features.28, channel 9", "9.00 to 18.0", "18.0", "9.00"} <= {*said}
    assert len(drawn.figure.axes) == 70
    for suffix, start in {".png": b"\x89PNG", ".pdf": b"%PDF"}.items():
        assert drawn.save(tmp_path / f"units{suffix}").read_bytes().startswith(start)
    shown = np.asarray(Image.open(tmp_path / "units.png").convert("RGB"))
    assert shown.std() > 20, "it is not blank"


def test_any_numbers_names_and_shapes(tmp_path: Path) -> None:
    gray = np.linspace(0, 1, 1500, dtype=np.float32).reshape(30, 50, 1)
    rows = [
        UnitRow("$x_1$ \\frac{ 日本 and a very long name, channel 17", [gray] * 3, [np.nan, -np.inf, -1.5]),
        UnitRow("low", [gray.transpose(1, 0, 2)], [-123_456.0]),
        UnitRow("nothing known", [np.full((2, 2, 2), np.nan)], [np.nan]),
    ]
    drawn = units_picture(rows)
    said = [text.get_text() for text in drawn.figure.texts]
    assert said[:5] == ["… a very long name, channel 17", "−1.50", "NaN", "−inf", "−1.50"]  # noqa: RUF001
    assert drawn.save(tmp_path / "units.png").stat().st_size > 1000


def test_bars_are_shares_of_the_highest_value_of_their_row() -> None:
    pixel = np.zeros((1, 1, 1), np.uint8)
    drawn = units_picture([UnitRow("a", [pixel] * 3, [4, 1, 0]), UnitRow("b", [pixel], [0.1])])
    wide = [patch.get_width() for patch in drawn.figure.artists]
    full = wide[0]
    assert [round(each / full, 6) for each in wide[1::2]] == [1, 0.25, 0, 1]


def test_more_than_fit_are_said_to_be_left_out() -> None:
    pixel = np.zeros((1, 1, 1), np.uint8)
    drawn = units_picture(
        [UnitRow("a", [pixel] * (MOST + 1), [1.0] * (MOST + 1))] + [UnitRow("b", [pixel], [1])] * MOST
    )
    assert drawn.figure.texts[0].get_text() == " (the first 50 of 51 units, at most 50 of 51 images each)".strip()


def test_nonsense_is_refused() -> None:
    pixel = np.zeros((1, 1, 1), np.uint8)
    with pytest.raises(QueryError) as caught:
        units_picture([])
    assert str(caught.value) == "There is no unit to draw: give one row at least."
    with pytest.raises(QueryError) as caught:
        units_picture([UnitRow("channel 3", [], [])])
    assert str(caught.value) == "channel 3 has no image to show: leave it out."
    with pytest.raises(ShapeError) as caught:
        units_picture([UnitRow("channel 3", [pixel], [1, 2])])
    assert str(caught.value) == "channel 3 has 1 images and 2 values: one value an image is needed."
