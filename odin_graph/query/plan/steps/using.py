"""The step ``using``; `odin_graph.query.operators.using` runs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Self

from odin_graph.errors import QueryError
from odin_graph.query.expressions.selectivity import Known
from odin_graph.query.plan.base_step import BaseStep
from odin_graph.schema.kinds import KINDS

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Using(BaseStep):
    """Keep the things that use an image of another plan: through a data set, or by a link of theirs to images."""

    images: Plan
    role: str | None = None
    """Of the data set in the experiment; None is any."""
    step: Literal["using"] = "using"

    @property
    def inner(self) -> Plan:
        return self.images

    def with_inner(self, plan: Plan) -> Self:
        return replace(self, images=plan)

    def bind(self, scope: Scope) -> Self:
        if not scope.kind.datasets and not scope.kind.to_images:
            known = ", ".join(label for label, kind in KINDS.items() if kind.datasets)
            raise QueryError(f"using() keeps what used images: {known}. The query is of {scope.kind.plural}.")
        if self.role is not None and not scope.kind.datasets:
            raise QueryError(f"role= is that of a data set in an experiment, and the query is of {scope.kind.plural}.")
        if self.images.grouped or self.images.kind != "Image":
            raise QueryError("using() takes a query of images.")
        return self

    def estimate(self, rows: float, known: Known) -> float:
        return rows / 2

    def spell(self) -> str:
        return f".using({self.images.spell()}{'' if self.role is None else f', role={self.role!r}'})"
