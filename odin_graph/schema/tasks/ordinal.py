"""One grade an image: classes in an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from odin_graph.errors import DataError
from odin_graph.picture import Picture
from odin_graph.schema.metadata.types import FieldType
from odin_graph.schema.tasks import reading, scores
from odin_graph.schema.tasks.confusion import confusion_picture
from odin_graph.schema.tasks.multi_class import MultiClass
from odin_graph.schema.tasks.pairs import Pairs
from odin_graph.schema.tasks.scores import Scores


@dataclass(frozen=True, slots=True)
class Ordinal(MultiClass):
    """Exactly one grade is true of an image. The grades are ``classes=``, from the least to the most.

    A prediction is wrong if it is another grade than the label; how many grades it is off is measured beside.
    """

    name: ClassVar[str] = "ordinal"
    metrics: ClassVar[tuple[str, ...]] = scores.ORDINAL
    needs_classes: ClassVar[bool] = True

    def columns(self, classes: Sequence[Any]) -> Mapping[str, FieldType]:
        """Predicted is a grade, of the grades' own type. Whole numbers are given in their own order."""
        if not len(classes):
            raise DataError(
                "An ordinal task needs its grades in their order, from the least to the most: classes=[...]."
            )
        known = list(reading.index_of(classes))
        if not isinstance(known[0], str) and known != sorted(known):
            raise DataError(f"The grades are given as {known!r}, and whole numbers have an order: {sorted(known)!r}.")
        return MultiClass.columns(self, classes)

    def score(self, pairs: Pairs) -> Scores:
        """Those of classes, and how many grades off the predictions are."""
        every, grades = pairs.whole is None, len(pairs.known) or None
        return scores.ordinal(*pairs.codes, pairs.classes, pairs.probabilities, every=every, grades=grades)

    def picture(self, scores: Scores, head: str, below: str) -> Picture:
        """The confusion matrix in the order of the grades, with a line around what is off by one."""
        assert scores.confusion is not None
        right, near = scores.overall["accuracy"], scores.overall["within-one"]
        title = f"{head}: accuracy {right:.1%}, within one {near:.1%}\n{below}"
        return confusion_picture(scores.confusion, scores.classes, title=title, ordered=True)


ENTRY = Ordinal()
"""As it is registered."""
