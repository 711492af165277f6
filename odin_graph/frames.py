"""Arrow tables as pandas DataFrames, without the loss of a digit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import pandas as pd

_EXACT: Final = 2**53
"""Integers up to here are floats too."""


def frame_of(table: pa.Table) -> pd.DataFrame:
    """The table as pandas has it: integers beside missing values as floats, or as Int64 if digits would be lost."""
    frame: pd.DataFrame = table.to_pandas()
    for name in table.column_names:
        column = table.column(name)
        if column.type == pa.int64() and column.null_count:
            ends = pc.min_max(column).as_py()
            if ends["min"] is not None and max(ends["max"], -ends["min"]) > _EXACT:
                frame[name] = _exactly(column)
    return frame


def _exactly(column: pa.ChunkedArray) -> pd.Series[int]:
    import pandas as pd

    exact: pd.Series[int] = column.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return exact
