"""The step of ``cluster``, ``near_duplicates``, ``outliers`` and ``uniqueness``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa

from odin_graph.errors import QueryError
from odin_graph.query.expressions.nodes import Node
from odin_graph.query.plan.base_step import RowStep
from odin_graph.query.plan.columns import check_name
from odin_graph.query.plan.spaces import Space, metric_text, space_text, spell_space
from odin_graph.query.plan.vector_columns import VECTOR_COLUMNS, Settings
from odin_graph.vectors.graph import check_distance

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.operators.operator import Apply


@dataclass(frozen=True, slots=True)
class FromVectors(RowStep):
    """Add a column that is computed from the vectors of all images: clusters, near duplicates, outliers."""

    function: str
    """A registered one: ``clusters``."""
    by: Space
    name: str
    """The name of the column."""
    k: int | None = None
    within: float | None = None
    seed: int = 0
    metric: str = "cosine"
    step: Literal["from-vectors"] = "from-vectors"

    on_things: ClassVar[bool] = False
    engine: ClassVar[str] = "vectors"
    why: ClassVar[str] = (
        "the vectors of all images that came so far are compared; missing ones of a layer are computed first"
    )

    @property
    def settings(self) -> Settings:
        """The settings beside the vectors."""
        return Settings(self.k, self.within, self.seed, self.metric)

    @property
    def word(self) -> str:
        return "cluster, near_duplicates, outliers or uniqueness"

    @property
    def no_cypher(self) -> str:
        return f"{self.function} has no form in Cypher: it goes by vectors, which are not in the graph."

    def bind(self, scope: Scope) -> Self:
        VECTOR_COLUMNS.get(self.function).check(self.settings)
        check_distance(self.metric)
        check_name(self.name)
        if self.name in scope.added:
            raise QueryError(f"The result has a column {self.name!r} already: give the new one another with name=.")
        return replace(self, by=scope.space(self.by))

    def adds(self) -> tuple[tuple[str, Node | str], ...]:
        return ((self.name, VECTOR_COLUMNS.get(self.function).type),)

    def spell(self) -> str:
        settings = {"k": self.k, "within": self.within, "seed": self.seed or None}
        given = "".join(f", {name}={value}" for name, value in settings.items() if value is not None)
        return f".{self.function.replace('-', '_')}(by={space_text(self.by)}{given}{metric_text(self.metric)})"

    def does(self) -> str:
        return f"{self.name} = {self.function} by {spell_space(self.by)} ({self.metric})"

    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        column = VECTOR_COLUMNS.get(self.function)
        # By key: the values depend on which images there are, not on the order they came in.
        keys, place = np.unique(table.column("key").to_numpy(), return_inverse=True)
        type_ = pa.int64() if column.type == "int" else pa.float64()
        if not len(keys):
            return table.append_column(self.name, pa.array([], type_))
        vectors = over.vectors(self.by, keys)
        over.bytes += vectors.nbytes
        found = column(vectors, self.settings)[place]
        missing = found < 0 if column.type == "int" else np.isinf(found)
        return table.append_column(self.name, pa.array(found, type_, mask=missing))
