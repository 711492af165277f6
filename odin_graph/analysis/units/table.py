"""A result about units: a table that prints, sorts, and goes to Arrow or pandas."""

from __future__ import annotations

from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.errors import UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

_SHOWN: Final = 10
"""Rows that are printed; a note tells how many more there are, and how many columns."""
_COLUMNS: Final = 16


@dataclass(frozen=True, eq=False, repr=False)
class UnitTable:
    """Rows about units, in an order that `sorted` changes."""

    table: pa.Table
    """The rows, in the order of the computation or of `sorted`."""
    images: int
    """How many images were looked at."""

    def __len__(self) -> int:
        """The number of rows."""
        return int(self.table.num_rows)

    def __getitem__(self, column: str) -> NDArray[Any]:
        """A column: ``stats["mean"]``, a value a row.

        Raises:
            UnknownNameError: There is no such column; lists those there are.
        """
        values: NDArray[Any] = self._column(column).to_numpy()
        return values

    def sorted(self, column: str, *, descending: bool = False) -> Self:
        """The same in another order; equal rows keep theirs, and what is NaN comes last.

        Args:
            column: Its name.
            descending: The highest first.

        Raises:
            UnknownNameError: There is no such column; lists those there are.
        """
        values = self._column(column)
        order = pa.compute.sort_indices(values, sort_keys=[("", "descending" if descending else "ascending")])
        return replace(self, table=self.table.take(order))

    def to_arrow(self) -> pa.Table:
        """All rows."""
        return self.table

    def to_pandas(self) -> pd.DataFrame:
        """All rows."""
        frame: pd.DataFrame = self.table.to_pandas()
        return frame

    def __str__(self) -> str:
        """A headline, and the first rows."""
        rows = self._first().to_string(index=False, float_format=_short, na_rep="-") if len(self) else ""
        return "\n".join(part for part in (self._head(), rows, *self._notes()) if part)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        rows = self._first().to_html(index=False, float_format=_short, na_rep="-", border=0) if len(self) else ""
        notes = "<br>".join(escape(note) for note in self._notes())
        return f"<b>{escape(self._head())}</b>{rows}{notes}"

    def _head(self) -> str:
        return f"{len(self):,} rows of {self.images:,} images"

    def _notes(self) -> list[str]:
        left = []
        if len(self) > _SHOWN:
            left.append(f"{len(self) - _SHOWN:,} more rows")
        if self.table.num_columns > _COLUMNS:
            left.append(f"{self.table.num_columns - _COLUMNS:,} more columns")
        return [f"- {' and '.join(left)}: to_pandas() has all"] if left else []

    def _first(self) -> pd.DataFrame:
        names = self.table.column_names[:_COLUMNS]
        frame: pd.DataFrame = self.table.slice(0, _SHOWN).select(names).to_pandas()
        return frame

    def _column(self, name: str) -> pa.ChunkedArray:
        if name not in self.table.column_names:
            raise UnknownNameError.of("column", name, self.table.column_names)
        return self.table.column(name)


def counted(number: int, thing: str) -> str:
    """``1 unit``, ``2,048 units``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _short(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4g}"
