"""The operator of a step that a package adds."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.columns.fields import arrow_type
from odin_graph.errors import QueryError
from odin_graph.query.operators.operator import Operator, Over
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.plan import RegisteredStep
from odin_graph.query.plan.registered_step import applied
from odin_graph.schema.metadata import FieldType


class ApplyRegistered(Over):
    """Applies a package's step to the images."""

    engine = "plug-in"
    why = "a registered step says which images it leaves, and what it adds to them"

    def __init__(self, snapshot: Snapshot, below: Operator, step: RegisteredStep) -> None:
        super().__init__(snapshot, below, f"the step {step.name}")
        self.step = step

    def _apply(self, table: pa.Table) -> pa.Table:
        images = table
        for column in self.step.needs:
            images = images.append_column(column.name, self.values(column.value, table))
        types = {column.name: arrow_type(FieldType(column.type)) for column in self.step.output}
        result = applied(self.step, images, types)
        rows = pc.index_in(result.column("key"), table.column("key").combine_chunks())
        if rows.null_count:
            raise QueryError(
                f"The query step {self.step.name!r} gave an image that did not come in: it leaves images out."
            )
        kept = table.take(rows)
        for name in types:
            kept = kept.append_column(name, result.column(name))
        return kept
