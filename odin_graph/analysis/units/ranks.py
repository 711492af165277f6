"""Ranks of many columns at once: one sort of values packed with what is to be known in their order."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_SIGN: Final = np.uint32(0x80000000)
_LAST: Final = np.uint32(0xFFFFFFFF)
"""Beyond every finite number: where values go that are none."""
_HALF: Final = np.uint64(32)


def packed(values: NDArray[np.float32], payload: NDArray[np.uint32]) -> NDArray[np.uint64]:
    """Values (u, n) as integers of the same order, a payload (n,) in their lower halves, sorted along each row.

    Integers of 64 bits sort several times faster than positions by value, and carry a class or a position along.
    -0 is 0, and what is no finite number comes last.
    """
    bits = (values + np.float32(0)).view(np.uint32)  # -0 + 0 is 0
    flip = np.where(bits & _SIGN, _LAST, _SIGN)
    bits ^= flip
    finite = np.isfinite(values)
    if not finite.all():
        bits[~finite] = _LAST
    both = bits.astype(np.uint64)
    both <<= _HALF
    both |= payload.astype(np.uint64)
    both.sort(axis=1)
    return both


def payloads(both: NDArray[np.uint64]) -> NDArray[np.uint32]:
    """The payloads (u, n) in the order of the values."""
    return both.astype(np.uint32)


def ties(both: NDArray[np.uint64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Runs of equal values: where each begins in the flattened rows, and its length; none goes over two rows."""
    values = (both >> _HALF).astype(np.uint32)
    first = np.empty(values.shape, bool)
    first[:, 0] = True
    np.not_equal(values[:, 1:], values[:, :-1], out=first[:, 1:])
    starts = np.flatnonzero(first)
    return starts, np.diff(starts, append=values.size)


def midranks(values: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ranks (u, n) from 1, equal values sharing the mean of theirs, and the sums (u,) of t^3 - t over ties of t.

    Args:
        values: (u, n), finite, n below 2^32.
    """
    n = values.shape[1]
    both = packed(values, np.arange(n, dtype=np.uint32))
    starts, lengths = ties(both)
    mean: NDArray[np.float64] = np.repeat(starts % n + (lengths + 1) / 2, lengths).reshape(values.shape)
    ranks: NDArray[np.float64] = np.empty(values.shape)
    np.put_along_axis(ranks, payloads(both).astype(np.int64), mean, axis=1)
    several = lengths > 1
    long = lengths[several].astype(np.float64)
    tied = np.bincount(starts[several] // n, long**3 - long, minlength=len(values))
    return ranks, tied.astype(np.float64)
