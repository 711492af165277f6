"""Pixels of any kind can be looked at; sheets are drawn whole."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from odin_graph.analysis import impact_picture
from odin_graph.analysis.contact_sheet import MOST, ContactSheet, Tile, contact_sheet, images_shown
from odin_graph.analysis.display import displayable
from odin_graph.errors import QueryError
from odin_graph.schema.tasks.confusion import confusion_picture
from odin_graph.schema.tasks.confusion_counts import ConfusionCounts
from odin_graph.schema.tasks.pictures import short_names


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


def drawn(sheet: ContactSheet) -> list[np.ndarray]:
    """What was given to each tile's axes."""
    return [np.asarray(axes.images[0].get_array()) for axes in sheet.figure.axes]


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "float16", "float32", "float64", "int8"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_a_sheet_has_one_scale(dtype: str, bands: int) -> None:
    """The same value is the same gray on every tile: a dark image stays darker than a bright one."""
    ramp = np.linspace(-100, 100, 64) if dtype[0] in "if" else np.linspace(0, 200, 64)
    dark, bright = (np.repeat(part.reshape(4, 8, 1), bands, axis=2).astype(dtype) for part in (ramp[:32], ramp[32:]))
    sheet = contact_sheet([Tile(dark, "dark"), Tile(bright, "bright")], title="both")
    one, other = drawn(sheet)
    assert one[..., 0].max() <= other[..., 0].min()
    assert (np.diff(np.concatenate([one[..., 0].ravel(), other[..., 0].ravel()]).astype(int)) >= 0).all()
    assert one[..., 0].min() == 0
    assert other[..., 0].max() == 255
    assert any("is black" in text.get_text() and dtype in text.get_text() for text in sheet.figure.texts)
    each = contact_sheet([Tile(dark, "dark"), Tile(bright, "bright")], scale="image")
    assert [image[..., 0].max() for image in drawn(each)] == [255, 255]
    assert any("each image has its own scale" in text.get_text() for text in each.figure.texts)
    with pytest.raises(QueryError, match="one scale"):
        contact_sheet([Tile(dark, "")], scale="tile")  # type: ignore[arg-type]


def test_a_sheet_of_eight_bits_is_as_it_is_and_says_nothing() -> None:
    """Beside images of 16 bits, too."""
    small, wide = data.camera()[:64, :64, None], (data.camera()[:64, :64, None].astype(np.uint16) + 1) * 200
    sheet = contact_sheet([Tile(small, "a"), Tile(wide, "b")])
    np.testing.assert_array_equal(drawn(sheet)[0], np.repeat(small, 3, axis=2))
    assert not any("black" in text.get_text() for text in contact_sheet([Tile(small, "a")]).figure.texts)


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


def test_wrong_is_said_without_color() -> None:
    pixels = np.zeros((4, 4, 1), np.uint8)
    wrong, right = (Tile(pixels, "i", truth="a", predicted="b", wrong=wrong) for wrong in (True, False))
    assert wrong.caption().startswith("✗")
    assert right.caption().startswith("✓")
    assert len({wrong.color, right.color, Tile(pixels, "i", truth="a").color}) == 3
    unjudged = Tile(pixels, "i", truth=31.123456, predicted=30.98765, confidence=None)
    assert unjudged.caption() == "pred 30.99\ntruth 31.12", "a number beside another is not wrong by itself"
    assert Tile(pixels, "i", truth="a").caption() == "truth a"
    assert "stands for 12" in Tile(pixels, "i", stands_for=12).caption()


def test_nothing_to_show_is_an_error() -> None:
    with pytest.raises(QueryError, match="selects no images"):
        contact_sheet([])


def test_captions_stay_within_their_image() -> None:
    pixels = np.zeros((4, 4, 1), np.uint8)
    tile = Tile(pixels, "i", truth="n" * 80, predicted=["DME", "d" * 80], confidence=0.5, wrong=True)
    assert all(len(line) <= 26 for line in tile.caption().splitlines())
    assert tile.caption().splitlines()[0].endswith("… 50%"), "the confidence is not cut off"
    alike = Tile(pixels, "i", truth="retinopathy, proliferative, mild", predicted="retinopathy, proliferative, severe")
    assert alike.caption() == "pred retinopath…ve, severe\ntruth retinopath…ive, mild"
    assert Tile(pixels, "i", truth=[], asked=True).caption() == "truth none\nnearest to this one"


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    """Neither a formula between dollar signs nor a script that no font has stops a picture."""
    tile = Tile(np.zeros((4, 4, 1), np.uint8), "$x_1$ \\frac{", truth="日本", predicted="$", wrong=True)
    assert contact_sheet([tile], title="$\\bad{$").save(tmp_path / "sheet.png").stat().st_size > 1000


