"""Labels as numbers of classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.errors import DataError


@dataclass(frozen=True, eq=False)
class Classes:
    """A class an image."""

    names: tuple[Any, ...]
    """All that occur, sorted."""
    codes: NDArray[np.int64]
    """(n,) the place of each image's class in the names; -1 without one."""

    @property
    def values(self) -> pa.Array:
        """The names with their own type; as strings where they have none in common."""
        try:
            return pa.array(self.names)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            return pa.array([str(name) for name in self.names])

    @classmethod
    def of(cls, labels: Any, what: str) -> Self:
        """From any column of strings, whole numbers or booleans; None, NaN and null are missing.

        Args:
            labels: A NumPy or Arrow array, a pandas series, or a list.
            what: What the column is called, for messages: ``the label``.

        Raises:
            DataError: An image has several classes.
        """
        import pandas as pd

        if hasattr(labels, "to_pandas"):
            labels = labels.to_pandas()
        series = pd.Series(labels)
        if (
            series.dtype == object
            and series.map(lambda value: isinstance(value, (list, tuple, set, dict, np.ndarray))).any()
        ):
            raise DataError(
                f"An image has several classes in {what}: ask about one class at a time, whether it is among an "
                "image's, as a hypothesis that is true or false."
            )
        codes, found = pd.factorize(series, use_na_sentinel=True)
        names = [name.item() if isinstance(name, np.generic) else name for name in found]
        try:
            order = sorted(range(len(names)), key=names.__getitem__)
        except TypeError:  # strings beside numbers
            order = sorted(range(len(names)), key=lambda place: str(names[place]))
        place = np.empty(len(names) + 1, np.int64)
        place[order] = np.arange(len(names))
        place[-1] = -1
        return cls(tuple(names[old] for old in order), place[codes])
