"""Which class was taken for which, and how often: only what occurred, however many classes there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from odin_graph.served import travels

if TYPE_CHECKING:
    import pandas as pd


DENSE: Final = 1_000
"""Up to so many classes a matrix has all its zeros."""


@travels
@dataclass(frozen=True, eq=False)
class ConfusionCounts:
    """Pairs of classes by position that occurred, sorted."""

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    counts: NDArray[np.int64]
    size: int
    """Number of all classes."""

    @classmethod
    def of(cls, truth: NDArray[np.int64], predicted: NDArray[np.int64], size: int) -> Self:
        """Count pairs (n,) of positions."""
        pairs, counts = np.unique(truth * size + predicted, return_counts=True)
        return cls(pairs // max(size, 1), pairs % max(size, 1), counts.astype(np.int64), size)

    def dense(self) -> NDArray[np.int64]:
        """The whole matrix (truth, predicted)."""
        matrix = np.zeros((self.size, self.size), np.int64)
        matrix[self.truth, self.predicted] = self.counts
        return matrix

    def matrix(self, names: Sequence[Any]) -> pd.DataFrame:
        """The matrix with the classes' names; of many classes its columns are sparse."""
        import pandas as pd

        rows, columns = pd.Index(names, name="truth"), pd.Index(names, name="predicted")
        if self.size <= DENSE:
            return pd.DataFrame(self.dense(), index=rows, columns=columns)
        from scipy.sparse import coo_array

        matrix = coo_array((self.counts, (self.truth, self.predicted)), shape=(self.size, self.size))
        sparse: Any = pd.DataFrame.sparse
        frame: pd.DataFrame = sparse.from_spmatrix(matrix.tocsc())
        frame.index, frame.columns = rows, columns
        return frame

    def table(self, names: Sequence[Any]) -> pd.DataFrame:
        """A row a pair that was confused: ``truth``, ``predicted``, ``n`` and ``share`` of the truth's images.

        The most frequent first; those that are as frequent in the order of the classes.
        """
        import pandas as pd

        wrong = np.flatnonzero(self.truth != self.predicted)
        wrong = wrong[np.argsort(-self.counts[wrong], kind="stable")]
        class_counts = np.bincount(self.truth, weights=self.counts, minlength=self.size)
        known = np.empty(self.size, object)
        known[:] = list(names)
        return pd.DataFrame(
            {
                "truth": pd.Series(known[self.truth[wrong]]).infer_objects(),
                "predicted": pd.Series(known[self.predicted[wrong]]).infer_objects(),
                "n": self.counts[wrong],
                "share": self.counts[wrong] / np.maximum(class_counts[self.truth[wrong]], 1),
            }
        )

    def gathered(self, most: int) -> tuple[ConfusionCounts, NDArray[np.int64]]:
        """At most so many classes, the rest as one, which comes last.

        Kept are the classes of the pairs that are confused most often, then the most frequent ones.

        Returns:
            The counts, and the positions of the classes that were kept, in their order.
        """
        if self.size <= most:
            return self, np.arange(self.size)
        wrong = np.flatnonzero(self.truth != self.predicted)
        wrong = wrong[np.argsort(-self.counts[wrong], kind="stable")]
        pairs = np.stack([self.truth[wrong], self.predicted[wrong]], axis=1).reshape(-1)
        frequent = np.argsort(-np.bincount(self.truth, weights=self.counts, minlength=self.size), kind="stable")
        asked = np.concatenate([pairs[: 4 * most], frequent[:most]])
        _, first = np.unique(asked, return_index=True)
        kept = np.sort(asked[np.sort(first)][: most - 1])
        place = np.full(self.size, len(kept), np.int64)
        place[kept] = np.arange(len(kept))
        size = len(kept) + 1
        flat = np.bincount(place[self.truth] * size + place[self.predicted], self.counts, size * size).astype(np.int64)
        at = np.flatnonzero(flat)
        return ConfusionCounts(at // size, at % size, flat[at], size), kept
