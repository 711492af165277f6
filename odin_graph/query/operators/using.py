"""The operator of ``using``: the things whose data sets hold an image of another plan."""

from __future__ import annotations

import time
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.graph.kinds import kind_of
from odin_graph.graph.member_chunks import versions_with
from odin_graph.graph.writer import batches
from odin_graph.query.operators.operator import Operator
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.steps.using import Using
from odin_graph.schema.kinds import Kind, alive

_FEW: Final = 10_000
"""Images whose data sets are read from the graph; for more, the members of each data set are compared."""


class KeepUsing(Operator):
    """Keep the things that use any of the images."""

    engine = "graph"
    why = "the data sets that hold them, then what used those: a join of ids"

    def __init__(self, snapshot: Snapshot, below: Operator, step: Using, images: Operator) -> None:
        role = "" if step.role is None else f" as {step.role}"
        super().__init__(snapshot, f"using any of{role}")
        self.inputs = (below, images)
        self.step = step

    def run(self) -> pa.Table:
        """The things from below that use an image of the other operator."""
        table, images = (operator.run() for operator in self.inputs)
        start = time.perf_counter()
        keys_of_images = images.column("key").to_numpy()
        kind = kind_of(self.snapshot.at, self.snapshot.kind)
        users = (
            self._users(kind, self._holding(keys_of_images)) if kind.datasets else self._linked(kind, keys_of_images)
        )
        keys = [key for key, id_ in enumerate(self.snapshot.ids) if id_ in users]
        return self._keep(start, table.filter(pa.array(np.isin(table.column("key").to_numpy(), keys))))

    def _holding(self, keys: NDArray[np.int64]) -> set[str]:
        at = self.snapshot.at
        if len(keys) <= _FEW:
            return set(versions_with(self.snapshot.stores.graph.read, keys, alive("Dataset", "d")))
        datasets = at.read(f"MATCH (d:Dataset) WHERE {alive('Dataset', 'd')} RETURN d.id AS id")
        members = self.snapshot.stores.columns.members
        return {row["id"] for row in datasets if np.isin(members(row["id"], at).column("key").to_numpy(), keys).any()}

    def _linked(self, kind: Kind, keys: NDArray[np.int64]) -> set[str]:
        """The things with a link to one of the images."""
        found: set[str] = set()
        for link in kind.to_images:
            text = (
                f"UNWIND $keys AS key MATCH (:Image {{key: key}})<-[:{link.edge}]-(i:{kind.label}) "
                f"WHERE {kind.alive('i')} RETURN DISTINCT i.id AS id"
            )
            for part in batches(np.unique(keys).tolist()):
                found |= {row["id"] for row in self.snapshot.stores.graph.read(text, {"keys": part})}
        return found

    def _users(self, kind: Kind, datasets: set[str]) -> set[str]:
        role = " AND u.role = $role" if self.step.role is not None else ""
        params = {"datasets": sorted(datasets), **({"role": self.step.role} if role else {})}
        rows = self.snapshot.at.read(
            f"MATCH {kind.datasets} WHERE d.id IN $datasets{role} RETURN DISTINCT i.id AS id", params
        )
        return {row["id"] for row in rows}
