"""Pictures of measures: by class, of numbers, and of whatever a task measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from odin_graph.picture import INK, Picture, fonts, heading
from odin_graph.schema.tasks.scores import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RIGHT: Final = "#2166ac"
PALE: Final = "#999999"
_WRONG, _THIRD = "#d95f02", "#5e3c99"
ROWS: Final = 30
"""Groups or classes that are drawn: of more the worst."""
_POINTS: Final = 5_000
"""Images that are drawn as points; more are drawn as how many there are of each place."""


def measures_picture(scores: Scores, head: str, below: str) -> Picture:
    """Every measure by name, with its value at the right: what a task has that draws nothing of its own."""
    names = list(scores.overall)
    values = np.array(list(scores.overall.values()), np.float64)
    axes, picture = rows_of(names, f"{head}\n{below}")
    axes.plot(values, np.arange(len(names)), "o", color=RIGHT, markersize=5)
    low, high = (float(end(values[np.isfinite(values)], initial=0.0)) for end in (np.min, np.max))
    margin = 0.05 * (high - low) or 0.5
    axes.set_xlim(low - margin, high + margin)
    beside(axes, [_number(value) for value in values], "")
    return picture


def classes_picture(scores: Scores, head: str, below: str) -> Picture:
    """Precision, recall and F1 of each class."""
    table = scores.per_class
    order = np.arange(len(table))
    more = ""
    if len(table) > ROWS:
        order = np.sort(np.argsort(table["f1"].to_numpy(), kind="stable")[:ROWS])
        more = f"; the {ROWS} classes of {len(table):,} with the lowest F1"
    shown = table.iloc[order]
    measure, value = next(iter(scores.overall.items()))
    title = f"{head}: {measure} {value:.1%}\nby class{more}. {below}".rstrip(". ")
    axes, picture = rows_of(list(map(str, shown.index)), title)
    places = np.arange(len(shown))
    axes.hlines(places, shown[["precision", "recall"]].min(axis=1), shown[["precision", "recall"]].max(axis=1),
                color="#dddddd", linewidth=2, zorder=0)  # fmt: skip
    for name, mark, color in (("precision", ">", RIGHT), ("recall", "<", _WRONG), ("f1", "o", _THIRD)):
        axes.plot(shown[name], places, mark, color=color, markersize=6, label=name.replace("f1", "F1"))
    axes.set_xlim(-0.03, 1.03)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=8, borderaxespad=0.1)
    beside(axes, [f"{n:,}" for n in shown["n"]])
    return picture


def numbers_picture(scores: Scores, head: str, below: str, tolerance: float | None = None) -> Picture:
    """What was predicted against the truth, the diagonal, and the tolerance.

    Args:
        scores: With ``numbers``.
        head: As of `Task.picture`.
        below: As of `Task.picture`.
        tolerance: Further from the label is wrong.
    """
    from matplotlib.figure import Figure

    assert scores.numbers is not None
    truth, predicted = scores.numbers.labels, scores.numbers.predicted
    finite = np.isfinite(truth) & np.isfinite(predicted)
    truth, predicted = truth[finite], predicted[finite]
    many = len(truth) > _POINTS
    wide = 5.6 if many else 4.8
    title = (
        f"{head}: mean absolute error {scores.overall['mean-absolute-error']:.4g}\n"
        f"R² {_number(scores.overall['r2'])}, RMSE {scores.overall['root-mean-squared-error']:.4g}. {below}"
    ).rstrip(". ")
    above = heading(title, wide)[1]
    high = 4.3 + above
    figure = Figure(figsize=(wide, high), facecolor="white")
    axes = figure.add_axes((0.68 / wide, 0.52 / high, 3.75 / wide, 3.75 / high))
    both = np.concatenate([truth, predicted]) if len(truth) else np.array([0.0, 1.0])
    low, top = float(both.min()), float(both.max())
    margin = 0.05 * (top - low) or 0.5
    ends = (low - margin, top + margin)
    if tolerance is not None:
        at = np.array(ends)
        axes.fill_between(at, at - tolerance, at + tolerance, color=RIGHT, alpha=0.12, linewidth=0)
    axes.plot(ends, ends, color=PALE, linewidth=1, zorder=1)
    if many:
        counted = axes.hexbin(truth, predicted, gridsize=50, extent=(*ends, *ends), bins="log", cmap="Blues", mincnt=1)
        bar = figure.colorbar(counted, cax=figure.add_axes((4.6 / wide, 1.2 / high, 0.14 / wide, 2.4 / high)))
        bar.set_label("images", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    else:
        wrong = np.abs(truth - predicted) > tolerance if tolerance is not None else np.zeros(len(truth), bool)
        for part, color, label in ((~wrong, RIGHT, "within"), (wrong, _WRONG, "beyond")):
            if part.any():
                named = f"{label} ± {tolerance:g}: {part.sum():,}" if tolerance is not None else None
                axes.plot(truth[part], predicted[part], "o", color=color, markersize=3.5, alpha=0.6, label=named)
        if tolerance is not None and len(truth):
            axes.legend(loc="upper left", frameon=False, fontsize=8)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_xlabel("truth", fontsize=9, color=INK)
    axes.set_ylabel("predicted", fontsize=9, color=INK)
    plain_axes(axes)
    heading(title, wide, figure)
    return Picture(figure)


def rows_of(rows: Sequence[str], title: str) -> tuple[Axes, Picture]:
    """Axes with a row a name, the first on top."""
    from matplotlib.figure import Figure

    rows = short_names(rows)
    beside = 0.3 + 0.078 * max(map(len, rows), default=1)
    wide = beside + 3.6 + 0.95
    above = heading(title, wide)[1] + 0.22
    tall = max(0.24 * len(rows), 0.5)
    high = above + tall + 0.55
    figure = Figure(figsize=(wide, high), facecolor="white")
    axes = figure.add_axes((beside / wide, 0.5 / high, 3.6 / wide, tall / high))
    axes.set_yticks(range(len(rows)), rows, fontsize=8, family=fonts(), parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    plain_axes(axes)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)
    heading(title, wide, figure)
    return axes, Picture(figure)


def beside(axes: Axes, texts: Sequence[str], what: str = "images") -> None:
    """A text for each row at its right: how many images it is of."""
    x = 1.03
    transform = axes.get_yaxis_transform()
    axes.text(x, -0.75, what, transform=transform, fontsize=7, color=PALE, va="bottom")
    for place, text in enumerate(texts):
        axes.text(x, place, text, transform=transform, fontsize=8, color=INK, va="center")


def plain_axes(axes: Axes) -> None:
    """Thin lines at the left and below, and none elsewhere."""
    axes.tick_params(labelsize=8, colors=INK, length=2)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color("#bbbbbb")


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3g}"


def short_names(names: Sequence[str], letters: int = 24) -> list[str]:
    """Names that there is room for: without their ends, or without their middles where two would read the same."""
    cut = [name if len(name) <= letters else f"{name[: letters - 1]}…" for name in names]
    half = (letters - 1) // 2
    return [
        cut_name if len(name) <= letters or cut.count(cut_name) == 1 else f"{name[:half]}…{name[-half:]}"
        for name, cut_name in zip(names, cut, strict=True)
    ]
