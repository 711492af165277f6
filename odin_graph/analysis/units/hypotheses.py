"""Measures that say whether units depend on a hypothesis, an extension point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.units.ranks import midranks
from odin_graph.errors import DataError
from odin_graph.registry import Registry

LEAST: Final = 3
"""Images that a test needs."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A hypothesis as a measure reads it."""

    values: NDArray[Any]
    """(n, ...) an entry an image; what stands where there is none does not matter."""
    present: NDArray[np.bool_]
    """(n,) which images have one."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Units over the images that a hypothesis has an entry for. All values are finite."""

    values: NDArray[np.float32]
    """(u, m), or maps (u, m, h, w) for a measure of maps."""

    @cached_property
    def constant(self) -> NDArray[np.bool_]:
        """(u,) which units never change, so that no test of them is possible."""
        axes = tuple(range(1, self.values.ndim))
        same: NDArray[np.bool_] = self.values.max(axis=axes) == self.values.min(axis=axes)
        return same

    @property
    def ranks(self) -> NDArray[np.float64]:
        """(u, m) from 1, equal values sharing the mean of theirs. Computed once for all measures."""
        return self._ranked[0]

    @property
    def ties(self) -> NDArray[np.float64]:
        """(u,) the sum of t^3 - t over runs of t equal values, which tests by ranks are corrected by."""
        return self._ranked[1]

    @cached_property
    def _ranked(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return midranks(self.values)


@dataclass(frozen=True, eq=False)
class Effects:
    """The results of a measure for u units; NaN where there is none, as for a constant unit."""

    effect: NDArray[np.float64]
    """The effect size, with its sign or its neutral value as the field has it: a correlation, an AUC."""
    strength: NDArray[np.float64]
    """The effect size scaled from 0, no relation, to 1."""
    statistic: NDArray[np.float64]
    """The statistic of the test."""
    p: NDArray[np.float64]
    """How probable at least such a statistic is where there is no relation."""


class Measure(Protocol):
    """Compares units with a hypothesis. An entry of `HYPOTHESES` is an instance."""

    @property
    def name(self) -> str:
        """Its name in results."""

    @property
    def effect(self) -> str:
        """The name of its effect size."""

    @property
    def maps(self) -> bool:
        """Whether it compares the maps of channels, and not a value an image."""

    def prepare(self, name: str, values: Any) -> Prepared:
        """Check a hypothesis and make arrays of it.

        Args:
            name: What the user calls it, for messages.
            values: As given: an array, a list, a column of Arrow or pandas, or masks.

        Raises:
            DataError: It cannot be tested: it is constant, missing for nearly all images, or of another kind.
        """

    def __call__(self, units: Rows, values: NDArray[Any]) -> Effects:
        """Test every unit.

        Args:
            units: Over m images.
            values: (m, ...) the hypothesis of the same images. Where a unit has values that are no finite number,
                these images are left out, so that it may be constant here.
        """


HYPOTHESES: Registry[Measure] = Registry("measure of a hypothesis", "odin_graph.hypotheses")


def enough(name: str, present: NDArray[np.bool_]) -> None:
    """Refuse a hypothesis that has an entry for too few images.

    Raises:
        DataError: For fewer than 3.
    """
    if not present.any():
        raise DataError(
            f"The hypothesis {name!r} has no value for any of {len(present):,} images: check the field's name, or set "
            "values first."
        )
    if present.sum() < LEAST:
        raise DataError(
            f"The hypothesis {name!r} has a value for {present.sum()} of {len(present):,} images, and a test needs "
            f"{LEAST} at least: ask about more images."
        )


def constant(name: str, value: Any) -> DataError:
    """The error for a hypothesis that is the same everywhere."""
    return DataError(
        f"The hypothesis {name!r} is {value!r} for every image that has a value, so no unit can depend on it: leave it "
        "out, or ask about images that differ in it."
    )
