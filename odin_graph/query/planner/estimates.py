"""How many rows come out of each step, estimated before anything runs."""

from __future__ import annotations

from math import prod
from typing import assert_never

from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.plan import (
    AllImages,
    Combine,
    Cypher,
    Distinct,
    FromVectors,
    GroupBy,
    Keys,
    Members,
    Nearest,
    OrderBy,
    Registered,
    RegisteredStep,
    Representative,
    Sample,
    Select,
    Slice,
    Source,
    Step,
    Things,
    Using,
    Where,
    WithColumns,
)
from odin_graph.query.plan.registered_step import built
from odin_graph.query.planner.selectivity import Known, selectivity

_GROUPS = 100.0
"""Values of which nothing is known."""


def of_source(source: Source, snapshot: Snapshot) -> float | None:
    """The rows of a source; None if they are unknown."""
    match source:
        case AllImages():
            return float(snapshot.total())
        case Members(dataset):
            return float(snapshot.size_of(dataset))
        case Keys(keys):
            return float(len(keys))
        case Things():
            return float(len(snapshot.live))
        case Cypher() | Registered():
            return None
    assert_never(source)


def after(  # noqa: C901 - one case a step
    step: Step, rows: float | None, known: Known, other: float | None = None
) -> float | None:
    """The rows that a step leaves of so many; ``other`` is what the other query of a set operation gives."""
    if rows is None:
        return None
    match step:
        case Where(predicate):
            return rows * selectivity(predicate, known)
        case Slice(start, stop, stride):
            return float(len(range(*slice(start, stop, stride).indices(round(rows)))))
        case Nearest(k=k) | Representative(k=k) | Sample(k):
            return min(rows, float(k))
        case Distinct(by):
            return min(rows, prod(_values(known, node) for node in by))
        case GroupBy(by):
            return min(rows, prod(_values(known, column.value) for column in by)) if by else 1.0
        case OrderBy() | WithColumns() | Select() | FromVectors():
            return rows
        case Using():
            return rows / 2
        case RegisteredStep():
            return built(step).estimate(rows)
        case Combine(how):
            return rows + (other or 0.0) if how == "union" else rows / 2
    assert_never(step)


def _values(known: Known, node: object) -> float:
    statistics = known(node)  # type: ignore[arg-type]
    return _GROUPS if statistics is None else float(max(statistics.distinct + (statistics.nulls > 0), 1))
