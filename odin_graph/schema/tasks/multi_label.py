"""Any number of classes an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import QueryError, ShapeError
from odin_graph.picture import Picture
from odin_graph.schema.metadata.types import FieldType
from odin_graph.schema.tasks import reading, scores
from odin_graph.schema.tasks.pairs import Pairs
from odin_graph.schema.tasks.pictures import classes_picture
from odin_graph.schema.tasks.scores import Scores
from odin_graph.schema.tasks.task import Labels, Mask, Predictions, Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class MultiLabel(Task):
    """Any of the classes can be true of an image. A prediction is wrong if it is not exactly the label's classes."""

    threshold: float = 0.5
    """A class is predicted if its probability is above it."""

    name: ClassVar[str] = "multi-label"
    metrics: ClassVar[tuple[str, ...]] = scores.MULTI_LABEL
    share: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Check the parameter."""
        if not 0 < self.threshold < 1:
            raise QueryError(f"The threshold of a multi-label task is between 0 and 1, and not {self.threshold!r}.")

    def columns(self, classes: Sequence[Any]) -> Mapping[str, FieldType]:
        """Predicted is a list of classes, of their own type."""
        return {"predicted": reading.class_type(classes).listed, "confidence": FieldType.FLOAT, "wrong": FieldType.BOOL}

    def read_labels(self, values: Any, classes: Sequence[Any] | None = None) -> Labels:
        """Lists of classes in the classes' order, from lists of them, rows of zeros and ones, or lists of indexes.

        An empty list is a label: none of the classes is true of the image.
        """
        rows = reading.as_rows(values, classes)
        if rows is not None:
            names = range(rows.shape[1]) if classes is None else classes
            return reading.as_labels([_marked(row, names) for row in rows])
        known = None if classes is None else reading.index_of(classes)
        return reading.as_labels(
            [self._read(value, place, classes, known) for place, value in enumerate(reading.as_list(values))]
        )

    def decide(self, outputs: NDArray[Any], classes: Sequence[Any]) -> Predictions:
        """The classes whose sigmoid is above the threshold."""
        logits = reading.finite(outputs)
        if logits.ndim == 1 and len(classes) == 1:
            logits = logits[:, None]
        if logits.ndim != 2 or logits.shape[1] != len(classes):
            raise ShapeError(
                f"The outputs have shape {np.shape(outputs)}, and {len(classes)} classes need (n, {len(classes)}): "
                "check classes= of the model and its last layer."
            )
        # Written with tanh, which does not overflow.
        return self._choose(0.5 * (1 + np.tanh(0.5 * logits)), classes)

    def from_probabilities(self, probabilities: NDArray[Any], classes: Sequence[Any]) -> Predictions:
        """The classes whose probability is above the threshold."""
        return self._choose(reading.probabilities_of(probabilities, classes, exclusive=self.exclusive), classes)

    def wrong(self, predicted: Sequence[Any] | NDArray[Any], labels: Sequence[Any] | NDArray[Any]) -> Mask:
        """Not exactly the label's classes; their order does not matter."""
        reading.same_length(predicted, labels)
        known = np.array([label is not None for label in labels], dtype=bool)
        differ = [
            label is not None and set(prediction or ()) != set(label)
            for prediction, label in zip(predicted, labels, strict=True)
        ]
        return reading.masked(np.array(differ, dtype=bool), known)

    def score(self, pairs: Pairs) -> Scores:
        """As scikit-learn has them of an indicator matrix."""
        return scores.multi_label(pairs.truth, pairs.predicted, pairs.classes, pairs.probabilities)

    def targets(self, labels: Labels, classes: Sequence[Any] | None) -> NDArray[Any]:
        """Zeros and ones (n, classes), float32."""
        known = classes or sorted({name for names in labels for name in names})
        return np.array([[name in names for name in known] for names in labels], np.float32).reshape(
            len(labels), len(known)
        )

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The binary cross entropy of logits (n, classes)."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(outputs.reshape(targets.shape), targets)

    def picture(self, scores: Scores, head: str, below: str) -> Picture:
        """Precision, recall and F1 of each class."""
        return classes_picture(scores, head, below)

    def _choose(self, probabilities: NDArray[np.float64], classes: Sequence[Any]) -> Predictions:
        """Confidence is that of the least certain of the decisions, one a class."""
        reading.index_of(classes)
        chosen = probabilities > self.threshold
        certainty = np.where(chosen, probabilities, 1 - probabilities)
        return Predictions(
            predicted=reading.as_labels([_marked(row, classes) for row in chosen]),
            confidence=certainty.min(axis=1, initial=1.0).astype(np.float32),
            probabilities=probabilities.astype(np.float32),
        )

    def _read(self, value: Any, place: int, classes: Sequence[Any] | None, known: dict[Any, int] | None) -> Any:
        if value is None:
            return None
        if not isinstance(value, list):
            raise reading.refuse(
                value, place, "a multi-label label is a list of classes: write [] for none, [name] for one."
            )
        if classes is None or known is None:
            return value
        by_index = isinstance(classes[0], str)
        places = [
            item
            if by_index and type(item) is int and 0 <= item < len(classes)
            else known.get(item)
            if type(item) is type(classes[0])
            else None
            for item in value
        ]
        if None in places:
            unknown = value[places.index(None)]
            listed = ", ".join(map(repr, classes))
            raise reading.refuse(value, place, f"{unknown!r} is none of the classes, which are {listed}.")
        return [classes[index] for index in sorted({index for index in places if index is not None})]


def _marked(row: NDArray[np.bool_], names: Sequence[Any]) -> list[Any]:
    return [names[index] for index in np.flatnonzero(row).tolist()]


ENTRY = MultiLabel()
"""As it is registered."""
