"""Rewrites plans: filters move before steps that they do not depend on, the most selective first.

A filter commutes with an order (ties go by key either way) and with columns that it does not read. It does not with
what looks at the other rows: slices, samples, neighbors, groups, distinct values.
"""

from __future__ import annotations

from odin_graph.query.expressions.nodes import Added, And, fields
from odin_graph.query.expressions.selectivity import Known, ordered
from odin_graph.query.plan.plan import Plan, Step
from odin_graph.query.plan.steps.where import Where


def rewritten(plan: Plan, known: Known) -> Plan:
    """A plan with the same answer.

    Args:
        plan: A bound plan.
        known: The statistics of fields.
    """
    steps: list[Step] = []
    for step in plan.steps:
        if isinstance(step, Where):
            place = _earliest(steps, step)
            if place and isinstance(before := steps[place - 1], Where):
                steps[place - 1] = Where(And((*before.conditions, *step.conditions)))
            else:
                steps.insert(place, step)
        else:
            steps.append(step)
    return Plan(plan.source, tuple(_ordered(step, known) if isinstance(step, Where) else step for step in steps))


def _earliest(steps: list[Step], filter_: Where) -> int:
    """The earliest position of a filter among the steps."""
    read = {field.name for field in fields(filter_.predicate) if isinstance(field, Added)}
    place = len(steps)
    while place and (before := steps[place - 1]).row_by_row and not read & {name for name, _ in before.adds()}:
        place -= 1
    return place


def _ordered(step: Where, known: Known) -> Where:
    return step if len(step.conditions) == 1 else Where(And(ordered(step.conditions, known)))
