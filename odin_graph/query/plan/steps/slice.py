"""The step ``query[10:20]``, which ``limit`` is, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Self

import numpy as np
import pyarrow as pa

from odin_graph.arguments import whole
from odin_graph.errors import QueryError
from odin_graph.query.expressions.selectivity import Known
from odin_graph.query.plan.base_step import RowStep

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.operators.operator import Apply
    from odin_graph.query.plan.cypher_text import CypherText

MOST_ROWS: Final = 2**31 - 1
"""No answer has more; and ArcadeDB silently cuts what follows SKIP and LIMIT to 32 bits."""


@dataclass(frozen=True, slots=True)
class Slice(RowStep):
    """A Python slice of the images; the stride is positive."""

    start: int | None = None
    stop: int | None = None
    stride: int = 1
    step: Literal["slice"] = "slice"

    on_groups: ClassVar[bool] = True
    why: ClassVar[str] = "positions in the order of the answer"

    def __post_init__(self) -> None:
        for name in ("start", "stop", "stride"):
            given = getattr(self, name)
            number = whole(given)
            if number is None and (given is not None or name == "stride"):
                raise QueryError(f"A slice of a query has whole numbers, as in query[10:20], not {given!r:.80}.")
            if number is not None:
                object.__setattr__(self, name, max(-MOST_ROWS, min(number, MOST_ROWS)))

    @classmethod
    def of(cls, item: object) -> Self:
        """The slice or position in the brackets of ``query[...]``.

        Raises:
            QueryError: It is neither.
        """
        if isinstance(item, slice):
            return cls(item.start, item.stop, 1 if item.step is None else item.step)
        position = whole(item)
        if position is None:
            raise QueryError(
                f"query[...] takes a position or a slice, as in query[0] and query[:10], not {item!r:.80}."
            )
        return cls(position, position + 1 or None)

    def bind(self, scope: Scope) -> Self:
        if self.stride < 1:
            raise QueryError(
                f"A slice of a query goes forward: its stride is at least 1, not {self.stride}. Order by .desc()."
            )
        return self

    def estimate(self, rows: float, known: Known) -> float:
        return float(len(self._of(round(rows))))

    def spell(self) -> str:
        start, stop = ("" if bound is None else str(bound) for bound in (self.start, self.stop))
        return f"[{start}:{stop}:{self.stride}]" if self.stride != 1 else f"[{start}:{stop}]"

    def cypher(self, to: CypherText) -> CypherText:
        to.cut(self.start, self.stop, self.stride)
        return to

    def does(self) -> str:
        return f"slice {self.spell()}"

    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        rows = self._of(table.num_rows)
        if rows.step == 1:
            return table.slice(rows.start, len(rows))
        return table.take(pa.array(np.arange(rows.start, rows.stop, rows.step)))

    def _of(self, rows: int) -> range:
        return range(*slice(self.start, self.stop, self.stride).indices(rows))
