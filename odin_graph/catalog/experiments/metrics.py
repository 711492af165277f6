"""The metric log of an experiment: rows (step, name, value, at), buffered, written as table segments."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.segments import name_leased, segments_of, swap_segments
from odin_graph.errors import DataError
from odin_graph.schema.metadata.plain import plain
from odin_graph.schema.properties import now
from odin_graph.served import served
from odin_graph.stores import Stores

SECONDS = 20.0
"""A row is on disk after this time, or at the next checkpoint."""

SCHEMA = pa.schema(
    [
        ("key", pa.int64()),
        ("step", pa.int64()),
        ("name", pa.string()),
        ("value", pa.float64()),
        ("at", pa.timestamp("us", tz="UTC")),
    ]
)


def log_array(experiment: str) -> str:
    """The array of the log of an experiment."""
    return f"Experiment/{experiment}/log"


@served
def read_log(stores: Stores, experiment: str) -> pa.Table:
    """The log in the order of logging: step, name, value, at. Of a metric that was logged twice at a step, the last.

    A run that failed is continued from its last checkpoint, or from the start: either way it logs some steps again.
    """
    tables = [stores.arrays.read_table(segment) for segment in segments_of(stores, log_array(experiment))]
    if not tables:
        return SCHEMA.empty_table().drop_columns(["key"])
    table = pa.concat_tables(tables).sort_by("key")
    stepped = table.filter(pc.is_valid(table.column("step"))).group_by(["step", "name"]).aggregate([("key", "max")])
    last = pc.is_in(table.column("key"), value_set=stepped.column("key_max").combine_chunks())
    return table.filter(pc.or_(pc.is_null(table.column("step")), last)).drop_columns(["key"])


def last_metrics(stores: Stores, ids: Sequence[str]) -> dict[str, dict[str, float]]:
    """The last value of each metric of each experiment. All segments are looked up in one query."""
    segments = stores.columns.segments_of([log_array(id_) for id_ in ids])
    last: dict[str, dict[str, float]] = {}
    for id_ in ids:
        tables = [stores.arrays.read_table(segment) for segment in segments.get(log_array(id_), ())]
        if tables:
            table = pa.concat_tables(tables).sort_by("key")
            last[id_] = dict(zip(table.column("name").to_pylist(), table.column("value").to_pylist(), strict=True))
    return last


class MetricLog:
    """Buffers rows and writes them by time, at a checkpoint and at the end. Safe to use from several threads."""

    def __init__(self, stores: Stores, lease: Lease) -> None:
        self._stores, self._lease, self._experiment = stores, lease, lease.id
        segments = segments_of(stores, log_array(lease.id))
        self._next = max((segment.max_key for segment in segments), default=-1) + 1
        self._rows: list[tuple[int, int | None, str, float, object]] = []
        self._lock = threading.Lock()
        self._written_at = time.monotonic()

    def add(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Log values; they are written at once if the last write was long ago.

        Raises:
            DataError: A value that is not a number, or a step that is not a whole number.
        """
        at = now()
        step = None if step is None else step_of(step)
        values = {str(name): _number(str(name), value) for name, value in metrics.items()}
        with self._lock:
            for name, value in values.items():
                self._rows.append((self._next, step, name, value, at))
                self._next += 1
        if time.monotonic() - self._written_at >= SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the buffered rows as a segment; when this returns, they are stored."""
        with self._lock:
            self._written_at = time.monotonic()
            if not self._rows:
                return
            columns = [
                pa.array(column, type_)
                for column, type_ in zip(zip(*self._rows, strict=True), SCHEMA.types, strict=True)
            ]
            segment = self._stores.arrays.write_table(log_array(self._experiment), pa.table(columns, schema=SCHEMA))
            name_leased(self._stores, self._lease, [segment])
            self._rows.clear()

    def compact(self) -> None:
        """Merge all segments into one; called when the experiment ends."""
        segments = segments_of(self._stores, log_array(self._experiment))
        if len(segments) < 2:
            return
        table = pa.concat_tables([self._stores.arrays.read_table(segment) for segment in segments]).sort_by("key")
        swap_segments(self._stores, segments, [self._stores.arrays.write_table(log_array(self._experiment), table)])


def _number(name: str, value: object) -> float:
    item = getattr(value, "item", None)  # a NumPy or torch scalar
    try:
        number = item() if callable(item) else value
    except (ValueError, RuntimeError) as error:
        raise DataError(f"The metric {name!r} has several values: log one number, for example their mean.") from error
    if not isinstance(number, Real):
        raise DataError(f"The metric {name!r} is {number!r:.80}: log a number.")
    try:
        return float(number)
    except OverflowError as error:
        raise DataError(f"The metric {name!r} is too large for a float: log its logarithm.") from error


def step_of(given: Any) -> int:
    """Check a step or an epoch at the call, since it is written much later.

    Raises:
        DataError: It is no whole number of 64 bits.
    """
    value = plain(given)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise DataError(f"A step is a whole number, not {given!r:.80}.")
    return value
