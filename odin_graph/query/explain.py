"""The physical plan as a person reads it: what runs where, why, and how many images came out."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Self

from odin_graph.query.operator import Operator


@dataclass(frozen=True, slots=True)
class Part:
    """One operator of a plan."""

    does: str
    engine: str
    why: str
    rows: int | None
    """Images that came out; None if it has not run."""
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The operators of a plan, the last step first. Its text is a tree."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, top: Operator) -> Self:
        """Explain an operator and those below it."""
        parts: list[Part] = []
        operator: Operator | None = top
        while operator is not None:
            parts.append(Part(operator.does, operator.engine, operator.why, operator.rows, operator.seconds))
            operator = operator.below
        return cls(tuple(parts))

    def __str__(self) -> str:
        lines: list[str] = []
        for depth, part in enumerate(self.parts):
            branch = "   " * (depth - 1) + "└─ " if depth else ""
            ran = f"  → {part.rows:,} rows in {part.seconds * 1000:.1f} ms" if part.seconds is not None else ""
            lines += [f"{branch}{part.does}{ran}", f"{'   ' * depth}   [{part.engine}] {part.why}"]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"
