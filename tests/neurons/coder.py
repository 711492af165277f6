"""A small coder of the tests' own: blocks of random values, and the brute force that the engine is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.neurons import Block, Values

Keys = NDArray[np.int64]
Floats = NDArray[np.float64]


def coded(keys: Keys, values: NDArray[np.float32], *, relu: bool) -> Block:
    """Codes of values (n, G): linear-ceil with an exact 0, or steps between the least and the largest value."""
    units = values.T
    codes = np.full(units.shape, 255, np.uint8)
    low, high = np.full((len(units), 256), -np.inf), np.full((len(units), 256), np.inf)
    for unit, row in enumerate(units.astype(np.float64)):
        finite = np.isfinite(row)
        some = row[finite] if finite.any() else np.zeros(1)
        steps = np.arange(255.0)
        if relu:
            step = some.max() / 254 or 1.0
            low[unit, :255], high[unit, :255] = np.maximum(steps - 1, 0) * step, steps * step
            code = np.clip(np.ceil(row[finite] / step), 0, 254)
        else:
            step = (some.max() - some.min()) / 255
            low[unit, :255], high[unit, :255] = some.min() + steps * step, some.min() + (steps + 1) * step
            code = np.clip((row[finite] - some.min()) / step if step else 0 * row[finite], 0, 254).astype(int)
        # Whatever rounding did, each interval holds what got its code.
        codes[unit, finite] = code
        np.minimum.at(low[unit], codes[unit, finite], row[finite])
        np.maximum.at(high[unit], codes[unit, finite], row[finite])
    return Block(keys, codes, low, high)


def stored(keys: Keys, values: NDArray[np.float32]) -> Values:
    """The values (n, G) themselves."""
    return Values(keys, np.ascontiguousarray(values.T))


class Captured:
    """Gives captured values by key, and counts how many were asked for; with noise, those of another run."""

    def __init__(self, keys: Keys, values: NDArray[np.float32], shift: NDArray[Any] | float = 0.0) -> None:
        self.keys, self.values, self.asked = keys, (values + shift).astype(np.float32), 0

    def __call__(self, keys: Keys) -> NDArray[np.float32]:
        assert (np.diff(keys) > 0).all()
        at = np.searchsorted(self.keys, keys)
        assert (self.keys[at] == keys).all()
        self.asked += len(keys)
        return self.values[at]


def aggregated(name: str, values: NDArray[np.float32], weights: Any = None) -> Floats:
    """One number an image of values (n, G), in float64, unit after unit."""
    with np.errstate(all="ignore"):
        wide = values.astype(np.float64)
        if name in ("max", "min"):
            return np.asarray(wide.max(axis=1) if name == "max" else wide.min(axis=1))
        total = np.zeros(len(wide))
        for unit, row in enumerate(wide.T):
            total = total + {"weighted": lambda r, u: weights[u] * r, "l1": lambda r, u: np.abs(r),
                             "l2": lambda r, u: r * r}.get(name, lambda r, u: r)(row, unit)  # fmt: skip
        if name == "mean":
            total = total / wide.shape[1]
        return np.sqrt(total) if name == "l2" else total


def away(metric: str, values: NDArray[np.float32], query: NDArray[np.float32], weights: Any = None) -> Floats:
    """The distance of each of values (n, G) to a query, in float64, unit after unit."""
    w = np.ones(len(query)) if weights is None else np.asarray(weights, np.float64)
    to = query.astype(np.float64)
    with np.errstate(all="ignore"):
        total, product, square, own = np.zeros(len(values)), np.zeros(len(values)), np.zeros(len(values)), 0.0
        for unit, row in enumerate(values.astype(np.float64).T):
            d = np.abs(row - to[unit])
            if metric == "l1":
                total = total + d * w[unit]
            elif metric == "l2":
                total = total + d * d * w[unit]
            elif metric == "linf":
                total = np.maximum(total, d * w[unit])
            product = product + w[unit] * to[unit] * row
            square = square + w[unit] * (row * row)
            own += w[unit] * to[unit] * to[unit]
        if metric == "cosine":
            return np.asarray(1.0 - np.clip(product / (np.sqrt(square) * np.sqrt(own)), -1, 1))
        return np.sqrt(total) if metric == "l2" else total


def in_order(keys: Keys, values: Floats, k: int, *, largest: bool) -> NDArray[np.int64]:
    """Positions of the first k: ties by key, missing ones last."""
    signed = np.where(np.isnan(values), 0, -values if largest else values)
    return np.lexsort((keys, signed, np.isnan(values)))[:k]
