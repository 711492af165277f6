"""Functions that choose between values. Only these give values for missing ones."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.query.expressions.datum import Datum, alike, cast
from odin_graph.query.expressions.functions.function import ANY, TRUTH, function, one_type


def _branches(types: Sequence[str]) -> str:
    return one_type(types[1:])


@function("fill-null", ANY, ANY, gives=one_type, cypher="coalesce({0}, {1})", strict=False)
def fill_null(value: Datum, other: Datum) -> Datum:
    """The value, or where it is missing the other one."""
    return pc.coalesce(*alike(value, other))


@function(
    "if-else",
    TRUTH,
    ANY,
    ANY,
    gives=_branches,
    cypher="CASE WHEN {0} THEN {1} WHEN NOT {0} THEN {2} ELSE null END",
    strict=False,
)
def if_else(condition: Datum, value: Datum, other: Datum) -> Datum:
    """The value where the condition is true, the other where it is false; missing where it is neither."""
    return pc.if_else(cast(condition, pa.bool_()), *alike(value, other))
