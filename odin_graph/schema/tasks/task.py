"""What a task is: how outputs become predictions, what *wrong* means, what is measured, learned from and drawn."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import DataError
from odin_graph.schema.metadata.types import FieldType
from odin_graph.schema.tasks.pairs import Pairs
from odin_graph.schema.tasks.pictures import measures_picture
from odin_graph.schema.tasks.scores import Scores

if TYPE_CHECKING:
    from torch import Tensor

    from odin_graph.picture import Picture

Labels: TypeAlias = NDArray[np.object_]
"""(n,) canonical labels, as the task has them and as a graph stores them; None where an image has none."""

Mask: TypeAlias = "np.ma.MaskedArray[Any, np.dtype[np.bool_]]"
"""(n,) of bool; masked where it cannot be said. ``pyarrow.array`` makes nulls of what is masked."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model predicted of n images."""

    predicted: NDArray[Any]
    """(n,) classes, lists of classes, or numbers: what `Task.columns` says."""
    confidence: NDArray[np.float32] | None = None
    """(n,) between 0 and 1; None where the task has none."""
    probabilities: NDArray[np.float32] | None = None
    """(n, classes) in the order of the classes; None where the task has none."""


@dataclass(frozen=True, slots=True)
class Task(ABC):
    """One kind of task, which says all that depends on it.

    A task is a frozen dataclass that derives from this one; its fields are its parameters. `TASKS` holds an instance.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    """The names of the measures that `score` gives, the one that matters most first."""
    share: ClassVar[bool] = False
    """Whether the first measure is the share of images that are right. Else it is an error: less is better."""
    exclusive: ClassVar[bool] = False
    """Whether exactly one class is true of an image, so that its probabilities sum to one."""
    needs_classes: ClassVar[bool] = False
    """Whether it means nothing without the classes, as grades do without their order."""

    @abstractmethod
    def columns(self, classes: Sequence[Any]) -> Mapping[str, FieldType]:
        """The columns of a prediction: predicted, confidence (where there is one) and wrong, with their types.

        Raises:
            DataError: These are no classes of the task.
        """

    @abstractmethod
    def read_labels(self, values: Any, classes: Sequence[Any] | None = None) -> Labels:
        """Canonical labels from what users have (`reading.as_labels`). None and NaN are images without a label.

        Args:
            values: A sequence, an array or a column.
            classes: What labels may be, in the order of the model's outputs. None takes them as they are.

        Raises:
            DataError: A value that is no label; the message names it and where it stands.
        """

    @abstractmethod
    def decide(self, outputs: NDArray[Any], classes: Sequence[Any]) -> Predictions:
        """Predictions from a model's raw outputs (logits, or numbers).

        Raises:
            ShapeError: The outputs do not fit the classes.
            ModelError: They are not finite.
        """

    @abstractmethod
    def wrong(self, predicted: Sequence[Any] | NDArray[Any], labels: Sequence[Any] | NDArray[Any]) -> Mask:
        """Whether each prediction is wrong; masked where there is no label to say so.

        Raises:
            ShapeError: There are not as many of one as of the other.
        """

    @abstractmethod
    def score(self, pairs: Pairs) -> Scores:
        """The measures of predictions against labels: those of `metrics`, of no image at all as well (NaN)."""

    def from_probabilities(self, probabilities: NDArray[Any], classes: Sequence[Any]) -> Predictions:  # noqa: ARG002
        """Predictions from probabilities (n, classes) that somebody else calculated.

        Raises:
            ShapeError: They do not fit the classes.
            DataError: They are no probabilities, or the task has none.
        """
        raise DataError(f"A {self.name} task has no probabilities: give predicted= instead.")

    def refused(self, predicted: Labels, classes: Sequence[Any]) -> tuple[int, str] | None:
        """The position of a prediction that cannot be stored, and why; None where all can.

        Labels may be of a class that a model does not know. What it predicts is one of its own, and finite.
        """
        rows = [value if isinstance(value, list) else [value] for value in predicted]
        occurring = set(chain.from_iterable(rows))
        infinite = {item for item in occurring if isinstance(item, float) and not math.isfinite(item)}
        unknown = occurring.difference(classes) if len(classes) else set()
        for place, row in enumerate(rows if infinite or unknown else ()):
            for item in row:
                if item in infinite:
                    return place, f"{item}: give a finite number."
                if item in unknown:
                    listed = f"{', '.join(map(repr, classes)):.400}"
                    return place, (
                        f"{item!r}, which is none of the classes, {listed}: correct it, or name all of them in "
                        "classes=."
                    )
        return None

    def targets(self, labels: Labels, classes: Sequence[Any] | None) -> NDArray[Any]:  # noqa: ARG002
        """Labels, of which none is missing, as the loss takes them: (n, ...) of numbers.

        Args:
            labels: As `read_labels` has them.
            classes: In the order of the outputs; None takes those that occur, sorted.
        """
        try:
            return np.array(list(labels), np.float32)
        except (TypeError, ValueError) as error:
            raise DataError(f"Labels of a {self.name} task are not numbers ({error}): write its targets().") from error

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss that a training makes small: of a batch of outputs and targets, by default the squared error."""
        from torch.nn.functional import mse_loss

        return mse_loss(outputs.reshape(targets.shape), targets)

    def picture(self, scores: Scores, head: str, below: str) -> Picture:
        """The measures, drawn.

        Args:
            scores: What `score` gave.
            head: What was measured on what, for the title.
            below: How many images, and what was left out.
        """
        return measures_picture(scores, head, below)
