"""Where an error is in a query: the query is drawn below the message, with the place marked.

The drawing is a note of the exception (PEP 678), so that tracebacks and notebooks show it, and its message stays short.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from odin_graph.errors import QueryError
from odin_graph.query.plan.plan import Plan, Step

_BEFORE = 40
"""Characters of the earlier steps that are drawn."""


@contextmanager
def drawn(plan: Plan, step: Step) -> Iterator[None]:
    """Give an error in this block a note with the plan and the step, unless it has one."""
    try:
        yield
    except QueryError as error:
        if not getattr(error, "__notes__", None):
            error.add_note(_drawing(plan, step, getattr(error, "place", None)))
        raise


def _drawing(plan: Plan, step: Step, place: str | None) -> str:
    before = plan.spell()
    text = plan.then(step).spell()[len(before) :]
    if len(before) > _BEFORE:
        before = "..." + before[3 - _BEFORE :]
    start = text.find(place) if place else -1
    start, length = (start, len(place or "")) if start >= 0 else (0, len(text))
    return f"\n    {before}{text}\n    {' ' * (len(before) + start)}{'^' * length}"
