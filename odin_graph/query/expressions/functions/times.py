"""Parts of dates and times, which are UTC."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.query.expressions.datum import Datum
from odin_graph.query.expressions.functions.function import DAY, TIME, function


def _int(values: Datum) -> Datum:
    return pc.cast(values, pa.int64())


@function("year", DAY, gives="int", cypher="{0}.year")
def year(day: Datum) -> Datum:
    """The year."""
    return _int(pc.year(day))


@function("month", DAY, gives="int", cypher="{0}.month")
def month(day: Datum) -> Datum:
    """The month, 1 to 12."""
    return _int(pc.month(day))


@function("day", DAY, gives="int", cypher="{0}.day")
def day_of_month(day: Datum) -> Datum:
    """The day of the month."""
    return _int(pc.day(day))


@function("weekday", DAY, gives="int", cypher="{0}.dayOfWeek - 1")
def weekday(day: Datum) -> Datum:
    """The day of the week, 0 on Monday."""
    return _int(pc.day_of_week(day))


@function("hour", TIME, gives="int", cypher="{0}.hour")
def hour(time: Datum) -> Datum:
    """The hour, 0 to 23."""
    return _int(pc.hour(time))


@function("minute", TIME, gives="int", cypher="{0}.minute")
def minute(time: Datum) -> Datum:
    """The minute, 0 to 59."""
    return _int(pc.minute(time))
