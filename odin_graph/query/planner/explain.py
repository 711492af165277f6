"""The physical plan for a reader: what runs where, why, what was expected and what came out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Self

from odin_graph.query.operators.operator import Operator

_DEEPEST = 30
"""Operators whose depth is drawn; deeper ones are not indented further."""
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Part:
    """One operator of a plan."""

    depth: int
    """The number of operators between it and the answer."""
    does: str
    engine: str
    why: str
    expected: int | None
    """The expected number of rows, from the statistics of columns; None if it is not known."""
    rows: int | None
    """The actual number of rows; None if it has not run."""
    bytes: int | None
    """Bytes of the columns that it read; None if it has not run."""
    seconds: float | None
    """Without the operators below it; None if it has not run."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The operators of a plan, the last step first. Its text is a tree."""

    parts: tuple[Part, ...]

    @classmethod
    def of(cls, top: Operator) -> Self:
        """Explain an operator and those below it."""
        parts: list[Part] = []
        pending = [(top, 0)]
        while pending:
            operator, depth = pending.pop()
            parts.append(_part(operator, depth))
            pending += [(below, depth + 1) for below in reversed(operator.inputs)]
        return cls(tuple(parts))

    @classmethod
    def from_json(cls, parts: Iterable[Mapping[str, Any]]) -> Self:
        """What `to_json` gave."""
        return cls(tuple(Part(**part) for part in parts))

    def to_json(self) -> list[dict[str, Any]]:
        """The same as plain values: one object an operator, the last step first, ``depth`` says what stands below."""
        return [asdict(part) for part in self.parts]

    def __str__(self) -> str:
        lines: list[str] = []
        for part in self.parts:
            depth = part.depth
            indent = "   " * min(depth, _DEEPEST)
            branch = indent[3:] + "└─ " if depth else ""
            lines += [f"{branch}{part.does}{_figures(part)}", f"{indent}   [{part.engine}] {part.why}"]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _figures(part: Part) -> str:
    """The expected rows, and the actual ones if it has run."""
    expected = "" if part.expected is None else f"about {part.expected:,}"
    if part.rows is None or part.seconds is None:
        return f"  → {expected} rows" if expected else ""
    read = f", {_bytes(part.bytes)} read" if part.bytes else ""
    estimate = f" (expected {expected})" if expected else ""
    return f"  → {part.rows:,} rows{estimate}{read} in {part.seconds * 1000:.1f} ms"


def _bytes(number: int) -> str:
    value, unit = float(number), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def _part(operator: Operator, depth: int) -> Part:
    ran = operator.rows is not None
    return Part(
        depth,
        operator.does,
        operator.engine,
        operator.why if ran or (forecast := operator.forecast()) is None else f"{operator.why}: {forecast}",
        None if operator.expected is None else round(operator.expected),
        operator.rows,
        operator.bytes if ran else None,
        operator.seconds,
    )
