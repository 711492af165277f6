"""Answers plans at a server: the same seam as in this process, over HTTP."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from odin_graph.client.link import Link
from odin_graph.query.cypher.statement import Statement
from odin_graph.query.executor import BATCH, Wanted
from odin_graph.query.names.examples import File, Given, Stored
from odin_graph.query.plan import wire
from odin_graph.query.plan.json_values import from_json
from odin_graph.query.plan.plan import Plan, Step
from odin_graph.query.plan.spaces import Space
from odin_graph.query.plan.steps.nearest import Example
from odin_graph.query.planner.explain import Explanation


class RemoteExecutor:
    """Sends plans to a server. Every method raises what the server's own executor raises."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def bind(self, plan: Plan, step: Step) -> Step:
        """The step, its names looked up at the server."""
        return self.check(plan.then(step)).steps[-1]

    def check(self, plan: Plan) -> Plan:
        """The plan, every name of it looked up at the server."""
        return wire.from_json(self._link.post("/v1/query/check", {"query": wire.to_json(plan)})["query"])

    def examples(self, given: Sequence[Given], by: Space | None = None) -> tuple[Example, ...]:
        """The examples of a search; files and pixels are sent, and the server runs the layer's model on them."""
        if not given:
            return ()
        body = {"given": [_example_to_json(example) for example in given], "by": None if by is None else asdict(by)}
        found = self._link.post("/v1/query/examples", body)["examples"]
        return tuple(Example(row["image"], None if row["vector"] is None else tuple(row["vector"])) for row in found)

    def execute(self, plan: Plan) -> Iterator[pa.RecordBatch]:
        """The answer in order, in batches, as they come."""
        return self._link.batches("/v1/query", {"query": wire.to_json(plan), "columns": []})

    def columns(self, plan: Plan, wanted: Wanted, rows: int = BATCH) -> Iterator[pa.RecordBatch]:
        """The answer with these columns, in batches, as they come."""
        columns = [wire.column_to_json(column) for column in wanted] or None
        body = {"query": wire.to_json(plan), "columns": columns, "batch": min(rows, BATCH)}
        return self._link.batches("/v1/query", body)

    def count(self, plan: Plan) -> int:
        """How many rows the plan gives."""
        return int(self._link.post("/v1/query/count", {"query": wire.to_json(plan)})["count"])

    def explain(self, plan: Plan, *, run: bool = False) -> Explanation:
        """What runs at the server, and why."""
        response = self._link.post("/v1/query/explain", {"query": wire.to_json(plan), "run": run})
        return Explanation.from_json(response["parts"])

    def ran(self) -> bool:
        """Always false: only the server knows what has run, and whether its answer is still valid."""
        return False

    def cypher(self, plan: Plan) -> Statement:
        """The plan as one Cypher statement."""
        response = self._link.post("/v1/query/cypher", {"query": wire.to_json(plan)})
        return Statement(response["text"], from_json(response["parameters"]))


def _example_to_json(given: Given) -> dict[str, Any]:
    if isinstance(given, Stored):
        return {"id": given.id, "key": given.key}
    if isinstance(given, File):
        return {"file": base64.b64encode(given.data).decode(), "name": given.name}
    if isinstance(given, tuple):
        return {"vector": list(given)}
    out = io.BytesIO()
    np.save(out, given, allow_pickle=False)
    return {"pixels": base64.b64encode(out.getvalue()).decode()}
