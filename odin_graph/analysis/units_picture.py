"""What drives units, drawn: a row a unit, its images side by side with the value that the unit took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.display import Scale, displayable, is_stretched, reduced
from odin_graph.errors import QueryError, ShapeError
from odin_graph.picture import DPI, INK, Picture, fonts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST: Final = 50
"""Rows, and images in a row; the title tells how many are left out."""
_SIDE: Final = 1.1
"""Inches of an image."""
_GAP: Final = 0.07
_CAPTION: Final = 0.2
"""Inches below an image, for the value."""
_LETTERS: Final = 30
"""The most letters of a unit's name; of a longer one the end is shown."""
_LETTER, _MARGIN = 0.084, 0.3
"""Inches of a letter, and beside the names."""
_GRAY: Final = "#777777"
_BAR: Final = "#2166ac"


@dataclass(frozen=True, eq=False)
class UnitRow:
    """A unit and the images that are shown of it."""

    title: str
    """Its name: ``features.28, channel 3``."""
    images: Sequence[NDArray[Any]]
    """Each (h, w, bands) of any dtype, in the order in which they are shown."""
    values: Sequence[float]
    """The unit's value for each."""


def units_picture(rows: Sequence[UnitRow], *, title: str = "") -> Picture:
    """Draw the images of units, a row a unit.

    Left of a row stand the unit's name and the range of its values; below an image stands its value, and a bar as long
    as its share of the highest value in the row, so that one sees whether a unit is driven by a few images or by many.

    Args:
        rows: At least one, each with one image at least.
        title: Stands above them.

    Raises:
        QueryError: There is no unit, or one without an image.
        ShapeError: A row has not as many values as images.
    """
    from matplotlib.figure import Figure  # not before a picture is drawn: it takes half a second to import

    _check(rows)
    shown = rows[:MOST]
    across = min(MOST, max(len(row.images) for row in shown))
    longest = max(len(row.images) for row in shown)
    left_out = [f"the first {MOST} of {len(rows):,} units"] if len(rows) > MOST else []
    left_out += [f"at most {MOST} of {longest:,} images each"] if longest > MOST else []
    heading = f"{title} ({', '.join(left_out)})".strip() if left_out else title
    top = 0.46 if heading else 0.12
    left = max(14, *(min(len(row.title), _LETTERS) for row in shown)) * _LETTER + _MARGIN
    wide = left + across * (_SIDE + _GAP) + 0.12
    high = top + len(shown) * (_SIDE + _CAPTION + _GAP) + 0.06
    figure = Figure(figsize=(wide, high), facecolor="white")
    if heading:
        figure.text(
            0.12 / wide, 1 - 0.13 / high, heading, ha="left", va="top", fontsize=12, weight="bold", color=INK,
            family=fonts(), parse_math=False,
        )  # fmt: skip
    wider = [pixels for row in shown for pixels in row.images[:MOST] if is_stretched(pixels)]
    scale = Scale.of(wider) if wider else None  # one for all, so that they can be compared
    for place, row in enumerate(shown):
        _draw_row(figure, row, left, high - top - place * (_SIDE + _CAPTION + _GAP), scale)
    return Picture(figure)


def _check(rows: Sequence[UnitRow]) -> None:
    if not rows:
        raise QueryError("There is no unit to draw: give one row at least.")
    for row in rows:
        if len(row.images) != len(row.values):
            raise ShapeError(
                f"{row.title} has {len(row.images)} images and {len(row.values)} values: one value an image is needed."
            )
        if not len(row.images):
            raise QueryError(f"{row.title} has no image to show: leave it out.")


def _draw_row(figure: Figure, row: UnitRow, left: float, top: float, scale: Scale | None) -> None:
    """Draw a row: its images begin ``left`` inches from the left, and ``top`` inches above the bottom."""
    wide, high = figure.get_size_inches()
    words: dict[str, Any] = {"ha": "right", "family": fonts(), "parse_math": False}
    right, middle = (left - 0.14) / wide, top - _SIDE / 2
    values = [float(value) for value in row.values]
    known = [value for value in values if np.isfinite(value)]
    name = row.title if len(row.title) <= _LETTERS else f"…{row.title[1 - _LETTERS :]}"
    figure.text(right, (middle + 0.03) / high, name, va="bottom", fontsize=9, weight="bold", color=INK, **words)
    if known:
        span = f"{_short(min(known))} to {_short(max(known))}" if min(known) < max(known) else _short(known[0])
        figure.text(right, (middle - 0.03) / high, span, va="top", fontsize=8, color=_GRAY, **words)
    most = max(map(abs, known), default=0.0)
    for place, (pixels, value) in enumerate(zip(row.images[:MOST], values, strict=False)):
        at = left + place * (_SIDE + _GAP)
        _draw_image(figure, pixels, scale, (at / wide, (top - _SIDE) / high, _SIDE / wide, _SIDE / high))
        figure.text(
            (at + _SIDE / 2) / wide, (top - _SIDE - 0.045) / high, _short(value), ha="center", va="top", fontsize=7,
            color=INK, family=fonts(),
        )  # fmt: skip
        share = abs(value) / most if most and np.isfinite(value) else 0.0
        _draw_bar(figure, (at / wide, (top - _SIDE - 0.035) / high, _SIDE / wide, 0.02 / high), share)


def _draw_image(
    figure: Figure, pixels: NDArray[Any], scale: Scale | None, box: tuple[float, float, float, float]
) -> None:
    axes = figure.add_axes(box)
    shown = reduced(displayable(pixels, scale), int(4 * _SIDE * DPI))
    # Few pixels stay the squares they are.
    axes.imshow(shown, interpolation="nearest" if max(shown.shape[:2]) < _SIDE * DPI else "antialiased")
    axes.set_anchor("S")
    axes.set_axis_off()


def _draw_bar(figure: Figure, box: tuple[float, float, float, float], share: float) -> None:
    from matplotlib.patches import Rectangle

    left, bottom, wide, high = box
    for color, part in (("#e6e6e6", 1.0), (_BAR, share)):
        figure.add_artist(
            Rectangle((left, bottom), wide * part, high, transform=figure.transFigure, color=color, linewidth=0)
        )


def _short(value: float) -> str:
    """Three digits, zeros too, so that the values of a row compare at a glance."""
    if np.isnan(value):
        return "NaN"
    text = f"{value:#.3g}" if value else "0"
    return text.removesuffix(".").replace("-", "−")  # noqa: RUF001 - a minus, as printed
