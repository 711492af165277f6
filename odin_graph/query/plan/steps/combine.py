"""The steps ``union``, ``intersection`` and ``difference``; `odin_graph.query.operators.combining` runs them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

from odin_graph.errors import QueryError
from odin_graph.query.expressions.selectivity import Known
from odin_graph.query.plan.base_step import BaseStep

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Combine(BaseStep):
    """With the images of another plan: those of both, one after the other, those in both, or those not in the other.

    Each image comes once.
    """

    how: Literal["union", "intersection", "difference"]
    other: Plan
    step: Literal["combine"] = "combine"

    @property
    def word(self) -> str:
        return "union, intersection or difference"

    @property
    def no_cypher(self) -> str:
        return "A set operation has no form in Cypher that keeps the order."

    @property
    def inner(self) -> Plan:
        return self.other

    def with_inner(self, plan: Plan) -> Self:
        return replace(self, other=plan)

    def bind(self, scope: Scope) -> Self:
        if self.other.grouped or self.other.kind != scope.kind.label:
            rows = "groups" if self.other.grouped else scope.of(self.other).kind.plural
            raise QueryError(f"{self.how}() takes a query of {scope.kind.plural}, and the other one's rows are {rows}.")
        if self.how == "union":
            theirs = scope.of(self.other).added
            for name in scope.added.keys() & theirs.keys():
                if {scope.added[name], theirs[name]} > {"null"} or scope.added[name] == theirs[name]:
                    continue
                raise QueryError(
                    f"The column {name!r} is {scope.added[name]} in one query and {theirs[name]} in the other: give "
                    "one of them another name."
                )
        return self

    def columns_after(self, scope: Scope) -> dict[str, str]:
        if self.how != "union":
            return scope.added
        theirs = {name: type_ for name, type_ in scope.of(self.other).added.items() if type_ != "null"}
        return scope.added | theirs if theirs else scope.added

    def estimate(self, rows: float, known: Known) -> float:
        """See `BaseStep`; without those of the other plan."""
        return rows if self.how == "union" else rows / 2

    def spell(self) -> str:
        return f".{self.how}({self.other.spell()})"
