"""Which images satisfy a condition on a group of units: ``units.mean() > 2.5``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import QueryError
from odin_graph.neurons.answer import Decision, DecisionEstimate, Work
from odin_graph.neurons.block import Exact, Floats, Keys, Part
from odin_graph.neurons.bounds import Bounds, bounds_at
from odin_graph.neurons.measure import Measure
from odin_graph.neurons.request import Request
from odin_graph.neurons.sketch_bounds import SketchBounds, sketch_of
from odin_graph.neurons.verification import reconciled

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
    request = Request(parts, measure, among, None, exact, noise, threads)
    sides = _sides(request, op, threshold)
    open_ = sides.open
    verified = beyond = 0
    if len(open_.keys):
        open_ = open_.take(np.argsort(open_.keys))
        verified = len(open_.keys)
        found = reconciled(request.read_exact(1)(open_.keys), open_, strict=request.strict)
        beyond = found.beyond
        by_ends = truth(op, found.low, found.high, threshold)
        by_value = truth(op, found.value, found.value, threshold)
        missing = np.isnan(found.value)
        sides.tied = open_.keys[~(by_ends[0] | by_ends[1] | np.isnan(found.low))]
        sides.add(open_.keys, *by_value, missing)
    work = Work(request.images, verified, verified, int(verified > 0), beyond)
    return Decision(*sides.sorted(), np.sort(sides.tied), request.uncovered, work)


def compare_estimate(
    parts: Sequence[Part], measure: Measure, op: Op, threshold: float, *, among: Keys | None = None
) -> DecisionEstimate:
    """As `compare`, from what is stored alone; images that it does not decide are listed."""
    request = Request(parts, measure, among)
    sides = _sides(request, op, threshold)
    return DecisionEstimate(*sides.sorted(), np.sort(sides.open.keys), request.uncovered)


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


def _sides(request: Request, op: Op, threshold: float) -> _Sides:
    """Group images by what stored codes and values decide."""
    if op not in OPS:
        raise QueryError(f"{op!r} is not a comparison: write one of {' '.join(OPS)}.")
    if not isinstance(threshold, int | float | np.number):
        raise QueryError(f"What units say is compared with a number, not with {threshold!r:.80}.")
    if np.isnan(threshold):
        raise QueryError("Nothing is less than, greater than or equal to NaN.")
    sides = _Sides()
    for passing in request.parts:
        at = passing.positions()
        sketch = sketch_of(passing, request.measure)
        if sketch is not None:
            above, below, at = SketchBounds(passing, sketch, 1, request.threads).beside(threshold)
            for places, where in ((above, 1.0), (below, -1.0)):
                side = truth(op, np.array([where]), np.array([where]), 0.0)[0][0]
                (sides.true if side else sides.false).append(passing.part.keys[places])
        found = bounds_at(passing, request.measure, at)
        missing, anything = np.isnan(found.low), np.isinf(found.low) & np.isinf(found.high) & (found.low != found.high)
        true, false = (side & ~anything for side in truth(op, found.low, found.high, threshold))
        sides.add(found.keys, true, false, missing)
        sides.undecided.append(found.take(~(true | false | missing)))
    return sides
