"""Aggregates: one value of a group, ``exp.wrong.mean()`` in ``group_by("label").agg(...)``. An extension point.

Missing values are left out; of a group that has no other values an aggregate is missing, and a count is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.errors import QueryError
from odin_graph.query.expressions.datum import unsafe
from odin_graph.query.expressions.functions import NUMBER, ORDERED, TRUTH, Takes
from odin_graph.query.expressions.functions.function import SCALARS
from odin_graph.registry import Registry

_SURE: Final = 0.999 * 2.0**63
"""Bound for the sum of absolute values, which is at least that of any group; floats compute it well enough."""
SKIP: Final = pc.ScalarAggregateOptions(skip_nulls=True, min_count=1)


@dataclass(frozen=True, eq=False)
class AggregateFunction:
    """One aggregate, computed by one of Arrow's kernels over all groups at once, or by a function of one group."""

    takes: Takes | None
    """The type of its values; None if it may have none, and counts rows then."""
    gives: str | None
    """The type of the result; None for that of the values."""
    cypher: str | None = None
    """Its form in Cypher, ``{0}`` for the values; None where it has none."""
    kernel: str | None = None
    options: Any = None
    prepare: Callable[[pa.Array], pa.Array] = field(default=lambda values: values)
    """Prepares the values for the kernel."""
    compute: Callable[[pa.Array], Any] | None = None
    """Computes the result from the values of one group, none of them missing and at least one."""
    empty: Any = None
    """The result for a group without values."""

    def result(self, of: str) -> str:
        """The type of the result for values of a type."""
        return self.gives or of


AGGREGATES: Registry[AggregateFunction] = Registry("aggregate", "odin_graph.aggregates")


def aggregate(
    name: str, takes: Takes, gives: str | None, *, cypher: str | None = None
) -> Callable[[Callable[[pa.Array], Any]], AggregateFunction]:
    """Register a function of the values of one group under a name.

    Args:
        name: ``lower-case-with-hyphens``; users write ``agg(x=og.aggregated("the-name", F("age")))``.
        takes: The values' types.
        gives: The type of the result; None is that of the values.
        cypher: Its form in Cypher, ``{0}`` for the values.

    Example:
        >>> @aggregate("geometric-mean", NUMBER, "float")
        ... def geometric_mean(values):
        ...     return float(np.exp(np.log(values.to_numpy()).mean()))
    """

    def register(compute: Callable[[pa.Array], Any]) -> AggregateFunction:
        return AGGREGATES.register(name)(_named(compute, AggregateFunction(takes, gives, cypher, compute=compute)))

    return register


def _named(like: Callable[..., Any], entry: AggregateFunction) -> AggregateFunction:
    """Set the module and name of its function, by which the registry tells entries apart."""
    for attribute in ("__module__", "__qualname__", "__doc__"):
        object.__setattr__(entry, attribute, getattr(like, attribute, None))
    return entry


def _floats(values: pa.Array) -> pa.Array:
    return unsafe(values, pa.float64())


def _summed(values: pa.Array) -> pa.Array:
    """Numbers to be added. Arrow's sum of integers overflows beyond 64 bits without an error."""
    if pa.types.is_floating(values.type):
        return values
    numbers = values.cast(pa.int64())
    largest = pc.sum(pc.abs(unsafe(numbers, pa.float64()))).as_py() or 0.0
    if largest >= _SURE:
        raise QueryError("A sum of these integers may leave 64 bits: multiply by 1.0 to add in floats.")
    return numbers


def _median(values: pa.Array) -> float:
    with np.errstate(invalid="ignore"):  # between the two infinities there is nothing
        return float(np.median(values.to_numpy(zero_copy_only=False).astype(np.float64)))


_TRUTH: Final = "CASE WHEN {0} THEN 1 WHEN NOT {0} THEN 0 ELSE null END"
_BUILT_IN: Final = {
    "count": AggregateFunction(None, "int", "count({0})", "count", pc.CountOptions("only_valid"), empty=0),
    "n-unique": AggregateFunction(
        Takes(frozenset(SCALARS)),
        "int",
        "count(DISTINCT {0})",
        "count_distinct",
        pc.CountOptions("only_valid"),
        empty=0,
    ),
    "sum": AggregateFunction(
        NUMBER, None, "CASE WHEN count({0}) = 0 THEN null ELSE sum({0}) END", "sum", SKIP, _summed
    ),
    "mean": AggregateFunction(NUMBER, "float", "avg(toFloat({0}))", "mean", SKIP, _floats),
    "std": AggregateFunction(NUMBER, "float", None, "stddev", pc.VarianceOptions(ddof=1), _floats),
    "min": AggregateFunction(ORDERED, None, "min({0})", "min", SKIP),
    "max": AggregateFunction(ORDERED, None, "max({0})", "max", SKIP),
    "median": AggregateFunction(NUMBER, "float", compute=_median),
    "any": AggregateFunction(TRUTH, "bool", f"max({_TRUTH}) = 1", "any", SKIP),
    "all": AggregateFunction(TRUTH, "bool", f"min({_TRUTH}) = 1", "all", SKIP),
}
for _name, _entry in _BUILT_IN.items():
    AGGREGATES.register(_name)(_entry)
