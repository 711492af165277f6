"""Functions of numbers. Where one is not defined (the root of -1), or E to the power is too large, it is missing."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.query.expressions.datum import Datum, unsafe, where
from odin_graph.query.expressions.functions.function import INTEGER, NUMBER, function


def _same(types: Sequence[str]) -> str:
    return types[0]


def _float(number: Datum) -> Datum:
    return unsafe(number, pa.float64())


# Neo4j 5's abs() gives the smallest integer back as it is; its minus refuses, as all others do.
@function("abs", NUMBER, gives=_same, cypher="CASE WHEN {0} < 0 THEN -({0}) ELSE {0} END")
def absolute(number: Datum) -> Datum:
    """A number without its sign."""
    return pc.abs_checked(number)


@function("floor", NUMBER, gives="float", cypher="floor(toFloat({0}))")
def floor(number: Datum) -> Datum:
    """The largest whole number that is not larger."""
    return pc.floor(_float(number))


@function("ceil", NUMBER, gives="float", cypher="ceil(toFloat({0}))")
def ceil(number: Datum) -> Datum:
    """The smallest whole number that is not smaller."""
    return pc.ceil(_float(number))


@function("round", NUMBER, gives="float")
def round_(number: Datum) -> Datum:
    """The nearest whole number, halves to the even one, as Python rounds."""
    return pc.round(_float(number), round_mode="half_to_even")


@function("sqrt", NUMBER, gives="float", cypher="CASE WHEN {0} >= 0 THEN sqrt(toFloat({0})) ELSE null END")
def sqrt(number: Datum) -> Datum:
    """The square root."""
    value = _float(number)
    return pc.sqrt(where(pc.greater_equal(value, 0.0), value))


@function("log", NUMBER, gives="float", cypher="CASE WHEN {0} > 0 THEN log(toFloat({0})) ELSE null END")
def log(number: Datum) -> Datum:
    """The natural logarithm."""
    value = _float(number)
    return pc.ln(where(pc.greater(value, 0.0), value))


@function("exp", NUMBER, gives="float")
def exp(number: Datum) -> Datum:
    """E to the power of it."""
    result = pc.exp(_float(number))
    return where(pc.is_finite(result), result)


_MOD = (
    "CASE WHEN {1} = 0 THEN null WHEN {0} % {1} <> 0 AND ({0} < 0) <> ({1} < 0) THEN {0} % {1} + {1} ELSE {0} % {1} END"
)


@function("mod", INTEGER, INTEGER, gives="int", cypher=_MOD)
def mod(number: Datum, divisor: Datum) -> Datum:
    """The rest of a division, of the divisor's sign, as in Python."""
    nonzero = where(pc.not_equal(divisor, 0), divisor)
    nonzero = pc.if_else(pc.equal(nonzero, -1), 1, nonzero)  # the rest is 0 as well, and -2**63 / -1 leaves 64 bits
    rest = pc.subtract(number, pc.multiply(pc.divide(number, nonzero), nonzero))
    other_side = pc.and_(pc.not_equal(rest, 0), pc.not_equal(pc.less(rest, 0), pc.less(nonzero, 0)))
    return pc.add(rest, pc.if_else(other_side, nonzero, 0))
