"""Which images of which parts an answer is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from odin_graph.neurons.block import Keys, Part


@dataclass(frozen=True, eq=False)
class FilteredPart:
    """A part, and the positions of its images that pass the filter; None for all."""

    part: Part
    at: NDArray[np.int64] | None
    gone: NDArray[np.int64] | None = None
    """A few positions that do not, where ``at`` is None."""

    def __len__(self) -> int:
        if self.at is not None:
            return len(self.at)
        return len(self.part.keys) - (0 if self.gone is None else len(self.gone))

    def positions(self) -> NDArray[np.int64] | None:
        """Positions that pass; None for all."""
        if self.gone is None:
            return self.at
        return np.delete(np.arange(len(self.part.keys)), self.gone)


def select(parts: Sequence[Part], among: Keys | None, exclude: Keys | None) -> tuple[list[FilteredPart], Keys]:
    """The parts with the positions that pass, and the keys of ``among`` that no part holds."""
    if among is None:
        passing = [FilteredPart(part, None) for part in parts if len(part.keys)]
        uncovered = np.empty(0, np.int64)
    else:
        passing, covered = [], np.zeros(len(among), np.bool_)
        for part in parts:
            if len(part.keys):
                first, last = np.searchsorted(among, [part.keys[0], part.keys[-1] + 1])
                at, present = positions(part.keys, among[first:last])
                covered[first:last] |= present
                passing.append(FilteredPart(part, None if len(at) == len(part.keys) else at))
        uncovered = among[~covered]
    if exclude is not None and len(exclude):
        passing = [_without(part, exclude) for part in passing]
        uncovered = uncovered[~np.isin(uncovered, exclude)]
    return [part for part in passing if len(part)], uncovered


def positions(keys: Keys, wanted: Keys) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Positions of wanted keys (sorted) among sorted keys (at least one), and which of the wanted are found."""
    if keys[-1] - keys[0] == len(keys) - 1:  # without a gap, as of images that were stored together
        present = (wanted >= keys[0]) & (wanted <= keys[-1])
        return wanted[present] - keys[0], present
    found = np.searchsorted(keys, wanted)
    present = keys[np.minimum(found, len(keys) - 1)] == wanted
    return found[present], present


def _without(passing: FilteredPart, exclude: Keys) -> FilteredPart:
    keys = passing.part.keys
    first, last = np.searchsorted(exclude, [keys[0], keys[-1] + 1])
    gone, _ = positions(keys, exclude[first:last])
    if not len(gone) or not len(passing):
        return passing
    if passing.at is None:
        return FilteredPart(passing.part, None, gone)
    places = np.searchsorted(passing.at, gone)
    places = places[np.take(passing.at, places, mode="clip") == gone]
    return FilteredPart(passing.part, np.delete(passing.at, places))
