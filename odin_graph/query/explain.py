"""The physical plan as a person reads it: what runs where, why, and how many images came out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Self

from odin_graph.query.operator import Operator


@dataclass(frozen=True, slots=True)
class Part:
    """One operator of a plan."""

    depth: int
    """How many operators stand between it and the answer."""
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
        return cls(tuple(_parts(top, 0)))

    def __str__(self) -> str:
        lines: list[str] = []
        for part in self.parts:
            depth = part.depth
            branch = "   " * (depth - 1) + "└─ " if depth else ""
            ran = f"  → {part.rows:,} rows in {part.seconds * 1000:.1f} ms" if part.seconds is not None else ""
            lines += [f"{branch}{part.does}{ran}", f"{'   ' * depth}   [{part.engine}] {part.why}"]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _parts(operator: Operator, depth: int) -> Iterator[Part]:
    yield Part(depth, operator.does, operator.engine, operator.why, operator.rows, operator.seconds)
    for below in operator.inputs:
        yield from _parts(below, depth + 1)
