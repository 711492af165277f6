"""One number an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import QueryError, ShapeError
from odin_graph.picture import Picture
from odin_graph.schema.metadata.types import FieldType
from odin_graph.schema.tasks import reading, scores
from odin_graph.schema.tasks.pairs import Pairs
from odin_graph.schema.tasks.pictures import numbers_picture
from odin_graph.schema.tasks.scores import Scores
from odin_graph.schema.tasks.task import Labels, Mask, Predictions, Task


@dataclass(frozen=True, slots=True)
class Regression(Task):
    """A number is true of an image. A prediction is wrong if it is further from the label than the tolerance.

    Without a tolerance nothing is called right or wrong: no number of ours fits every quantity.
    """

    tolerance: float | None = None
    """In the units of the label; an error of exactly it is not wrong."""

    name: ClassVar[str] = "regression"
    metrics: ClassVar[tuple[str, ...]] = scores.REGRESSION

    def __post_init__(self) -> None:
        """Check the parameter."""
        if self.tolerance is not None and not 0 <= self.tolerance < math.inf:
            raise QueryError(f"The tolerance of a regression task is a number from 0 on, and not {self.tolerance!r}.")

    def columns(self, classes: Sequence[Any]) -> Mapping[str, FieldType]:
        """Predicted is a number; there is no confidence."""
        if len(classes):
            raise QueryError(f"A regression task has no classes, and was given {list(classes)!r}: leave classes= out.")
        return {"predicted": FieldType.FLOAT, "wrong": FieldType.BOOL}

    def read_labels(self, values: Any, classes: Sequence[Any] | None = None) -> Labels:
        """Numbers. NaN is a missing label, as everywhere."""
        self.columns(classes or ())
        return reading.as_numbers(values, "a regression label is a number.")

    def decide(self, outputs: NDArray[Any], classes: Sequence[Any]) -> Predictions:
        """The output as it is, (n,) or (n, 1)."""
        self.columns(classes)
        numbers = reading.finite(outputs)
        if numbers.size != len(numbers):
            raise ShapeError(
                f"The outputs have shape {np.shape(outputs)}, and regression needs one number an image, (n,) or "
                "(n, 1): log each of several targets as a prediction set of its own."
            )
        return Predictions(numbers.reshape(-1))

    def wrong(self, predicted: Sequence[Any] | NDArray[Any], labels: Sequence[Any] | NDArray[Any]) -> Mask:
        """Further from the label than the tolerance."""
        reading.same_length(predicted, labels)
        truth = np.array([math.nan if label is None else label for label in labels], dtype=np.float64)
        error = np.abs(np.asarray(predicted, dtype=np.float64) - truth)
        if self.tolerance is None:
            return reading.masked(np.zeros(len(error), dtype=bool), np.zeros(len(error), dtype=bool))
        return reading.masked(error > self.tolerance, ~np.isnan(truth))

    def score(self, pairs: Pairs) -> Scores:
        """Of the errors, and of what is beyond the tolerance."""
        numbers = pairs.numbers
        return scores.regression(numbers.labels, numbers.predicted, pairs.wrong.to_pylist())

    def picture(self, scores: Scores, head: str, below: str) -> Picture:
        """What was predicted against the truth."""
        return numbers_picture(scores, head, below, self.tolerance)


ENTRY = Regression()
"""As it is registered."""
