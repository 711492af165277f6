"""Labels and predictions of the same images: what a task measures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.schema.tasks.scores import Codes, Numbers, positions_of


@dataclass(frozen=True, eq=False)
class Pairs:
    """A label, a prediction and whether it is wrong, of each of n images."""

    truth: pa.ChunkedArray
    """The labels, none of which is missing."""
    predicted: pa.ChunkedArray
    wrong: pa.ChunkedArray
    """What `Task.wrong` gave; null where it is not known."""
    known: Sequence[Any] = ()
    """The model's classes, in the order of the probabilities."""
    read_probabilities: Callable[[], NDArray[np.float32] | None] = lambda: None
    whole: Pairs | None = None
    """What this is a part of."""
    rows: NDArray[np.int64] | None = None
    """Which part."""

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Some of the images, by their positions."""
        truth, predicted, wrong = (column.take(pa.array(rows)) for column in (self.truth, self.predicted, self.wrong))
        return type(self)(truth, predicted, wrong, self.known, whole=self, rows=rows)

    @cached_property
    def classes(self) -> tuple[Any, ...]:
        """The model's classes, then those that occur in the whole data set and that it does not know, sorted."""
        if self.whole is not None:
            return self.whole.classes
        flat = (pc.list_flatten(column) if is_nested(column) else column for column in (self.truth, self.predicted))
        seen = {item for column in flat for item in column.unique().to_pylist() if item is not None}
        return (*self.known, *sorted(seen.difference(self.known)))

    @cached_property
    def codes(self) -> tuple[Codes, Codes]:
        """(n,) positions of the labels, and of the predictions, among the classes."""
        if self.whole is not None:
            truth, predicted = self.whole.codes
            return truth[self.rows], predicted[self.rows]
        return positions_of(self.truth, self.classes), positions_of(self.predicted, self.classes)

    @cached_property
    def numbers(self) -> Numbers:
        """(n, ...) labels and predictions, where these are numbers or lists of as many numbers each."""
        labels, predicted = (
            np.array(column.to_pylist(), np.float64) if is_nested(column) else column.to_numpy().astype(np.float64)
            for column in (self.truth, self.predicted)
        )
        return Numbers(labels, predicted)

    @cached_property
    def probabilities(self) -> NDArray[np.float32] | None:
        """(n, known classes), as they are stored; None where they are not, of all images."""
        if self.whole is None:
            return self.read_probabilities()
        return None if self.whole.probabilities is None else self.whole.probabilities[self.rows]


def is_nested(column: pa.ChunkedArray) -> bool:
    """Whether its values are lists."""
    return bool(pa.types.is_nested(column.type))
