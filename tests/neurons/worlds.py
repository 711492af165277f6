"""Random values with what trips an engine up: ties, exact zeros, constants, NaN, infinities, huge and tiny numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from numpy.typing import NDArray

from odin_graph.neurons import Part

from .coder import Keys, coded, stored

AGGREGATES = ["sum", "mean", "max", "min", "weighted", "l1", "l2"]
METRICS = ["l1", "l2", "linf", "cosine"]


@dataclass(frozen=True, eq=False)
class World:
    """Images of several segments, some keys of a filter, and a random number generator for the rest."""

    keys: Keys
    values: NDArray[np.float32]
    """(n, G), in order of the keys."""
    parts: list[Part]
    among: Keys | None
    draw: np.random.Generator

    @property
    def units(self) -> int:
        return self.values.shape[1]

    @property
    def passing(self) -> NDArray[np.int64]:
        """Positions of stored images that pass."""
        return np.arange(len(self.keys)) if self.among is None else np.flatnonzero(np.isin(self.keys, self.among))

    @property
    def uncovered(self) -> Keys:
        return np.empty(0, np.int64) if self.among is None else self.among[~np.isin(self.among, self.keys)]

    def weights(self, *, negative: bool) -> NDArray[np.float64]:
        held = self.draw.choice([0.0, 0.5, 1.0, 3.0, 1e-30, 1e20], self.units, p=[0.15, 0.25, 0.3, 0.2, 0.05, 0.05])
        return held * self.draw.choice([-1, 1], self.units) if negative else held


def numbers(
    random: np.random.Generator, shape: tuple[int, int], special: set[str], *, relu: bool
) -> NDArray[np.float32]:
    """Values (n, G), of units of different sizes."""
    number, units = shape
    values = random.standard_normal(shape) * random.choice([1e-3, 1.0, 50.0], units)
    if relu:
        values = np.maximum(values - random.choice([0.0, 0.5, 2.0]), 0)
    values = values.astype(np.float32)
    some = random.integers(units, size=3)
    if "coarse" in special:
        values = np.round(values, 0).astype(np.float32)
    if "alike" in special:
        values = values[random.integers(max(1, number // 5), size=number)]
    for name, unit, factor in (("constant", some[0], 0.0), ("huge", some[1], 1e36), ("tiny", some[2], 1e-42)):
        if name in special:
            values[:, unit] = values[:, unit] * np.float32(factor) - np.float32(factor == 0 and not relu)
    for name, value, share in (("nan", np.nan, 0.05), ("inf", np.inf, 0.03), ("minus inf", -np.inf, 0.03)):
        if name in special and not (relu and value < 0):
            values[random.random(shape) < share] = value
    if "zeros" in special:
        values[random.random(number) < 0.3] = 0
    return values


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Any world; shrinks to few images and units."""
    number, units = draw(st.integers(1, 400)), draw(st.integers(1, 12))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    relu = draw(st.booleans())
    values = numbers(random, (number, units), draw(SPECIAL), relu=relu)
    gaps = draw(st.booleans())
    keys = np.cumsum(random.integers(1, 4 if gaps else 2, number)).astype(np.int64)
    owner = random.integers(0, draw(st.integers(1, 4)), number)
    if draw(st.booleans()):
        owner.sort()
    kinds = draw(st.sampled_from(["codes", "codes", "mixed", "values"]))
    parts: list[Part] = []
    for segment in range(owner.max() + 1):
        at = owner == segment
        as_codes = kinds == "codes" or (kinds == "mixed" and segment % 2 == 0)
        parts.append(coded(keys[at], values[at], relu=relu) if as_codes else stored(keys[at], values[at]))
    among = None
    if draw(st.booleans()):
        around = np.arange(keys[0] - 3, keys[-1] + 4)
        among = around[random.random(len(around)) < draw(st.sampled_from([0.02, 0.3, 0.9, 1.0]))]
    return World(keys, values, parts, among, random)


SPECIAL: SearchStrategy[set[str]] = st.sets(
    st.sampled_from(["coarse", "constant", "huge", "tiny", "alike", "nan", "inf", "minus inf", "zeros"]), max_size=3
)
