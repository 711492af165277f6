"""How many representatives each confused pair gets. Decided here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heapify, heapreplace


def shares(sizes: Sequence[int], k: int) -> list[int]:
    """Split k places over groups, in proportion to their sizes.

    The largest groups get one place each, as far as k goes, so that no common confusion is left out for a commoner
    one. Each further place goes to the group that is furthest below its proportion (the largest remainder). No group
    gets more places than it has members. Ties go to the group that comes first.

    Args:
        sizes: Members of each group, each at least 1.
        k: Places, at least 0.

    Returns:
        Places of each group; they add up to the smaller of k and all members.
    """
    total = sum(sizes)
    if k >= total:
        return list(sizes)
    given = [0] * len(sizes)
    largest = sorted(range(len(sizes)), key=lambda group: (-sizes[group], group))
    for group in largest[:k]:
        given[group] = 1
    # By what is still owed, times total to stay in whole numbers. A full group leaves by owing nothing.
    owed = [(_owed(sizes[group], given[group], k, total), group) for group in range(len(sizes))]
    heapify(owed)
    for _ in range(k - sum(given)):
        group = owed[0][1]
        given[group] += 1
        heapreplace(owed, (_owed(sizes[group], given[group], k, total), group))
    return given


def _owed(size: int, given: int, k: int, total: int) -> int:
    """Negative, so that the heap's smallest is owed the most."""
    return given * total - k * size if given < size else total * (k + 1)
