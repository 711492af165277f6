"""A confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.picture import INK, Picture, fonts, heading
from odin_graph.schema.tasks.confusion_counts import ConfusionCounts
from odin_graph.schema.tasks.pictures import short_names

_WRITTEN: Final = 24
"""Up to this many classes the counts are written into the cells."""
_NAMED: Final = 60
"""Up to this many classes are drawn, with their names; of more the most confused ones, and the rest as one."""
OTHER: Final = "(other)"
_REST: Final = (0.85, 0.85, 0.85)
"""The color of the rest taken for the rest, which may be right or wrong."""


def confusion_picture(
    counts: ConfusionCounts, classes: Sequence[Any], *, title: str = "", ordered: bool = False
) -> Picture:
    """Draw truth by row and prediction by column.

    A cell is as dark as its share of the row, so that a rare class is seen as well as a frequent one. What is right is
    blue and on the diagonal, what is wrong is orange: two colors that color-blind people tell apart.

    Args:
        counts: What was taken for what.
        classes: The names of the classes.
        title: Stands above.
        ordered: The classes are grades: a line encloses what is off by one at most.
    """
    from matplotlib.figure import Figure  # not before a picture is drawn: it takes half a second to import

    gathered = counts.size > _NAMED
    drawn, kept = counts.gathered(_WRITTEN if gathered else _NAMED)
    names = short_names([str(classes[place]) for place in kept.tolist()], 18) + ([OTHER] if gathered else [])
    if gathered:
        shown = f"the {len(kept)} most confused of {counts.size:,} classes"
        title = f"{title}; {shown}" if "\n" in title else f"{title}\n{shown}".lstrip("\n")
    matrix, n = drawn.dense(), drawn.size
    longest = max(map(len, names), default=1)
    side = min(max(0.42 * n, 2.2), 12.0)
    beside, below = 0.55 + 0.085 * longest, 0.55 + (0.0 if longest <= 3 else 0.055 * longest)
    wide = max(side + beside + 0.25, 4.2 if title else 0.0)
    above = heading(title, wide)[1] if title else 0.15
    high = side + below + above
    figure = Figure(figsize=(wide, high), facecolor="white")
    axes = figure.add_axes((beside / wide, below / high, side / wide, side / high))
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    colored = _colored(shares)
    if gathered and matrix[-1, -1]:
        colored[-1, -1] = _REST
    axes.imshow(colored, interpolation="nearest")
    if n <= _WRITTEN:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            rest = gathered and row == column == n - 1
            ink = "white" if shares[row, column] > 0.55 and not rest else INK
            text, size = f"{matrix[row, column]:,}", 7 if matrix[row, column] < 10_000 else 6
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=ink)
    words: dict[str, Any] = {"fontsize": 8, "family": fonts(), "parse_math": False}
    turned: dict[str, Any] = {} if longest <= 3 else {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(range(n), names, **words, **turned)
    axes.set_yticks(range(n), names, **words)
    if ordered and n > 1:
        _enclose(axes, n)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted", fontsize=9, color=INK)
    axes.set_ylabel("truth", fontsize=9, color=INK)
    for spine in axes.spines.values():
        spine.set_color("#bbbbbb")
    if title:
        heading(title, wide, figure)
    return Picture(figure)


def _enclose(axes: Any, n: int) -> None:
    """The border of what is off by one at most: steps beside the diagonal."""
    edges = np.repeat(np.minimum(np.arange(n) + 1.5, n - 0.5), 2)
    along = np.stack([np.arange(n) - 0.5, np.arange(n) + 0.5], axis=1).reshape(-1)
    for x, y in ((edges, along), (along, edges)):
        axes.plot(x, y, color="#777777", linewidth=0.9, linestyle=(0, (3, 2)))


def _colored(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    from matplotlib import colormaps

    # Among hundreds a single mistake must still be seen: the root lifts the small shares.
    wrong = colormaps["Oranges"](0.8 * np.sqrt(shares))
    right = colormaps["Blues"](np.where(shares > 0, 0.08 + 0.92 * shares, 0.0))
    wrong[shares == 0] = right[shares == 0] = 1.0
    on_diagonal = np.eye(len(shares), dtype=bool)
    colored: NDArray[np.float64] = np.where(on_diagonal[..., None], right, wrong)[..., :3]
    return colored
