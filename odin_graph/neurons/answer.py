"""The engine's answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from odin_graph.neurons.block import Floats, Keys


@dataclass(frozen=True, eq=False)
class Work:
    """What an answer took, for ``explain()``."""

    scanned: int
    """Images whose codes or values were looked at."""
    candidates: int
    """Images that codes could not rule out."""
    verified: int
    """Images whose exact values were asked for."""
    rounds: int = 0
    """How often exact values were asked for."""
    beyond: int = 0
    """Verified images whose values lie further from the codes than the noise says: it was measured too small."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Images in order."""

    keys: Keys
    """(m,), best first, ties by key."""
    values: Floats
    """(m,); NaN where missing, which comes last."""
    tied: NDArray[np.bool_]
    """(m,): whether the image's place or membership rests on less than the noise of what was run again."""
    uncovered: Keys
    """Keys of ``among`` that no block holds, sorted: they are not in the answer, compute them first."""
    work: Work

    @property
    def verified(self) -> int:
        """Images whose exact values were asked for."""
        return self.work.verified


@dataclass(frozen=True, eq=False)
class Measured:
    """The value of each image."""

    keys: Keys
    """(n,), sorted."""
    values: Floats
    """(n,); NaN where missing."""
    uncovered: Keys
    work: Work


@dataclass(frozen=True, eq=False)
class Decision:
    """Which images satisfy a condition: sorted keys."""

    true: Keys
    false: Keys
    missing: Keys
    """Those whose value is missing: they satisfy no condition."""
    tied: Keys
    """Images whose side rests on less than the noise."""
    uncovered: Keys
    work: Work

    @property
    def verified(self) -> int:
        """Images whose exact values were asked for."""
        return self.work.verified


@dataclass(frozen=True, eq=False)
class Estimate:
    """Images in order, from codes alone."""

    keys: Keys
    """(m,), by the middle of the bounds, ties by key."""
    low: Floats
    high: Floats
    """(m,): the value lies in [low, high]; -inf and inf where it may be missing, NaN where it is."""
    certain: NDArray[np.bool_]
    """(m,): whether the image is in the exact answer, whatever the values are."""
    uncovered: Keys


@dataclass(frozen=True, eq=False)
class DecisionEstimate:
    """Which images satisfy a condition, from codes alone: sorted keys."""

    true: Keys
    false: Keys
    missing: Keys
    undecided: Keys
    uncovered: Keys
