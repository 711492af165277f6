"""The bound scan: the highest, the nearest and those that satisfy a condition, exactly, from codes.

Codes bound every image; only where they cannot decide are exact values asked for. The answer is that of a full scan of
the values as captured, in float64. Where values come from a model that is run again, ``noise`` says how far they may be
from the captured ones: an answer that rests on less is reported as tied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arguments import whole
from odin_graph.errors import QueryError
from odin_graph.neurons.answer import Answer, Estimate, Measured, Work
from odin_graph.neurons.block import Exact, Floats, Keys, Part
from odin_graph.neurons.bounds import Bounds, bounds_at
from odin_graph.neurons.distances import distance
from odin_graph.neurons.measure import Measure
from odin_graph.neurons.request import Request
from odin_graph.neurons.verification import Verification

_AT_ONCE: Final = 1 << 15
"""Images whose values are asked for at once where all are."""


def highest(
    parts: Sequence[Part],
    measure: Measure,
    k: int,
    *,
    largest: bool = True,
    among: Keys | None = None,
    exact: Exact | None = None,
    noise: NDArray[Any] | None = None,
    threads: int = 1,
) -> Answer:
    """The k images with the largest values of an aggregate; missing ones come last, in order of key.

    Args:
        parts: What is stored of the group, segment by segment; no key is in two of them. Codes and values may be mixed.
        measure: The aggregate.
        k: How many, at least 1; fewer are found where there are fewer.
        largest: False for the smallest.
        among: Sorted keys that pass, each once; None for all.
        exact: Gives values where codes cannot decide; may be None where all parts are values.
        noise: (G,) how far values of ``exact`` may lie from the captured ones; None where they are the captured ones.
        threads: To use where there is much to do.

    Raises:
        QueryError: k is below 1.
        ShapeError: Parts, weights, noise or values of ``exact`` are not of the same units.
        StoreError: Codes cannot decide, and there is no ``exact``; or its values contradict the codes.
    """
    return _answer(Request(parts, measure, among, None, exact, noise, threads), k, 1 if largest else -1, missing=True)


def nearest(
    parts: Sequence[Part],
    query: Any,
    metric: str,
    k: int,
    *,
    weights: Any = None,
    among: Keys | None = None,
    exclude: Keys | None = None,
    exact: Exact | None = None,
    noise: NDArray[Any] | None = None,
    threads: int = 1,
) -> Answer:
    """The k images nearest to a query in the space of a group; those without a distance are left out.

    Args:
        parts: As for `highest`.
        query: (G,), finite.
        metric: l1, l2, linf, cosine or a plug-in's.
        k: As for `highest`.
        weights: (G,), none below 0.
        among: As for `highest`.
        exclude: Sorted keys that do not pass: a stored image is not among its own neighbors.
        exact: As for `highest`.
        noise: As for `highest`.
        threads: As for `highest`.

    Raises:
        UnknownNameError: There is no such metric.
        ShapeError: The query is not finite, or does not fit.
        QueryError, StoreError: As for `highest`.
    """
    measure = distance(metric, query, weights)
    request = Request(parts, measure, among, exclude, exact, noise, threads)
    if measure.nowhere:
        request.parts = []
    return _answer(request, k, -1, missing=False)


def highest_estimate(
    parts: Sequence[Part], measure: Measure, k: int, *, largest: bool = True, among: Keys | None = None
) -> Estimate:
    """As `highest`, from what is stored alone: values are bounds, and some images may be wrong where not certain."""
    return _estimate(Request(parts, measure, among), k, 1 if largest else -1, missing=True)


def nearest_estimate(
    parts: Sequence[Part],
    query: Any,
    metric: str,
    k: int,
    *,
    weights: Any = None,
    among: Keys | None = None,
    exclude: Keys | None = None,
) -> Estimate:
    """As `nearest`, from what is stored alone: distances are bounds, and some images may be wrong where not certain."""
    return _estimate(Request(parts, distance(metric, query, weights), among, exclude), k, -1, missing=False)


def values(
    parts: Sequence[Part],
    measure: Measure,
    *,
    among: Keys | None = None,
    exact: Exact | None = None,
    noise: NDArray[Any] | None = None,
) -> Measured:
    """The exact value of each image that passes, for groups and orders without a limit: most codes decide nothing here.

    Args:
        parts: As for `highest`, like what follows.
        measure: An aggregate or a distance.
        among: Sorted keys that pass.
        exact: Gives the values of all images of which only codes are stored.
        noise: (G,) how far those may be from the captured ones.

    Raises:
        ShapeError, StoreError: As for `highest`.
    """
    request = Request(parts, measure, among, None, exact, noise)
    found = Bounds.joined([bounds_at(passing, measure) for passing in request.parts])
    verification = Verification(found.take(np.argsort(found.keys)), request.read_exact(1), strict=request.strict)
    open_ = np.flatnonzero(~verification.known)
    for start in range(0, len(open_), _AT_ONCE):
        verification.verify(open_[start : start + _AT_ONCE])
    work = Work(request.images, len(open_), verification.verified, verification.rounds, verification.beyond)
    return Measured(verification.keys, verification.value, request.uncovered, work)


def bounds(parts: Sequence[Part], measure: Measure, *, among: Keys | None = None) -> tuple[Keys, Floats, Floats]:
    """Keys (n,) and the ends between which each image's value lies, equal where stored values or exact codes decide.

    Both are NaN where it is missing, -inf and inf where it may be. In order of the parts.
    """
    request = Request(parts, measure, among)
    found = Bounds.joined([bounds_at(passing, measure) for passing in request.parts])
    return found.keys, found.low, found.high


def _answer(request: Request, k: int, sign: int, *, missing: bool) -> Answer:
    _check_k(k)
    found = request.candidates(k, sign)
    verification = Verification(found, request.read_exact(sign), strict=request.strict)
    at = verification.best(k)
    if not missing:
        at = at[~verification.missing[at]]
    work = Work(request.images, len(found.keys), verification.verified, verification.rounds, verification.beyond)
    return Answer(
        verification.keys[at], sign * verification.value[at] + 0.0, verification.tied(at), request.uncovered, work
    )


def _estimate(request: Request, k: int, sign: int, *, missing: bool) -> Estimate:
    _check_k(k)
    found = request.candidates(k, sign)
    gone, unknown = np.isnan(found.low), np.isinf(found.low) & np.isinf(found.high)
    unknown &= found.low != found.high
    with np.errstate(invalid="ignore"):
        middle = np.where(gone | unknown, 0.0, found.low / 2 + found.high / 2)
    # What may be missing comes after what has a value, and what surely is missing last.
    order = np.lexsort((found.keys, -middle, gone * 2 + unknown))
    order = order[:k] if missing else order[~gone[order]][:k]
    sure = certain(found, k)
    picked = found.take(order)
    ends = (picked.low, picked.high) if sign > 0 else (-picked.high, -picked.low)
    return Estimate(picked.keys, *ends, sure[order] & (missing | ~unknown[order]), request.uncovered)


def certain(found: Bounds, k: int) -> NDArray[np.bool_]:
    """Which of the candidates are among the k largest whatever their values are."""
    gone = np.isnan(found.low)
    low, high = np.where(gone, -np.inf, found.low), np.where(gone, -np.inf, found.high)
    if len(low) <= k:
        return np.ones(len(low), np.bool_)
    # Less than k others may come before it: they reach as high as its own lower end.
    others = len(high) - np.searchsorted(np.sort(high), low, "left") - (high >= low)
    return (others < k) & ~gone & (low > -np.inf)


def _check_k(k: int) -> None:
    if (number := whole(k)) is None or number < 1:
        raise QueryError(f"k is the number of images, at least 1, not {k!r}.")
