"""Draw docs/neurons.png: how codes bound what units say of images, and which images are looked at.

    python docs/pictures/neurons_index.py

The images are scikit-learn's digits, the units three of a small ReLU layer. There are 8 codes instead of 255, so that
one sees them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from torch import nn

TARGET = Path(__file__).parents[1] / "neurons.png"
STEPS = 7
"""Codes beside that of zero."""
K = 3
IMAGES = 12
HEADS = (
    (
        0.02,
        "1  A code instead of a value",
        "A column a unit, one byte an image. A code\nis an interval; 0 of a ReLU is exactly zero.",
    ),
    (
        0.375,
        "2  Codes bound every image",
        "The mean of the three lies in its bar. Whoever ends\nbelow the third highest lower end (dashed) is out.",
    ),
    (
        0.70,
        "3  Only the few are looked at",
        "The model is run again on the candidates (red):\ntheir values give the answer, exactly.",
    ),
)
"""Where each part begins, its head, and what is to be seen."""
INK, GRAY, PALE = "#222222", "#8a8a8a", "#e4e4e4"
SURE, OPEN = "#2166ac", "#d6604d"
FAMILY = "DejaVu Sans"


def said() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Images (n, 8, 8), and what the units of a ReLU layer said of each (n, units)."""
    torch.manual_seed(0)
    images = load_digits().images[:IMAGES]
    layer = nn.Sequential(nn.Conv2d(1, 32, 4, bias=False), nn.ReLU())
    with torch.no_grad():
        values = layer(torch.tensor(images[:, None] / 16, dtype=torch.float32)).flatten(1).numpy()
    return images, 10 * values.astype(np.float64)


class Index:
    """Codes of values, and what they leave open."""

    def __init__(self, values: NDArray[np.float64], units: NDArray[np.int64]) -> None:
        self.units = units
        self.step = values.max(axis=0) / STEPS
        self.codes = np.ceil(values / self.step - 1e-9).astype(int)
        self.low = (np.maximum(self.codes - 1, 0) * self.step).mean(axis=1)
        self.high = (self.codes * self.step).mean(axis=1)
        self.mean = values.mean(axis=1)
        self.threshold = np.sort(self.low)[-K]
        self.left = self.high >= self.threshold
        self.best = np.argsort(-self.mean)[:K]

    @property
    def teaches(self) -> bool:
        """Whether one sees something: a few candidates, a few zeros, and a third that the codes alone do not tell."""
        told = set(np.argsort(-self.high)[:K]) != set(self.best)
        zeros = (self.codes == 0).sum(axis=0)
        gap = np.diff(np.sort(self.mean)[-5:]).min() > 0.04 * self.mean.max()
        return bool(self.left.sum() == 5 and told and (zeros >= 2).all() and (zeros <= 5).all() and gap)


def main() -> None:
    """Draw it."""
    images, values = said()
    draw, lively = np.random.default_rng(0), np.flatnonzero(values.max(axis=0) > 3)
    groups = (np.sort(draw.choice(lively, 3, replace=False)) for _ in range(100_000))
    index = next(held for held in (Index(values[:, group], group) for group in groups) if held.teaches)
    figure = Figure(figsize=(11, 5.6), facecolor="white")
    codes = figure.add_axes((0.02, 0.09, 0.30, 0.73))
    bounds = figure.add_axes((0.375, 0.09, 0.30, 0.73))
    looked = figure.add_axes((0.70, 0.09, 0.28, 0.73))
    for left, head, text in HEADS:
        figure.text(left, 0.965, head, fontsize=12, weight="bold", color=INK, va="top", family=FAMILY)
        figure.text(left, 0.915, text, fontsize=8.5, color=GRAY, va="top", family=FAMILY, linespacing=1.35)
    draw_codes(codes, images, index)
    draw_bounds(bounds, index, looked=False)
    draw_bounds(looked, index, looked=True)
    figure.savefig(TARGET, dpi=130)


