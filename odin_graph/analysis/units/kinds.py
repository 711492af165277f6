"""Hypotheses as users give them, and the measures of their kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from odin_graph.analysis.units.dissection import IOU
from odin_graph.analysis.units.hypotheses import HYPOTHESES, Measure
from odin_graph.analysis.units.measures import AUC, KRUSKAL_WALLIS, PEARSON, SPEARMAN
from odin_graph.errors import DataError

_MASKS: Final = 3
"""Axes of masks: images, height, width."""
DEFAULTS: Final[dict[str, tuple[Measure, ...]]] = {
    "number": (PEARSON, SPEARMAN),
    "boolean": (AUC,),
    "category": (KRUSKAL_WALLIS,),
    "masks": (IOU,),
}
"""The measures of a kind of hypothesis, unless others are asked for."""


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """A hypothesis with the measures it is to be tested by: ``Hypothesis(grade, measures="kruskal-wallis")``."""

    values: Any
    """(n, ...) an entry an image."""
    measures: str | Measure | tuple[str | Measure, ...]
    """Names of registered measures, or measures."""

    def registered(self) -> tuple[Measure, ...]:
        """Its measures, those of the registry by their names.

        Raises:
            UnknownNameError: There is no measure of a name; lists the existing ones.
        """
        requested = self.measures if isinstance(self.measures, tuple) else (self.measures,)
        return tuple(HYPOTHESES.get(measure) if isinstance(measure, str) else measure for measure in requested)


def hypothesis_of(values: Any) -> Hypothesis:
    """The values with the measures of their kind, or the hypothesis itself."""
    return values if isinstance(values, Hypothesis) else Hypothesis(values, DEFAULTS[kind_of(values)])


def kind_of(values: Any) -> str:
    """``number``, ``boolean``, ``category`` or ``masks``. What is missing says nothing of the kind.

    Raises:
        DataError: They are times.
    """
    import pandas as pd
    from pandas.api import types

    if hasattr(values, "to_pandas"):
        values = values.to_pandas()
    if np.ndim(values) == _MASKS if isinstance(values, np.ndarray) else _holds_arrays(values):
        return "masks"
    column = pd.Series(values).dropna().infer_objects()
    if types.is_bool_dtype(column):
        return "boolean"
    if types.is_datetime64_any_dtype(column):
        raise DataError(
            "A hypothesis is not a time: compare it with one, or take a number of it, as F('taken_at').year()."
        )
    return "number" if types.is_numeric_dtype(column) else "category"


def _holds_arrays(values: Any) -> bool:
    first = next((value for value in values if value is not None), None)
    return isinstance(first, np.ndarray) and first.ndim == _MASKS - 1
