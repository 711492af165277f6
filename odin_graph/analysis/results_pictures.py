"""Results as pictures: of groups, else what the task draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.picture import INK, Picture
from odin_graph.schema.tasks.pictures import PALE, RIGHT, ROWS, beside, rows_of

if TYPE_CHECKING:
    from odin_graph.analysis.results import Results

_SURE: Final = 1.959963984540054
"""The standard deviations within which 95% of a normal distribution lie."""


def picture_of(results: Results) -> Picture:
    """The picture of results: groups, else what the task draws."""
    if results.groups is not None:
        return _groups(results)
    return results.kind.picture(results.scores, _head(results), _below(results))


def _groups(results: Results) -> Picture:
    """The first measure of each group, with its 95% interval where it is a share."""
    assert results.groups is not None
    measure = next(iter(results.scores.overall))
    share = results.kind.share
    rows = [
        ("(missing)" if value is None else str(value), scores.n, scores.missing, scores.overall[measure])
        for value, scores in results.groups.items()
    ]
    more = ""
    if len(rows) > ROWS:
        known = [row for row in rows if not np.isnan(row[3])]
        rows = sorted(known, key=lambda row: row[3] if share else -row[3])[:ROWS]
        more = f"; the {len(rows)} worst of {len(results.groups):,} groups"
    title = f"{_head(results)} by {results.group_by}\n{measure}{' with its 95% interval' if share else ''}{more}"
    axes, picture = rows_of([row[0] for row in rows], f"{title}. {_below(results)}".rstrip(". "))
    values = np.array([row[3] for row in rows])
    n = np.array([row[1] for row in rows])
    places = np.arange(len(rows))
    if share and len(rows):
        low, high = _interval(values, n)
        axes.hlines(places, low, high, color=RIGHT, linewidth=1.6, alpha=0.55)
        axes.set_xlim(-0.02, 1.02)
    axes.axvline(results[measure], color=PALE, linewidth=1, linestyle="--", zorder=0)
    axes.plot(values, places, "o", color=RIGHT, markersize=5)
    if not share:
        ends = np.nan_to_num([0.0, 1e-12, results[measure], *values])
        axes.set_xlim(float(ends.min()) * 1.08, float(ends.max()) * 1.08)
    axes.set_xlabel(f"{measure} (dashed: all images, {results[measure]:.3g})", fontsize=8, color=INK)
    beside(axes, [f"{n:,}" if not missing else f"{n:,} of {n + missing:,}" for _, n, missing, _ in rows])
    return picture


def _interval(shares: NDArray[np.float64], n: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's, which is sound for few images and for shares of 0 and 1."""
    n = np.maximum(n, 1)
    middle = (shares + _SURE**2 / (2 * n)) / (1 + _SURE**2 / n)
    half = _SURE / (1 + _SURE**2 / n) * np.sqrt(shares * (1 - shares) / n + _SURE**2 / (4 * n**2))
    return middle - half, middle + half


def _head(results: Results) -> str:
    return f"{results.experiment} on {results.dataset}"


def _below(results: Results) -> str:
    """The text below the title: how many images, and what was left out."""
    part = f" of {results.n + results.counts.missing:,} labeled ones (coverage {results.coverage:.2g})"
    text = f"{results.n:,} images{part if results.counts.missing else ''}"
    gone = f", {results.counts.deleted:,} deleted since are left out" if results.counts.deleted else ""
    old = f", {results.counts.stale:,} labels differ from today's" if results.counts.stale else ""
    return text + gone + old
