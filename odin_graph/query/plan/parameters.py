"""Parameters of what a user or a package wrote: Cypher, sources, steps."""

from __future__ import annotations

from dataclasses import dataclass

from odin_graph.query.expressions.nodes import Part, Value


@dataclass(frozen=True, slots=True)
class Parameter(Part):
    """A parameter of a user's Cypher: a value, None, or a flat list of values."""

    name: str
    value: Value | tuple[Value, ...] | None

    def spell(self) -> str:
        """The parameter as Python: ``k=3``."""
        given = self.value
        plain = [item.value for item in given] if isinstance(given, tuple) else None if given is None else given.value
        return f"{self.name}={plain!r}"