def draw_codes(axes: Axes, images: NDArray[np.float64], index: Index) -> None:
    """The images, a column of codes for each unit, and what a code of one means."""
    axes.set_xlim(0, 6.3)
    axes.set_ylim(IMAGES - 0.4, -0.6)
    axes.set_axis_off()
    for row, image in enumerate(images):
        axes.imshow(image, cmap="gray_r", extent=(0.03, 0.77, row + 0.45, row - 0.45), aspect="auto", zorder=2)
    for unit, name in enumerate(f"unit {number}" for number in index.units):
        left = 0.95 + 1.05 * unit
        axes.text(left + 0.45, IMAGES - 0.3, name, ha="center", va="top", fontsize=8.5, color=INK, family=FAMILY)
        for row, code in enumerate(index.codes[:, unit]):
            shade = 0.97 - 0.5 * code / STEPS
            axes.add_patch(
                Rectangle((left, row - 0.46), 0.9, 0.92, facecolor=(shade, shade, 1.0 - 0.12 * code / STEPS))
            )
            axes.text(left + 0.45, row, str(code), ha="center", va="center", fontsize=9, color=INK, family=FAMILY)
    # What the codes of the last unit stand for, as a ruler beside its column.
    right, unit = 5.0, 2
    ends = [IMAGES - 1.2 - 9.2 * code / STEPS for code in range(STEPS + 1)]
    axes.plot([right, right], [ends[0], ends[-1]], color=INK, linewidth=1)
    for code, end in enumerate(ends):
        axes.plot([right - 0.09, right + 0.09], [end, end], color=INK, linewidth=1)
        axes.text(
            right + 0.2, end, f"{code * index.step[unit]:.1f}", va="center", fontsize=7.5, color=GRAY, family=FAMILY
        )
        if code:
            middle = (end + ends[code - 1]) / 2
            axes.text(right - 0.14, middle, str(code), ha="right", va="center", fontsize=9, color=INK, family=FAMILY)
    axes.text(right - 0.14, ends[0], "0", ha="right", va="center", fontsize=9, color=INK, family=FAMILY)
    head = f"what a code of\nunit {index.units[unit]} stands for"
    axes.text(right, ends[-1] - 0.5, head, ha="center", va="bottom", fontsize=8, color=GRAY, family=FAMILY)


def draw_bounds(axes: Axes, index: Index, *, looked: bool) -> None:
    """An interval an image; of the last picture the values of those that were looked at."""
    axes.set_ylim(IMAGES - 0.4, -0.6)
    axes.set_xlim(-0.02 * index.high.max(), index.high.max() * (1.2 if looked else 1.04))
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GRAY)
    axes.set_yticks([])
    axes.tick_params(colors=GRAY, labelsize=7.5)
    axes.set_xlabel("mean of the three units", fontsize=8.5, color=GRAY, family=FAMILY)
    for row in range(IMAGES):
        left = bool(index.left[row])
        color = (OPEN if left else GRAY) if not looked else (PALE if left else "#f1f1f1")
        low, wide = index.low[row], index.high[row] - index.low[row]
        axes.add_patch(Rectangle((low, row - 0.2), wide, 0.4, color=color, linewidth=0))
        if wide == 0:
            axes.plot([low], [row], "|", color=color, markersize=8, markeredgewidth=2)
        if looked and left:
            place = int(np.flatnonzero(np.argsort(-index.mean) == row)[0])
            won = place < K
            axes.plot([index.mean[row]], [row], "o", color=SURE if won else OPEN, markersize=7, zorder=3)
            word = ("1st", "2nd", "3rd")[place] if won else "not in it"
            end = index.high[row] + 0.02 * index.high.max()
            axes.text(end, row, word, va="center", fontsize=9, color=SURE if won else OPEN, family=FAMILY,
                      weight="bold" if won else "normal")  # fmt: skip
    if not looked:
        axes.axvline(index.threshold, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        axes.text(index.threshold, -0.62, "threshold", ha="center", va="bottom", fontsize=8.5, color=INK, family=FAMILY)
    else:
        axes.axvline(index.threshold, color=PALE, linewidth=1, linestyle=(0, (4, 3)), zorder=0)


if __name__ == "__main__":
    main()
