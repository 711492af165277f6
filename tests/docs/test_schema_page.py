"""docs/schema.md: its table is the registry's, its tasks are those registered, and its example runs."""

from __future__ import annotations

import re
import types
from dataclasses import fields
from pathlib import Path

from odin_graph import schema
from odin_graph.graph import Graph, lend_to_neomodel
from odin_graph.schema.tasks import TASKS

PAGE = (Path(__file__).parents[2] / "docs" / "schema.md").read_text(encoding="utf-8")


def test_the_edge_table_is_the_registrys() -> None:
    """When this fails, put ``odin_graph.schema.table()`` into the page."""
    assert schema.table() in PAGE


def test_the_task_table_lists_the_tasks_with_their_parameters() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \|.*\|([^|]*)\|$", PAGE, re.M))
    said = {name: set(re.findall(r"`(\w+)`", parameters)) for name, parameters in rows.items()}
    assert said == {name: {field.name for field in fields(TASKS.get(name))} for name in TASKS}  # type: ignore[arg-type]


def test_the_example_runs(graph: Graph) -> None:
    lend_to_neomodel(graph)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    page = types.ModuleType("page")
    exec(compile(code, "docs/schema.md", "exec"), vars(page))
    rows = graph.read(
        "MATCH (p:Patient)-[:HAS_SCAN]->(s:Scan) RETURN p.name AS name, s.patientID AS patient, labels(s) AS l"
    )
    assert [(row["name"], row["patient"], sorted(row["l"])) for row in rows] == [("Ann", "Ann", ["Image", "Scan"])]
