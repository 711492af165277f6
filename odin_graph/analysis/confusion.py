"""A confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.picture import INK, Picture, fonts

_WRITTEN = 24
"""Up to this many classes the counts are written into the cells."""
_NAMED = 60
"""Up to this many classes their names stand at the sides."""


def confusion_picture(counts: NDArray[np.int64], classes: Sequence[Any], *, title: str = "") -> Picture:
    """Draw truth by row and prediction by column.

    A cell is as dark as its share of the row, so that a rare class is seen as well as a frequent one. What is right is
    blue and on the diagonal, what is wrong is orange: two colours that colour-blind people tell apart.

    Args:
        counts: (classes, classes).
        classes: Their names.
        title: Stands above.
    """
    from matplotlib.figure import Figure  # not before a picture is drawn: it takes half a second to import

    n = len(classes)
    names = [name if len(name) <= 18 else f"{name[:17]}…" for name in map(str, classes)]
    longest = max(map(len, names), default=1)
    side = min(max(0.42 * n, 2.2), 12.0)
    beside, below = 0.55 + 0.085 * longest, 0.55 + (0.0 if longest <= 3 else 0.055 * longest)
    above = 0.5 if title else 0.15
    wide, high = max(side + beside + 0.25, 0.09 * len(title) + 0.4), side + below + above
    figure = Figure(figsize=(wide, high), facecolor="white")
    axes = figure.add_axes((beside / wide, below / high, side / wide, side / high))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(_coloured(shares), interpolation="nearest")
    if n <= _WRITTEN:
        for row, column in zip(*np.nonzero(counts), strict=True):
            ink = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", fontsize=7, color=ink)
    if n <= _NAMED:
        words: dict[str, Any] = {"fontsize": 8, "family": fonts(), "parse_math": False}
        turned: dict[str, Any] = {} if longest <= 3 else {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(n), names, **words, **turned)
        axes.set_yticks(range(n), names, **words)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted", fontsize=9, color=INK)
    axes.set_ylabel("truth", fontsize=9, color=INK)
    for spine in axes.spines.values():
        spine.set_color("#bbbbbb")
    if title:
        figure.text(
            0.12 / wide,
            1 - 0.12 / high,
            title,
            ha="left",
            va="top",
            fontsize=10,
            weight="bold",
            color=INK,
            parse_math=False,
            family=fonts(),
        )
    return Picture(figure)


def _coloured(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    from matplotlib import colormaps

    # Among hundreds a single mistake must still be seen: the root lifts the small shares.
    wrong = colormaps["Oranges"](0.8 * np.sqrt(shares))
    right = colormaps["Blues"](np.where(shares > 0, 0.08 + 0.92 * shares, 0.0))
    wrong[shares == 0] = right[shares == 0] = 1.0
    on_diagonal = np.eye(len(shares), dtype=bool)
    coloured: NDArray[np.float64] = np.where(on_diagonal[..., None], right, wrong)[..., :3]
    return coloured
