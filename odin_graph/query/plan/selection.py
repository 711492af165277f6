"""Selection methods: which few of many vectors stand for all of them. An extension point."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from odin_graph.registry import Registry


class Selection(Protocol):
    """Chooses representatives among vectors."""

    def __call__(
        self, vectors: NDArray[np.float32], k: int, *, seed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Choose at most k of n vectors.

        Args:
            vectors: Shape (n, d), n >= 1.
            k: At least 1.
            seed: Makes a method that draws by chance repeatable.

        Returns:
            The positions of the chosen ones, in order of choice, and how many of the n each stands for (itself
            included): the counts add up to n.
        """


SELECTIONS: Registry[Selection] = Registry("selection method", "odin_graph.selections")
