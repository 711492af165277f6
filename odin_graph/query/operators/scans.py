"""The operators that are sources of images."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.query.expressions.spelling import first_line
from odin_graph.query.names.sources import find
from odin_graph.query.operators.operator import Scan
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.plan import Cypher, Registered


class ScanImages(Scan):
    """All images."""

    engine = "columns"
    why = "keys are kept as a column beside the graph, current by its change token"

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot, "all images")
        self.expected = float(snapshot.total())

    def _scan(self) -> pa.Table:
        return _of_keys(self.snapshot.live)


class ScanMembers(Scan):
    """The members of a data set version."""

    engine = "arrays"
    why = "a frozen version keeps its keys and labels as arrays, in its order"

    def __init__(self, snapshot: Snapshot, dataset: str) -> None:
        super().__init__(snapshot, f"members of {dataset}")
        self.dataset = dataset
        self.expected = float(snapshot.size_of(dataset))

    def _scan(self) -> pa.Table:
        return _of_keys(self.snapshot.members(self.dataset))


class ScanKeys(Scan):
    """Images that were named one by one."""

    engine = "columns"
    why = "the keys are in the query"

    def __init__(self, snapshot: Snapshot, keys: tuple[int, ...]) -> None:
        super().__init__(snapshot, f"{len(keys):,} named images")
        self.keys = np.array(keys, np.int64)
        self.expected = float(len(keys))

    def _scan(self) -> pa.Table:
        return _of_keys(self.keys[self.snapshot.alive(self.keys)])


class ScanCypher(Scan):
    """The images that a user's statement returns."""

    engine = "graph"
    why = "the statement is the user's own; it runs read-only, its values as parameters"

    def __init__(self, snapshot: Snapshot, cypher: Cypher) -> None:
        super().__init__(snapshot, f"cypher {first_line(cypher.text)}")
        self.cypher = cypher

    def _scan(self) -> pa.Table:
        keys = self.snapshot.cypher_keys(self.cypher)
        return _of_keys(keys[self.snapshot.alive(keys)])


class ScanRegistered(Scan):
    """The images that a package's source finds."""

    engine = "plug-in"
    why = "a registered source says which images they are, by Cypher or as a table"

    def __init__(self, snapshot: Snapshot, source: Registered) -> None:
        super().__init__(snapshot, f"the source {source.name}")
        self.source = source

    def _scan(self) -> pa.Table:
        keys = find(self.snapshot.stores, self.source, self.snapshot.at)
        return _of_keys(keys[self.snapshot.alive(keys)])


class ScanThings(Scan):
    """The things of a kind that are no images."""

    engine = "graph"
    why = "they are few: the fields that are asked for are read in one statement"

    def __init__(self, snapshot: Snapshot, kind: str) -> None:
        super().__init__(snapshot, f"every {kind}")
        self.expected = float(len(snapshot.live))

    def _scan(self) -> pa.Table:
        return _of_keys(self.snapshot.live)


class Given(Scan):
    """An answer that was computed before."""

    engine = "columns"
    why = "it was computed before"

    def __init__(self, snapshot: Snapshot, answer: pa.Table) -> None:
        super().__init__(snapshot, "the answer")
        self.answer = answer

    def _scan(self) -> pa.Table:
        return self.answer


def _of_keys(keys: NDArray[np.int64]) -> pa.Table:
    return pa.table({"key": pa.array(keys, pa.int64())})