def test_more_than_fit_are_said_to_be_left_out() -> None:
    tile = Tile(np.zeros((2, 2, 1), np.uint8), "i")
    sheet = contact_sheet([tile] * (MOST + 3), title="Blank")
    assert len(sheet.figure.axes) == MOST
    assert sheet.figure.texts[0].get_text() == f"Blank (the first {MOST} of {MOST + 3})"


@pytest.mark.parametrize(
    ("number", "said"),
    [(1, "1 image"), (2, "2 images"), (MOST, f"{MOST} images"), (1_234_567, f"the first {MOST} of 1,234,567 images")],
)
def test_a_sheet_says_how_many_images_it_shows(number: int, said: str) -> None:
    assert images_shown(number) == said


def test_few_pixels_are_squares_and_many_are_averaged() -> None:
    """A checkerboard of single pixels is black and white where it is small, gray where it is large."""
    shades = []
    for side in (8, 2048):
        board = (np.indices((side, side)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None]
        drawn = Image.open(io.BytesIO(contact_sheet([Tile(board, "")])._repr_png_())).convert("L")
        width, height = drawn.size
        middle = np.asarray(drawn)[height // 4 : height // 2, width // 4 : width * 3 // 4]
        shades.append(float(middle.std()))
    assert shades[0] > 120
    assert shades[1] < 10


def test_names_that_begin_alike_are_told_apart() -> None:
    names = ["retinopathy, proliferative, mild", "retinopathy, proliferative, severe", "normal", "a" * 30]
    assert short_names(names, 18) == ["retinopa…ve, mild", "retinopa…, severe", "normal", f"{'a' * 17}…"]


def test_a_confusion_matrix_is_drawn_with_its_counts(tmp_path: Path) -> None:
    counts = ConfusionCounts(np.array([0, 0, 1, 1]), np.array([0, 2, 0, 1]), np.array([90, 1, 4, 3]), 3)
    drawn = confusion_picture(counts, ["normal", "diabetic macular edema", "$x$"], title="vgg/1 on retina@1")
    axes = drawn.figure.axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "3", "4", "90"], "no zeros: they only distract"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["normal", "diabetic macular …", "$x$"]
    colors = axes.images[0].get_array()
    (red, _, blue) = colors[0, 0]
    assert blue > red, "right is blue"
    assert colors[0, 2][0] > colors[0, 2][2], "a single wrong one is orange"
    assert (colors[0, 1] == 1).all(), "nothing is white"
    assert drawn.save(tmp_path / "confusion.png").stat().st_size > 1000


def test_of_many_classes_the_most_confused_are_drawn_and_the_rest_is_one(tmp_path: Path) -> None:
    """Every image is in some cell; the rest taken for the rest is neither blue nor orange."""
    truth = np.repeat(np.arange(12_000), 2)
    said = truth.copy()
    said[:6] = [7_000, 7_000, 0, 0, 9_000, 9_000]
    counts = ConfusionCounts.of(truth, said, 12_000)
    drawn = confusion_picture(counts, [f"class {c}" for c in range(12_000)], title="many")
    axes = drawn.figure.axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert {"class 0", "class 1", "class 2", "class 7000", "class 9000"} <= set(names)
    assert names[-1] == "(other)"
    assert sum(int(text.get_text().replace(",", "")) for text in axes.texts) == len(truth)
    red, green, blue = axes.images[0].get_array()[-1, -1]
    assert red == green == blue
    assert any("most confused of 12,000 classes" in text.get_text() for text in drawn.figure.texts)
    assert drawn.save(tmp_path / "many.png").stat().st_size > 1000


@given(st.lists(st.integers(1, 6), min_size=2, max_size=6), st.integers(0, 2**32))
def test_no_arrow_of_impact_runs_behind_a_box(columns: list[int], seed: int) -> None:
    """Whatever stands in the columns between, an arrow passes above, below or between them."""
    draw = np.random.default_rng(seed)
    wide, apart, high = impact_picture._WIDE, impact_picture._APART, impact_picture._HIGH
    placed = [
        (0.2 + column * (wide + apart), 1.0 + (row + 0.5) * max(columns) / rows * (high + 0.18))
        for column, rows in enumerate(columns)
        for row in range(rows)
    ]
    lanes = impact_picture._Lanes(placed)
    for _ in range(8):
        cause, effect = (placed[place] for place in draw.integers(0, len(placed), 2))
        if cause[0] == effect[0]:
            continue
        points = impact_picture.route(cause, effect, lanes)
        for (x, y), (to_x, to_y) in itertools.pairwise(points):
            for left, middle in placed:
                crosses = min(x, to_x) < left + wide - 1e-9 and max(x, to_x) > left + 1e-9
                inside = abs(y - middle) < high / 2 or abs(to_y - middle) < high / 2
                assert not (crosses and inside), "a step within a column's width is level, and in no box"
                if crosses:
                    assert y == to_y
