"""Which images satisfy a condition on a group of units: ``units.mean() > 2.5``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import QueryError
from odin_graph.neurons.answer import Decision, DecisionEstimate, Work
from odin_graph.neurons.asked import Asked
from odin_graph.neurons.block import Exact, Floats, Keys, Part
from odin_graph.neurons.bounds import Bounds, bounds_at
from odin_graph.neurons.measure import Measure
from odin_graph.neurons.settle import reconciled
from odin_graph.neurons.sketched import Sketched, sketch_of

Op = Literal["<", "<=", "==", "!=", ">=", ">"]
Truth = NDArray[np.bool_]

OPS: Final[tuple[Op, ...]] = ("<", "<=", "==", "!=", ">=", ">")


def compare(
    parts: Sequence[Part],
    measure: Measure,
    op: Op,
    threshold: float,
    *,
    among: Keys | None = None,
    exact: Exact | None = None,
    noise: NDArray[Any] | None = None,
    threads: int = 1,
) -> Decision:
    """Which images satisfy ``measure op threshold``; those whose value is missing satisfy none.

    Args:
        parts: As for `odin_graph.neurons.scan.highest`, like what follows.
        measure: An aggregate or a distance.
        op: One of `OPS`.
        threshold: Infinite ones have a meaning, NaN has none.
        among: Sorted keys that pass.
        exact: Gives values where codes cannot decide.
        noise: (G,) how far those may be from the captured ones.
        threads: To use where there is much to do.

    Raises:
        QueryError: There is no such operator, or the threshold is NaN.
        ShapeError, StoreError: As for `odin_graph.neurons.scan.highest`.
    """
    asked = Asked(parts, measure, among, None, exact, noise, threads)
    sides = _sides(asked, op, threshold)
    open_ = sides.open
    verified = beyond = 0
    if len(open_.keys):
        open_ = open_.take(np.argsort(open_.keys))
        verified = len(open_.keys)
        looked = reconciled(asked.look(1)(open_.keys), open_, strict=asked.strict)
        beyond = looked.beyond
        by_ends = truth(op, looked.low, looked.high, threshold)
        by_value = truth(op, looked.value, looked.value, threshold)
        missing = np.isnan(looked.value)
        sides.tied = open_.keys[~(by_ends[0] | by_ends[1] | np.isnan(looked.low))]
        sides.add(open_.keys, *by_value, missing)
    work = Work(asked.images, verified, verified, int(verified > 0), beyond)
    return Decision(*sides.sorted(), np.sort(sides.tied), asked.uncovered, work)


def compare_estimate(
    parts: Sequence[Part], measure: Measure, op: Op, threshold: float, *, among: Keys | None = None
) -> DecisionEstimate:
    """As `compare`, from what is stored alone; images that it does not decide are listed."""
    asked = Asked(parts, measure, among)
    sides = _sides(asked, op, threshold)
    return DecisionEstimate(*sides.sorted(), np.sort(sides.open.keys), asked.uncovered)


def truth(op: Op, low: Floats, high: Floats, threshold: float) -> tuple[Truth, Truth]:
    """Of values in [low, high], which surely satisfy a condition, and which surely do not; NaN does neither."""
    above, below = low > threshold, high < threshold
    no_less, no_more = low >= threshold, high <= threshold
    equal = no_less & no_more
    match op:
        case ">":
            return above, no_more
        case ">=":
            return no_less, below
        case "<":
            return below, no_less
        case "<=":
            return no_more, above
        case "==":
            return equal, above | below
        case "!=":
            return above | below, equal


class _Sides:
    """Keys, grouped by what is known of their values."""

    def __init__(self) -> None:
        self.true: list[Keys] = []
        self.false: list[Keys] = []
        self.missing: list[Keys] = []
        self.undecided: list[Bounds] = []
        self.tied: Keys = np.empty(0, np.int64)

    @property
    def open(self) -> Bounds:
        """Those that are still undecided."""
        return Bounds.joined(self.undecided)

    def add(self, keys: Keys, true: Truth, false: Truth, missing: Truth) -> None:
        """Some of the keys, to each side."""
        for side, which in ((self.true, true), (self.false, false), (self.missing, missing)):
            side.append(keys[which])

    def sorted(self) -> tuple[Keys, Keys, Keys]:
        """True, false and missing keys."""
        empty = np.empty(0, np.int64)
        sides = (self.true, self.false, self.missing)
        true, false, missing = (np.sort(np.concatenate([*side, empty])) for side in sides)
        return true, false, missing


def _sides(asked: Asked, op: Op, threshold: float) -> _Sides:
    """Group images by what stored codes and values decide."""
    if op not in OPS:
        raise QueryError(f"{op!r} is not a comparison: write one of {' '.join(OPS)}.")
    if not isinstance(threshold, int | float | np.number):
        raise QueryError(f"What units say is compared with a number, not with {threshold!r:.80}.")
    if np.isnan(threshold):
        raise QueryError("Nothing is less than, greater than or equal to NaN.")
    sides = _Sides()
    for passing in asked.passing:
        at = passing.positions()
        sketch = sketch_of(passing, asked.measure)
        if sketch is not None:
            above, below, at = Sketched(passing, sketch, 1, asked.threads).beside(threshold)
            for places, where in ((above, 1.0), (below, -1.0)):
                side = truth(op, np.array([where]), np.array([where]), 0.0)[0][0]
                (sides.true if side else sides.false).append(passing.part.keys[places])
        found = bounds_at(passing, asked.measure, at)
        missing, anything = np.isnan(found.low), np.isinf(found.low) & np.isinf(found.high) & (found.low != found.high)
        true, false = (side & ~anything for side in truth(op, found.low, found.high, threshold))
        sides.add(found.keys, true, false, missing)
        sides.undecided.append(found.take(~(true | false | missing)))
    return sides
