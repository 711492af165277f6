"""Many images on one sheet, each with what is known of it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.display import Scale, displayable, is_stretched, reduced
from odin_graph.errors import QueryError
from odin_graph.picture import DPI, INK, Picture, fonts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES: Final = 1.75
"""The width of one image on the sheet."""
MOST: Final = 200
"""Images on a sheet; the title tells how many are left out."""
_WRONG, _RIGHT, _ASKED, _PLAIN = "#d95f02", "#2166ac", INK, "#bbbbbb"
"""Orange and blue, which color-blind people tell apart; a cross or a tick says the same without color."""
_TEXT: Final[dict[str, Any]] = {"color": INK, "parse_math": False}
"""Names are shown as they are: a $ begins no formula."""
_LETTERS: Final = 26
"""The most letters of a line below an image."""


@dataclass(frozen=True)
class Tile:
    """One image and the text below it."""

    pixels: NDArray[Any]
    """(h, w, bands), any dtype."""
    name: str
    truth: Any = None
    """A class, a list of classes, or a number."""
    predicted: Any = None
    confidence: float | None = None
    wrong: bool | None = None
    """Whether the prediction is wrong by the task's rule; None if unknown."""
    stands_for: int | None = None
    distance: float | None = None
    asked: bool = False
    """Whether it is the image whose neighbors the others are."""
    note: str | None = None
    """A further line of text."""

    def caption(self) -> str:
        """Truth, prediction and confidence, and what a step added."""
        lines = []
        alike = _shortened(self.predicted, _LETTERS // 2) == _shortened(self.truth, _LETTERS // 2)  # not at their ends
        if self.predicted is not None:
            mark = {True: "✗ ", False: "✓ ", None: ""}[self.wrong]
            sure = "" if self.confidence is None else f" {self.confidence:.0%}"
            lines.append(f"{mark}pred {_shortened(self.predicted, _LETTERS - len(mark) - len(sure) - 5, alike)}{sure}")
        if self.truth is not None:
            lines.append(f"truth {_shortened(self.truth, _LETTERS - 6, alike)}")
        if self.stands_for is not None:
            lines.append(f"stands for {self.stands_for:,}")
        if self.distance is not None:
            lines.append(f"distance {self.distance:.3g}")
        if self.note is not None:
            lines.append(_shortened(self.note, _LETTERS))
        elif self.asked:
            lines.append("nearest to this one")
        return "\n".join(lines)

    @property
    def color(self) -> str:
        """The color of its frame."""
        return _ASKED if self.asked else {True: _WRONG, False: _RIGHT, None: _PLAIN}[self.wrong]


def _shortened(value: Any, letters: int, middle: bool = False) -> str:
    """A text without its end, or its middle, as far as there is no room for it."""
    if isinstance(value, list):
        value = ", ".join(map(str, value)) or "none"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    if len(text) <= letters:
        return text
    after = (letters - 1) // 2 if middle else 0
    return f"{text[: letters - 1 - after]}…{text[len(text) - after :]}"


class ContactSheet(Picture):
    """Images in rows."""


Scaling: TypeAlias = Literal["sheet", "image"]
"""Whether images above 8 bits are stretched alike, or each by itself."""


def images_shown(number: int) -> str:
    """How many of so many images a sheet shows, for its title."""
    images = "1 image" if number == 1 else f"{number:,} images"
    return images if number <= MOST else f"the first {MOST} of {images}"


def contact_sheet(
    tiles: Sequence[Tile], *, title: str = "", columns: int | None = None, scale: Scaling = "sheet"
) -> ContactSheet:
    """Draw images in rows.

    Images of 8 bits are shown as they are. Others are stretched, all of a dtype alike, so that they can be compared;
    the sheet says which values are black and white.

    Args:
        tiles: At least one.
        title: Stands above them.
        columns: Images a row; by default as many as make the sheet about square, five at least.
        scale: ``image`` stretches each image above 8 bits by itself.
    """
    from matplotlib.figure import Figure  # not before a picture is drawn: it takes half a second to import

    if not tiles:
        raise QueryError("There is no image to show: the query selects no images.")
    if scale not in get_args(Scaling):
        raise QueryError(f"A sheet has one scale (scale='sheet') or one for each image (scale='image'), not {scale!r}.")
    shown = tiles[:MOST]
    scales, legend = _scales(shown, scale)
    across = min(len(shown), columns or max(5, int(np.ceil(np.sqrt(len(shown) * 1.4)))))
    down = -(-len(shown) // across)
    inches = INCHES if len(shown) > 1 else 2 * INCHES
    lines = max(tile.caption().count("\n") + 1 if tile.caption() else 0 for tile in shown) + 1
    tall = max(tile.pixels.shape[0] / tile.pixels.shape[1] for tile in shown)
    cell = inches * min(max(tall, 0.5), 2.0) + 0.15 * lines + 0.12
    left_out = f" (the first {MOST:,} of {len(tiles):,})" if len(tiles) > MOST else ""
    wide = max(across * inches, 4.0 if title else 0.0)
    heading = textwrap.fill(title + left_out, int(wide * 11))
    below = textwrap.fill(legend, max(12, int(across * inches * 17)))
    top = 0.24 * (heading.count("\n") + 1) + 0.12 if heading else 0.08
    top += 0.13 * (below.count("\n") + 1) if below else 0.0
    figure = Figure(figsize=(wide, down * cell + top), facecolor="white")
    height = down * cell + top
    if heading:
        words: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": 11, "weight": "bold"}
        figure.text(0.08 / wide, 1 - 0.08 / height, heading, **words, **_TEXT, family=fonts())
    if below:
        words = {"ha": "left", "va": "bottom", "fontsize": 7, "color": "#777777", "family": fonts()}
        figure.text(0.08 / wide, 1 - (top - 0.02) / height, below, parse_math=False, **words)
    for place, tile in enumerate(shown):
        row, column = divmod(place, across)
        left, bottom = column * inches / wide, 1 - (top + (row + 1) * cell) / height
        _draw(figure, tile, (left, bottom, inches / wide, cell / height), lines, scales.get(tile.pixels.dtype))
    return ContactSheet(figure)


def _scales(tiles: Sequence[Tile], scale: Scaling) -> tuple[dict[np.dtype[Any], Scale], str]:
    """The scale of each dtype, none where each image has its own, and what the sheet says of them."""
    dtypes = {tile.pixels.dtype: None for tile in tiles if is_stretched(tile.pixels)}
    if not dtypes:
        return {}, ""
    if scale == "image" and len(tiles) > 1:
        return {}, "each image has its own scale: do not compare them"
    scales = {dtype: Scale.of([tile.pixels for tile in tiles if tile.pixels.dtype == dtype]) for dtype in dtypes}
    return scales, "; ".join(f"{dtype}: {dtype_scale}" for dtype, dtype_scale in scales.items())


def _draw(figure: Figure, tile: Tile, box: tuple[float, float, float, float], lines: int, scale: Scale | None) -> None:
    left, bottom, wide, high = box
    inch = high / (figure.get_figheight() * high)  # of the figure's height
    text = (0.15 * lines + 0.1) * inch
    axes = figure.add_axes((left + wide * 0.04, bottom + text, wide * 0.92, high - text - 0.03 * inch))
    pixels = reduced(displayable(tile.pixels, scale), int(4 * INCHES * DPI))
    axes.imshow(pixels, interpolation="nearest" if max(pixels.shape[:2]) < INCHES * DPI else "antialiased")
    axes.set_anchor("S")  # a flat image stands on its caption
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_color(tile.color)
        side.set_linewidth(0.8 if tile.color == _PLAIN else 2.2)
    middle = left + wide / 2
    below: dict[str, Any] = {"va": "top", "fontsize": 8, "linespacing": 1.15, "family": fonts()}
    figure.text(middle, bottom + text - 0.04 * inch, tile.caption(), ha="center", **below, **_TEXT)
    name = tile.name if len(tile.name) <= _LETTERS else f"…{tile.name[1 - _LETTERS :]}"
    small: dict[str, Any] = {"va": "bottom", "fontsize": 6, "color": "#777777", "family": fonts()}
    figure.text(middle, bottom + 0.02 * inch, name, ha="center", parse_math=False, **small)
