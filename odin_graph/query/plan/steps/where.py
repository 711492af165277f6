"""The step ``where``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.query.expressions.nodes import And, Node
from odin_graph.query.expressions.selectivity import Known, selectivity
from odin_graph.query.expressions.spelling import spell
from odin_graph.query.plan.base_step import RowStep

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.operators.operator import Apply
    from odin_graph.query.plan.cypher_text import CypherText

_FEW = 8
"""If fewer than one row in so many is left, the others are dropped before the next condition."""


@dataclass(frozen=True, slots=True)
class Where(RowStep):
    """Keep the images of which the predicate is true: not those of which it is false or null."""

    predicate: Node
    step: Literal["where"] = "where"

    on_groups: ClassVar[bool] = True
    why: ClassVar[str] = "metadata, labels and predictions are Arrow columns by key: a scan needs no round trip"

    @property
    def conditions(self) -> tuple[Node, ...]:
        """The conditions that all have to hold, in their order."""
        return self.predicate.operands if isinstance(self.predicate, And) else (self.predicate,)

    def bind(self, scope: Scope) -> Self:
        return type(self)(scope.predicate(self.predicate))

    def nodes(self) -> tuple[Node, ...]:
        return (self.predicate,)

    def estimate(self, rows: float, known: Known) -> float:
        return rows * selectivity(self.predicate, known)

    def spell(self) -> str:
        return f".where({spell(self.predicate)})"

    def cypher(self, to: CypherText) -> CypherText:
        to.keep(self.predicate)
        return to

    def does(self) -> str:
        return f"where {spell(self.predicate)}"

    def reason(self) -> str:
        first, *others = self.conditions
        return f"{self.why}; first {spell(first)}, which throws out most for its cost" if others else self.why

    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        kept: pa.Array | None = None
        for condition in self.conditions:
            found = over.values(condition, table).cast(pa.bool_())
            kept = found if kept is None else pc.and_kleene(kept, found)
            # A scan of whole columns is faster than a look-up of rows, until few of them are left.
            if (pc.sum(kept).as_py() or 0) * _FEW < table.num_rows:
                table, kept = table.filter(kept, null_selection_behavior="drop"), None
        return table if kept is None else table.filter(kept, null_selection_behavior="drop")
