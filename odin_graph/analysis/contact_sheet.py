"""Many images on one sheet, each with what is known of it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.display import displayable
from odin_graph.analysis.picture import DPI, INK, Picture
from odin_graph.errors import QueryError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INCHES: Final = 1.75
"""The width of one image on the sheet."""
MOST: Final = 200
"""Images on a sheet; more are said to be left out, never silently."""
_WRONG, _RIGHT = "#b2182b", "#1b7837"


@dataclass(frozen=True)
class Tile:
    """One image and what stands below it."""

    pixels: NDArray[Any]
    """(h, w, bands), any dtype."""
    name: str
    truth: Any = None
    predicted: Any = None
    confidence: float | None = None
    stands_for: int | None = None
    distance: float | None = None

    @property
    def wrong(self) -> bool | None:
        """Whether the prediction differs from the truth; None where one is missing."""
        return None if self.truth is None or self.predicted is None else bool(self.truth != self.predicted)

    def caption(self) -> str:
        """Truth, prediction and confidence, and what a step added; a cross or a tick says it without colour."""
        lines = []
        if self.predicted is not None:
            mark = {True: "✗ ", False: "✓ ", None: ""}[self.wrong]
            sure = "" if self.confidence is None else f" {self.confidence:.0%}"
            lines.append(f"{mark}said {self.predicted}{sure}")
        if self.truth is not None:
            lines.append(f"truth {self.truth}")
        if self.stands_for is not None:
            lines.append(f"stands for {self.stands_for:,}")
        if self.distance is not None:
            lines.append(f"distance {self.distance:.3f}")
        return "\n".join(textwrap.shorten(line, 26, placeholder="…") for line in lines)


class ContactSheet(Picture):
    """Images in rows."""


def contact_sheet(tiles: Sequence[Tile], *, title: str = "", columns: int | None = None) -> ContactSheet:
    """Draw images in rows.

    Args:
        tiles: At least one.
        title: Stands above them.
        columns: Images a row; by default as many as make the sheet about square, five at least.
    """
    from matplotlib.figure import Figure  # not before a picture is drawn: it takes half a second to import

    if not tiles:
        raise QueryError("There is no image to show: the query selects none.")
    shown = tiles[:MOST]
    across = min(len(shown), columns or max(5, int(np.ceil(np.sqrt(len(shown) * 1.4)))))
    down = -(-len(shown) // across)
    lines = max(tile.caption().count("\n") + 1 if tile.caption() else 0 for tile in shown) + 1
    tall = max(tile.pixels.shape[0] / tile.pixels.shape[1] for tile in shown)
    cell = INCHES * min(max(tall, 0.5), 2.0) + 0.15 * lines + 0.12
    left_out = f" (the first {MOST:,} of {len(tiles):,})" if len(tiles) > MOST else ""
    wide = max(across * INCHES, 4.0)
    heading = textwrap.fill(title + left_out, int(wide * 11)) if title else left_out
    top = 0.24 * (heading.count("\n") + 1) + 0.12 if heading else 0.08
    figure = Figure(figsize=(wide, down * cell + top), facecolor="white")
    height = down * cell + top
    if heading:
        figure.text(0.08 / wide, 1 - 0.08 / height, heading, ha="left", va="top", fontsize=11, color=INK, weight="bold")
    for place, tile in enumerate(shown):
        row, column = divmod(place, across)
        _draw(
            figure,
            tile,
            (column * INCHES / wide, 1 - (top + (row + 1) * cell) / height, INCHES / wide, cell / height),
            lines,
        )
    return ContactSheet(figure)


def _draw(figure: Figure, tile: Tile, box: tuple[float, float, float, float], lines: int) -> None:
    left, bottom, wide, high = box
    inch = high / (figure.get_figheight() * high)  # of the figure's height
    text = (0.15 * lines + 0.1) * inch
    axes = figure.add_axes((left + wide * 0.04, bottom + text, wide * 0.92, high - text - 0.03 * inch))
    pixels = displayable(tile.pixels)
    # Few pixels are shown as the squares they are; many are averaged, not skipped.
    axes.imshow(pixels, interpolation="nearest" if max(pixels.shape[:2]) < INCHES * DPI else "antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    colour = {True: _WRONG, False: _RIGHT, None: "#bbbbbb"}[tile.wrong]
    for side in axes.spines.values():
        side.set_color(colour)
        side.set_linewidth(0.8 if tile.wrong is None else 1.8)
    middle = left + wide / 2
    figure.text(
        middle,
        bottom + text - 0.04 * inch,
        tile.caption(),
        ha="center",
        va="top",
        fontsize=8,
        color=INK,
        linespacing=1.15,
    )
    name = tile.name if len(tile.name) <= 26 else f"…{tile.name[-25:]}"
    figure.text(middle, bottom + 0.02 * inch, name, ha="center", va="bottom", fontsize=6, color="#777777")
