"""What a task is: how outputs become predictions, what *wrong* means, and which measures apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from odin_graph.schema.metadata.types import FieldType

Labels: TypeAlias = NDArray[np.object_]
"""(n,) canonical labels, as the task has them and as a graph stores them; None where an image has none."""

Mask: TypeAlias = "np.ma.MaskedArray[Any, np.dtype[np.bool_]]"
"""(n,) of bool; masked where it cannot be said. ``pyarrow.array`` makes nulls of what is masked."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model said of n images."""

    predicted: NDArray[Any]
    """(n,) classes, lists of classes, or numbers: what `Task.columns` says."""
    confidence: NDArray[np.float32] | None
    """(n,) between 0 and 1; None where the task has none."""
    probabilities: NDArray[np.float32] | None
    """(n, classes) in the order of the classes; None where the task has none."""


class Task(Protocol):
    """One kind of task. Entries of `TASKS` are instances: frozen dataclasses whose fields are the parameters."""

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    """The names of the measures that apply."""
    exclusive: ClassVar[bool]
    """Whether exactly one class is true of an image, so that its probabilities sum to one."""

    def columns(self, classes: Sequence[Any]) -> Mapping[str, FieldType]:
        """The columns of a prediction: predicted, confidence (where there is one) and wrong, with their types."""
        ...

    def read_labels(self, values: Any, classes: Sequence[Any] | None = None) -> Labels:
        """Canonical labels from what users have. None and NaN are images without a label.

        Args:
            values: A sequence, an array or a column.
            classes: What labels may be, in the order of the model's outputs. None takes them as they are.

        Raises:
            DataError: A value that is no label; the message names it and where it stands.
        """
        ...

    def decide(self, outputs: NDArray[Any], classes: Sequence[Any]) -> Predictions:
        """Predictions from a model's raw outputs (logits, or numbers).

        Raises:
            ShapeError: The outputs do not fit the classes.
            ModelError: They are not finite.
        """
        ...

    def from_probabilities(self, probabilities: NDArray[Any], classes: Sequence[Any]) -> Predictions:
        """Predictions from probabilities (n, classes) that somebody else calculated.

        Raises:
            ShapeError: They do not fit the classes.
            DataError: They are no probabilities, or the task has none.
        """
        ...

    def wrong(self, predicted: Sequence[Any] | NDArray[Any], labels: Sequence[Any] | NDArray[Any]) -> Mask:
        """Whether each prediction is wrong; masked where there is no label to say so.

        Raises:
            ShapeError: There are not as many of one as of the other.
        """
        ...
