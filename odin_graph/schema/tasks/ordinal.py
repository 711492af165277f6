"""One grade an image: classes in an order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from odin_graph.errors import DataError
from odin_graph.schema.metadata.types import FieldType
from odin_graph.schema.tasks import reading
from odin_graph.schema.tasks.multi_class import MultiClass


@dataclass(frozen=True, slots=True)
class Ordinal(MultiClass):
    """Exactly one grade is true of an image. The grades are ``classes=``, from the least to the most.

    A prediction is wrong if it is another grade than the label; how many grades it is off is measured beside.
    """

    name: ClassVar[str] = "ordinal"
    metrics: ClassVar[tuple[str, ...]] = (
        "accuracy",
        "within-one",
        "mean-absolute-error",
        "quadratic-kappa",
        *MultiClass.metrics[1:],
    )

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


ENTRY = Ordinal()
"""As it is registered."""
