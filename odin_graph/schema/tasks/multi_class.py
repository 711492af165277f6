"""One class an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import DataError, ShapeError
from odin_graph.picture import Picture
from odin_graph.schema.metadata.types import FieldType
from odin_graph.schema.tasks import reading, scores
from odin_graph.schema.tasks.confusion import confusion_picture
from odin_graph.schema.tasks.pairs import Pairs
from odin_graph.schema.tasks.scores import Scores
from odin_graph.schema.tasks.task import Labels, Mask, Predictions, Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class MultiClass(Task):
    """Exactly one of the classes is true of an image. A prediction is wrong if it is another class than the label."""

    name: ClassVar[str] = "multi-class"
    metrics: ClassVar[tuple[str, ...]] = scores.MULTI_CLASS
    share: ClassVar[bool] = True
    exclusive: ClassVar[bool] = True

    def columns(self, classes: Sequence[Any]) -> Mapping[str, FieldType]:
        """Predicted is a class, of the classes' own type."""
        return {"predicted": reading.class_type(classes), "confidence": FieldType.FLOAT, "wrong": FieldType.BOOL}

    def read_labels(self, values: Any, classes: Sequence[Any] | None = None) -> Labels:
        """Classes, from classes, from one-hot rows, or, where classes are names, from their indexes."""
        rows = reading.as_rows(values, classes)
        if rows is not None:
            return self._from_one_hot(rows, classes)
        known = None if classes is None else reading.index_of(classes)
        read = [self._read(value, place, classes, known) for place, value in enumerate(reading.as_list(values))]
        reading.of_one_type(read)
        return reading.as_labels(read)

    def decide(self, outputs: NDArray[Any], classes: Sequence[Any]) -> Predictions:
        """The class of the highest logit; its softmax is the confidence. Of equals the first.

        One logit an image is taken for the second of two classes.
        """
        logits = reading.finite(outputs)
        if len(classes) == 2 and logits.size == len(logits):
            second = logits.reshape(-1, 1)
            logits = np.concatenate([np.zeros_like(second), second], axis=1)
        if logits.ndim != 2 or logits.shape[1] != len(classes):
            raise ShapeError(
                f"The outputs have shape {np.shape(outputs)}, and {len(classes)} classes need (n, {len(classes)}): "
                "check classes= of the model and its last layer."
            )
        powers = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
        return self._choose(powers / powers.sum(axis=1, keepdims=True), logits.argmax(axis=1), classes)

    def from_probabilities(self, probabilities: NDArray[Any], classes: Sequence[Any]) -> Predictions:
        """The most probable class. Of equals the first."""
        given = reading.probabilities_of(probabilities, classes, exclusive=self.exclusive)
        return self._choose(given, given.argmax(axis=1), classes)

    def wrong(self, predicted: Sequence[Any] | NDArray[Any], labels: Sequence[Any] | NDArray[Any]) -> Mask:
        """Another class than the label."""
        reading.same_length(predicted, labels)
        truth = np.asarray(labels, dtype=object)
        known = np.array([label is not None for label in truth], dtype=bool)
        return reading.masked(np.asarray(np.asarray(predicted, dtype=object) != truth, dtype=bool), known)

    def score(self, pairs: Pairs) -> Scores:
        """As scikit-learn has them. Of a part of the images only the classes that occur there have a row."""
        every = pairs.whole is None
        return scores.multi_class(*pairs.codes, pairs.classes, pairs.probabilities, every=every)

    def targets(self, labels: Labels, classes: Sequence[Any] | None) -> NDArray[Any]:
        """(n,) indexes of the classes, int64."""
        known = classes or sorted(set(labels))
        place = reading.index_of(known) if known else {}
        return np.array([place[label] for label in labels], np.int64)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The cross entropy of logits (n, classes); of one logit an image that of the second of two classes."""
        from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

        if outputs.numel() == len(targets):
            return binary_cross_entropy_with_logits(outputs.reshape(-1), targets.to(outputs.dtype))
        return cross_entropy(outputs, targets)

    def picture(self, scores: Scores, head: str, below: str) -> Picture:
        """The confusion matrix."""
        assert scores.confusion is not None
        title = f"{head}: accuracy {scores.overall['accuracy']:.1%}\n{below}"
        return confusion_picture(scores.confusion, scores.classes, title=title)

    def _choose(
        self, probabilities: NDArray[np.float64], chosen: NDArray[np.intp], classes: Sequence[Any]
    ) -> Predictions:
        reading.index_of(classes)
        confidence = np.take_along_axis(probabilities, chosen[:, None], axis=1)[:, 0]
        return Predictions(
            predicted=np.asarray(classes)[chosen],
            confidence=confidence.astype(np.float32),
            probabilities=probabilities.astype(np.float32),
        )

    def _from_one_hot(self, rows: NDArray[np.bool_], classes: Sequence[Any] | None) -> Labels:
        ones = rows.sum(axis=1)
        if (ones != 1).any():
            where = int((ones != 1).argmax())
            raise DataError(
                f"The row at position {where} marks {int(ones[where])} classes, and multi-class needs one: "
                'if several can be true of an image, say task="multi-label".'
            )
        chosen = rows.argmax(axis=1).tolist()
        return reading.as_labels(chosen if classes is None else [classes[index] for index in chosen])

    def _read(self, value: Any, place: int, classes: Sequence[Any] | None, known: dict[Any, int] | None) -> Any:
        if isinstance(value, float) and value.is_integer():  # whole numbers in a column that has missing ones
            value = int(value)
        if value is None:
            return None
        if not isinstance(value, (str, int)):
            raise reading.refuse(value, place, "a class is a name, a whole number or a truth value.")
        if classes is None or known is None or (value in known and type(value) is type(classes[0])):
            return value
        if type(value) is int and isinstance(classes[0], str) and 0 <= value < len(classes):
            return classes[value]
        hint = " (it is text here, a number there)" if str(value) in map(str, classes) else ""
        if bool in (type(value), type(classes[0])):
            hint = f" (they are {type(classes[0]).__name__}, and it is {type(value).__name__})"
        raise reading.refuse(
            value, place, f"it is none of the classes{hint}, which are {', '.join(map(repr, classes))}."
        )


ENTRY = MultiClass()
"""As it is registered."""
