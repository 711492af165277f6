"""Data set versions at size: a million members frozen, revised by 1 %, and compared; on both engines.

python -m benchmarks.versions [--quick] [--json FILE]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.graph import Writing, embedded, server
from benchmarks.report import Row, WrongAnswer, at_most, run, timed
from odin_graph.client import LocalSession
from odin_graph.graph import batches, create_nodes
from odin_graph.objects.things.dataset import Dataset, Datasets
from odin_graph.stores import Stores

_HOLDING = """
MATCH (i:Image {key: $key})
MATCH (c:MemberChunk {number: i.key / 256})-[:PART_OF]->(d:Dataset) WHERE i.key IN c.keys
RETURN d.id AS dataset ORDER BY dataset
"""


def measure(quick: bool) -> list[Row]:
    """Every figure of both engines."""
    number = 10_000 if quick else 1_000_000
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        with embedded(Path(folder)) as stores:
            rows += figures("ArcadeDB", stores, number)
        with server(Path(folder)) as (stores, _):
            rows += figures("Neo4j", stores, number)
    return rows


def figures(engine: str, stores: Stores, number: int) -> list[Row]:
    """Freeze with warm columns, revise by one part in a hundred, compare, and ask for the versions of an image."""
    change = number // 100
    images = Writing(stores)._rows(number + change)  # noqa: SLF001 - of the benchmarks
    for part in batches(images):
        stores.graph.execute(lambda tx, part=part: create_nodes(tx, ("Image",), part))
    keys = [row["key"] for row in images]
    stores.columns.images(["id", "digest", "label"])
    seconds: dict[str, list[float]] = {"create": [], "revise": [], "diff": [], "find": []}
    with timed(seconds["create"]):
        first = Datasets(LocalSession(stores)).add("bench", keys[:number])
    _check(stores, first, keys[:number])
    with timed(seconds["revise"]):
        second = first.revise(add=keys[number:], remove=keys[:change])
    _check(stores, second, keys[change:])
    with timed(seconds["diff"]):
        found = first.diff(second)
    if (len(found.added), len(found.removed), len(found.relabeled)) != (change, change, 0):
        raise WrongAnswer(str(found).splitlines()[0])
    for _ in range(20):
        with timed(seconds["find"]):
            found_in = [row["dataset"] for row in stores.graph.read(_HOLDING, {"key": keys[number // 2]})]
        if found_in != [first.id, second.id]:
            raise WrongAnswer(f"the image is in {found_in}")
    return [
        at_most(f"{engine}: a version of {number:,} is created", seconds["create"][0], "s", 20.0),
        at_most(f"{engine}: and revised by 1 %", seconds["revise"][0], "s", 4.0),
        Row(f"{engine}: the versions of an image, in Cypher", float(np.median(seconds["find"])) * 1e3, "ms"),
        Row(f"{engine}: the two compared", seconds["diff"][0], "s"),
    ]


def _check(stores: Stores, dataset: Dataset, keys: list[object]) -> None:
    (row,) = stores.graph.read(
        "MATCH (:Dataset {id: $id})<-[:PART_OF]-(c:MemberChunk) RETURN sum(size(c.keys)) AS n", {"id": dataset.id}
    )
    if row["n"] != len(keys) or dataset.keys().tolist() != keys:
        raise WrongAnswer(f"{dataset.id}: {row['n']} members instead of {len(keys)}")


if __name__ == "__main__":
    raise SystemExit(run("versions of data sets", measure))
