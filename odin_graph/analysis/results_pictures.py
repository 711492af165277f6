"""Results as pictures: of every task, and of groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.confusion import confusion_picture
from odin_graph.analysis.picture import INK, Picture, fonts, heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from odin_graph.analysis.results import Results

_RIGHT, _WRONG, _THIRD, _PALE = "#2166ac", "#d95f02", "#5e3c99", "#999999"
_ROWS: Final = 30
"""Groups or classes that are drawn: of more the worst."""
_POINTS: Final = 5_000
"""Images that are drawn as points; more are drawn as how many there are of each place."""
_SURE: Final = 1.959963984540054
"""Of a normal distribution: 95% lie within so many standard deviations."""
_SHARES: Final = ("accuracy", "exact-match")
"""Measures that are shares of images, which have an interval."""


def picture_of(results: Results) -> Picture:
    """The picture of results: groups, else what the task has."""
    if results.groups is not None:
        return _groups(results)
    if results.scores.confusion is not None:
        ordered = results.task == "ordinal"
        said = f", within one {results['within-one']:.1%}" if ordered else ""
        return confusion_picture(
            results.scores.confusion,
            results.classes,
            title=f"{_head(results)}: accuracy {results.accuracy:.1%}{said}\n{_below(results)}",
            ordered=ordered,
        )
    return _numbers(results) if results.scores.pairs is not None else _classes(results)


def _groups(results: Results) -> Picture:
    """The first measure of each group, with its 95% interval where it is a share."""
    assert results.groups is not None
    measure = next(iter(results.scores.overall))
    share = measure in _SHARES
    rows = [
        (_short("(missing)" if value is None else str(value)), scores.n, scores.missing, scores.overall[measure])
        for value, scores in results.groups.items()
    ]
    more = ""
    if len(rows) > _ROWS:
        known = [row for row in rows if not np.isnan(row[3])]
        rows = sorted(known, key=lambda row: row[3] if share else -row[3])[:_ROWS]
        more = f"; the {len(rows)} worst of {len(results.groups):,} groups"
    title = f"{_head(results)} by {results.by}\n{measure}{' with its 95% interval' if share else ''}{more}"
    axes, picture = _rows_of(rows=[row[0] for row in rows], title=f"{title}. {_below(results)}".rstrip(". "))
    values = np.array([row[3] for row in rows])
    n = np.array([row[1] for row in rows])
    places = np.arange(len(rows))
    if share and len(rows):
        low, high = _interval(values, n)
        axes.hlines(places, low, high, color=_RIGHT, linewidth=1.6, alpha=0.55)
        axes.set_xlim(-0.02, 1.02)
    axes.axvline(results[measure], color=_PALE, linewidth=1, linestyle="--", zorder=0)
    axes.plot(values, places, "o", color=_RIGHT, markersize=5)
    if not share:
        axes.set_xlim(0, max(float(np.nanmax(values, initial=0.0)), results[measure], 1e-12) * 1.08)
    axes.set_xlabel(f"{measure} (dashed: all images, {results[measure]:.3g})", fontsize=8, color=INK)
    _beside(axes, [f"{n:,}" if not missing else f"{n:,} of {n + missing:,}" for _, n, missing, _ in rows])
    return picture


def _classes(results: Results) -> Picture:
    """Precision, recall and F1 of each class."""
    table = results.per_class
    order = np.arange(len(table))
    more = ""
    if len(table) > _ROWS:
        order = np.sort(np.argsort(table["f1"].to_numpy(), kind="stable")[:_ROWS])
        more = f"; the {_ROWS} classes of {len(table):,} with the lowest F1"
    shown = table.iloc[order]
    measure = next(iter(results.scores.overall))
    title = f"{_head(results)}: {measure} {results[measure]:.1%}\nby class{more}. {_below(results)}".rstrip(". ")
    axes, picture = _rows_of(rows=[_short(str(name)) for name in shown.index], title=title)
    places = np.arange(len(shown))
    axes.hlines(places, shown[["precision", "recall"]].min(axis=1), shown[["precision", "recall"]].max(axis=1),
                color="#dddddd", linewidth=2, zorder=0)  # fmt: skip
    for name, mark, color in (("precision", ">", _RIGHT), ("recall", "<", _WRONG), ("f1", "o", _THIRD)):
        axes.plot(shown[name], places, mark, color=color, markersize=6, label=name.replace("f1", "F1"))
    axes.set_xlim(-0.03, 1.03)
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=3, frameon=False, fontsize=8, borderaxespad=0.1)
    _beside(axes, [f"{n:,}" for n in shown["n"]])
    return picture


def _numbers(results: Results) -> Picture:
    """What was predicted against the truth, the diagonal, and the tolerance."""
    from matplotlib.figure import Figure

    assert results.scores.pairs is not None
    truth, said = results.scores.pairs
    finite = np.isfinite(truth) & np.isfinite(said)
    truth, said = truth[finite], said[finite]
    many = len(truth) > _POINTS
    wide = 5.6 if many else 4.8
    title = (
        f"{_head(results)}: mean absolute error {results['mean-absolute-error']:.4g}\n"
        f"R² {_number(results['r2'])}, RMSE {results['root-mean-squared-error']:.4g}. {_below(results)}"
    ).rstrip(". ")
    above = heading(title, wide)[1]
    high = 4.3 + above
    figure = Figure(figsize=(wide, high), facecolor="white")
    axes = figure.add_axes((0.68 / wide, 0.52 / high, 3.75 / wide, 3.75 / high))
    both = np.concatenate([truth, said]) if len(truth) else np.array([0.0, 1.0])
    low, top = float(both.min()), float(both.max())
    margin = 0.05 * (top - low) or 0.5
    ends = (low - margin, top + margin)
    tolerance = results.tolerance
    if tolerance is not None:
        at = np.array(ends)
        axes.fill_between(at, at - tolerance, at + tolerance, color=_RIGHT, alpha=0.12, linewidth=0)
    axes.plot(ends, ends, color=_PALE, linewidth=1, zorder=1)
    if many:
        counted = axes.hexbin(truth, said, gridsize=50, extent=(*ends, *ends), bins="log", cmap="Blues", mincnt=1)
        bar = figure.colorbar(counted, cax=figure.add_axes((4.6 / wide, 1.2 / high, 0.14 / wide, 2.4 / high)))
        bar.set_label("images", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    else:
        wrong = np.abs(truth - said) > tolerance if tolerance is not None else np.zeros(len(truth), bool)
        for part, color, label in ((~wrong, _RIGHT, "within"), (wrong, _WRONG, "beyond")):
            if part.any():
                named = f"{label} ± {tolerance:g}: {part.sum():,}" if tolerance is not None else None
                axes.plot(truth[part], said[part], "o", color=color, markersize=3.5, alpha=0.6, label=named)
        if tolerance is not None and len(truth):
            axes.legend(loc="upper left", frameon=False, fontsize=8)
    axes.set_xlim(*ends)
    axes.set_ylim(*ends)
    axes.set_xlabel("truth", fontsize=9, color=INK)
    axes.set_ylabel("predicted", fontsize=9, color=INK)
    _plain_axes(axes)
    heading(title, wide, figure)
    return Picture(figure)


def _rows_of(rows: Sequence[str], title: str) -> tuple[Axes, Picture]:
    """Axes with a row a name, the first on top."""
    from matplotlib.figure import Figure

    beside = 0.3 + 0.078 * max(map(len, rows), default=1)
    wide = beside + 3.6 + 0.95
    above = heading(title, wide)[1] + 0.22
    tall = max(0.24 * len(rows), 0.5)
    high = above + tall + 0.55
    figure = Figure(figsize=(wide, high), facecolor="white")
    axes = figure.add_axes((beside / wide, 0.5 / high, 3.6 / wide, tall / high))
    axes.set_yticks(range(len(rows)), rows, fontsize=8, family=fonts(), parse_math=False)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    _plain_axes(axes)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)
    heading(title, wide, figure)
    return axes, Picture(figure)


def _beside(axes: Axes, counts: Sequence[str]) -> None:
    """How many images each row is of, at its right."""
    x = 1.03
    transform = axes.get_yaxis_transform()
    axes.text(x, -0.75, "images", transform=transform, fontsize=7, color=_PALE, va="bottom")
    for place, text in enumerate(counts):
        axes.text(x, place, text, transform=transform, fontsize=8, color=INK, va="center")


def _plain_axes(axes: Axes) -> None:
    axes.tick_params(labelsize=8, colors=INK, length=2)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color("#bbbbbb")


def _interval(shares: NDArray[np.float64], n: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's, which is sound for few images and for shares of 0 and 1."""
    n = np.maximum(n, 1)
    middle = (shares + _SURE**2 / (2 * n)) / (1 + _SURE**2 / n)
    half = _SURE / (1 + _SURE**2 / n) * np.sqrt(shares * (1 - shares) / n + _SURE**2 / (4 * n**2))
    return middle - half, middle + half


def _head(results: Results) -> str:
    return f"{results.experiment} on {results.dataset}"


def _below(results: Results) -> str:
    """What is said below the title: how many images, and what was left out."""
    part = f" of {results.n + results.missing:,} labeled ones (coverage {results.coverage:.2g})"
    said = f"{results.n:,} images{part if results.missing else ''}"
    gone = f", {results.deleted:,} deleted since are left out" if results.deleted else ""
    old = f", {results.stale:,} labels differ from today's" if results.stale else ""
    return said + gone + old


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3g}"


def _short(name: str) -> str:
    return name if len(name) <= 24 else f"{name[:23]}…"
