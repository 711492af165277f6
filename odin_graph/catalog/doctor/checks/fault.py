"""A fault that was found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from odin_graph.served import travels


@travels
@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not as it should be: what, why, and what to do."""

    thing: str
    reason: str
    remedy: str
    mend: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    """Where it can be mended without a loss from what is stored elsewhere: does so, and says what it did."""

    def __str__(self) -> str:
        """One line."""
        return f"{self.thing}: {self.reason} {self.remedy}"


def cleared(fault: Fault, hidden: Sequence[str]) -> Fault:
    """The fault for another machine: without texts that only this one may know, and with nothing that mends."""
    thing, reason, remedy = fault.thing, fault.reason, fault.remedy
    for text in hidden:
        thing, reason, remedy = (one.replace(text, "...") for one in (thing, reason, remedy))
    return Fault(thing, reason, remedy)


def shown(values: object, number: int = 5) -> str:
    """The first few of many, for a message."""
    listed = list(values)  # type: ignore[call-overload]
    more = f" and {len(listed) - number} more" if len(listed) > number else ""
    return ", ".join(map(str, listed[:number])) + more
