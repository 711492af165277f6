"""Rewrites plans: filters move before steps that they do not depend on, the most selective first.

A filter commutes with an order (ties go by key either way) and with columns that it does not read. It does not with
what looks at the other rows: slices, samples, neighbors, groups, distinct values.
"""

from __future__ import annotations

from odin_graph.query.expressions.nodes import Added, Both, Node, fields
from odin_graph.query.plan.plan import OrderBy, Plan, Step, Where, WithColumns
from odin_graph.query.planner.selectivity import Known, ordered


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
                steps[place - 1] = Where(Both((*_operands(before.predicate), *_operands(step.predicate))))
            else:
                steps.insert(place, step)
        else:
            steps.append(step)
    return Plan(plan.source, tuple(_ordered(step, known) if isinstance(step, Where) else step for step in steps))


def _earliest(steps: list[Step], filter_: Where) -> int:
    """The earliest position of a filter among the steps."""
    read = {field.name for field in fields(filter_.predicate) if isinstance(field, Added)}
    place = len(steps)
    while place:
        match steps[place - 1]:
            case OrderBy():
                place -= 1
            case WithColumns(columns) if not read & {column.name for column in columns}:
                place -= 1
            case _:
                break
    return place


def _ordered(step: Where, known: Known) -> Where:
    operands = _operands(step.predicate)
    return step if len(operands) == 1 else Where(Both(ordered(operands, known)))


def _operands(node: Node) -> tuple[Node, ...]:
    return node.operands if isinstance(node, Both) else (node,)
