"""Recorded types under concurrency: two writers of a new name agree, or one is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from odin_graph.errors import MetadataError
from odin_graph.graph import Graph
from odin_graph.schema.metadata import FieldType, record_types


def test_writers_of_a_new_name_agree_on_one_type(graph: Graph) -> None:
    types = [FieldType.INT, FieldType.FLOAT] * 4

    def write(held: FieldType) -> None:
        graph.execute(lambda tx: record_types(tx.run, "Image", {"age": held}))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, types))
    assert graph.read("MATCH (f:Field) RETURN f.id AS id, f.type AS type") == [{"id": "Image.age", "type": "float"}]


def test_of_two_types_that_clash_one_is_recorded(graph: Graph) -> None:
    def write(held: FieldType) -> bool:
        try:
            graph.execute(lambda tx: record_types(tx.run, "Image", {"age": held}))
        except MetadataError:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(write, [FieldType.STRING, FieldType.BOOL] * 2))
    (row,) = graph.read("MATCH (f:Field) RETURN f.type AS type")
    assert won == [row["type"] == held for held in ("string", "bool") * 2]
