"""The graph floor against the raw driver, on both engines: does the object model cost anything?

python -m benchmarks.graph [--quick] [--json FILE]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import neo4j
import numpy as np
import psutil

from benchmarks.report import Row, WrongAnswer, at_most, paired, run, timed
from odin_graph.address import Address
from odin_graph.catalog.datasets.datasets import create_dataset
from odin_graph.catalog.experiments.experiments import Setup, end, start
from odin_graph.catalog.experiments.predictions import PredictionBuild
from odin_graph.catalog.experiments.projection import to_graph
from odin_graph.catalog.experiments.scoring import Scoring
from odin_graph.graph import Graph, batches, create_nodes
from odin_graph.stores import Stores
from tests.engines.neo4j import Neo4jServer

RATIO = 1.2
CLASSES = [str(digit) for digit in range(10)]

OPEN = """
import sys, time
import odin_graph as og
og.connect  # its imports are the user's program's, not the engine's
began = time.perf_counter()
db = og.connect(sys.argv[1])
print(time.perf_counter() - began)
db.close()
"""


def measure(quick: bool) -> list[Row]:
    """Every figure of both engines."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        with embedded(Path(folder)) as stores:
            rows += figures("ArcadeDB", stores, quick)
            rows.append(Row("ArcadeDB: RSS of the engine", rss(stores.graph.endpoint.pid), "MiB"))
        rows += opening(Path(folder), quick)
        with server(Path(folder)) as (stores, pid):
            rows += figures("Neo4j", stores, quick)
            rows.append(Row("Neo4j: RSS of the server", rss(pid), "MiB"))
    rows.append(Row("RSS of this process", rss(psutil.Process().pid), "MiB"))
    return rows


def figures(engine: str, stores: Stores, quick: bool) -> list[Row]:
    """The same work through odin_graph and through the raw driver."""
    images, predictions, columns, times, warm = (
        (4_000, 4_000, 10_000, 5, 2) if quick else (100_000, 200_000, 140_000, 3, 1)
    )
    writing = Writing(stores)
    rows: list[Row] = []

    ours, raw, ratio = paired(lambda: writing.images(images), lambda: writing.raw_images(images), times, warm=warm)
    rows.append(Row(f"{engine}: {images:,} images, ours", ours, "s"))
    rows.append(at_most(f"{engine}: {images:,} images, against the raw driver ({raw:.1f} s)", ratio, "x", RATIO))

    judged = Judged(stores, max(columns, predictions) if not quick else columns)
    seconds = [judged.columns(columns) for _ in range(times)]
    rows.append(at_most(f"{engine}: {columns:,} predictions into columns", sorted(seconds)[times // 2], "s", 1.0))

    ours, raw, ratio = paired(
        lambda: judged.nodes(predictions), lambda: judged.raw_nodes(predictions), times, warm=warm
    )
    rows.append(Row(f"{engine}: {predictions:,} predictions as nodes, ours", ours, "s"))
    rows.append(
        at_most(
            f"{engine}: {predictions:,} predictions as nodes, against the raw driver ({raw:.1f} s)", ratio, "x", RATIO
        )
    )
    return rows + reading(engine, stores)


def reading(engine: str, stores: Stores) -> list[Row]:
    """Latencies and rates of reading; figures to watch, without a goal."""
    look_up: list[float] = []
    for key in range(1, 201):
        with timed(look_up):
            found = stores.graph.read("MATCH (i:Image {key: $key}) RETURN i.id AS id", {"key": key})
        if len(found) != 1:
            raise WrongAnswer(f"key {key}: {found}")
    token: list[float] = []
    for _ in range(50):
        with timed(token):
            stores.graph.change_token()
    scan: list[float] = []
    with timed(scan):
        table = stores.columns.images(["id", "label"])
    return [
        Row(f"{engine}: look-up by key", float(np.median(look_up)) * 1e3, "ms"),
        Row(f"{engine}: change token", float(np.median(token)) * 1e3, "ms"),
        Row(f"{engine}: metadata of all images into columns", table.num_rows / scan[0], "rows/s"),
    ]


class Writing:
    """Image nodes under keys that never come again."""

    def __init__(self, stores: Stores) -> None:
        self.stores = stores

    def _rows(self, n: int) -> list[dict[str, object]]:
        return [
            {
                "id": f"image/{key}",
                "key": key,
                "label": CLASSES[key % 10],
                "age": key % 90,
                "height": 28,
                "width": 28,
                "digest": f"{key:064x}",
            }
            for key in self.stores.graph.reserve_keys(n)
        ]

    def images(self, n: int) -> float:
        """Through our writer, a transaction a batch."""
        rows, seconds = self._rows(n), []
        with timed(seconds):
            for batch in batches(rows):
                self.stores.graph.execute(lambda tx, batch=batch: create_nodes(tx, ("Image",), batch))
        self._check(rows)
        return seconds[0]

    def raw_images(self, n: int) -> float:
        """Through the driver alone, the same statement."""
        rows, seconds = self._rows(n), []
        names = ", ".join(f"{name}: r.{name}" for name in rows[0])
        with session(self.stores.graph) as raw, timed(seconds):
            for batch in batches(rows):
                raw.execute_write(
                    lambda tx, batch=batch: tx.run(
                        f"UNWIND $rows AS r CREATE (:Image {{{names}}})", rows=batch
                    ).consume()
                )
        self._check(rows)
        return seconds[0]

    def _check(self, rows: list[dict[str, object]]) -> None:
        found = self.stores.graph.read(
            "MATCH (i:Image) WHERE i.key >= $first AND i.key <= $last RETURN count(i) AS n",
            {"first": rows[0]["key"], "last": rows[-1]["key"]},
        )
        if found[0]["n"] != len(rows):
            raise WrongAnswer(f"{found[0]['n']} nodes instead of {len(rows)}")


class Judged:
    """Predictions of an experiment over a data set of n images."""

    def __init__(self, stores: Stores, n: int) -> None:
        self.stores = stores
        rows = Writing(stores)._rows(n)  # noqa: SLF001 - of this file
        for batch in batches(rows):
            stores.graph.execute(lambda tx, batch=batch: create_nodes(tx, ("Image",), batch))
        self.keys = np.array([row["key"] for row in rows], np.int64)
        draw = np.random.default_rng(0)
        logits = draw.random((n, len(CLASSES))).astype(np.float32)
        self.probabilities = logits / logits.sum(axis=1, keepdims=True)
        self.predicted = np.array(CLASSES)[self.probabilities.argmax(axis=1)]
        self.sets = 0
        self._datasets: dict[int, str] = {}

    def _dataset(self, n: int) -> str:
        if n not in self._datasets:
            self._datasets[n] = create_dataset(self.stores, f"bench-{n}", self.keys[:n], label="label")
        return self._datasets[n]

    def columns(self, n: int) -> float:
        """Columns alone: acknowledged when this returns."""
        dataset = self._dataset(n)
        self.sets += 1
        seconds: list[float] = []
        lease = start(self.stores, Setup(datasets={"test": dataset}), f"bench/{n}/{self.sets}")
        scoring = Scoring.of(self.stores, lease.id, dataset, classes=CLASSES)
        with PredictionBuild.begin(self.stores, lease.id, dataset, scoring=scoring) as build, timed(seconds):
            build.append(self.keys[:n], self.predicted[:n], self.probabilities[:n].max(axis=1), self.probabilities[:n])
            set_id = build.finish(nodes=False)
        end(self.stores, lease, "finished")
        held = self.stores.columns.predictions(set_id)
        if held.num_rows != n or held.column("predicted").to_pylist()[:100] != self.predicted[:100].tolist():
            raise WrongAnswer("the columns hold something else than was written")
        self.last = set_id
        return seconds[0]

    def nodes(self, n: int) -> float:
        """The projection of a set's columns into the graph."""
        self.columns(n)
        seconds: list[float] = []
        with timed(seconds):
            to_graph(self.stores, self.last)
        self._check(self.last, n)
        return seconds[0]

    def raw_nodes(self, n: int) -> float:
        """The same nodes and edges by the driver alone."""
        self.sets += 1
        parent, seconds = f"raw/{self.sets}", []
        values = zip(
            self.keys[:n].tolist(),
            self.predicted[:n].tolist(),
            self.probabilities[:n].max(axis=1).tolist(),
            strict=True,
        )
        rows = [
            {"id": f"{parent}:{key}", "key": key, "predicted": said, "confidence": sure, "wrong": False}
            for key, said, sure in values
        ]
        statement = (
            "MATCH (s:PredictionSet {id: $parent}) UNWIND $rows AS r MATCH (i:Image {key: r.key}) "
            "CREATE (s)<-[:PART_OF]-(:Prediction {id: r.id, predicted: r.predicted, confidence: r.confidence, "
            "wrong: r.wrong})-[:OF]->(i)"
        )
        with session(self.stores.graph) as raw, timed(seconds):
            raw.run("CREATE (:PredictionSet {id: $id})", id=parent).consume()
            for batch in batches(rows):
                raw.execute_write(lambda tx, batch=batch: tx.run(statement, parent=parent, rows=batch).consume())
        self._check(parent, n)
        return seconds[0]

    def _check(self, parent: str, n: int) -> None:
        found = self.stores.graph.read(
            "MATCH (:PredictionSet {id: $id})<-[:PART_OF]-(p)-[:OF]->(:Image) RETURN count(p) AS n", {"id": parent}
        )
        if found[0]["n"] != n:
            raise WrongAnswer(f"{found[0]['n']} predictions instead of {n}")


def opening(folder: Path, quick: bool) -> list[Row]:
    """First open and attach, each in a process of its own."""
    first, attached = [], []
    for turn in range(1 if quick else 3):
        workspace = folder / f"open-{turn}.odin"
        first.append(_opened(workspace))
        attached.append(_opened(workspace))  # the engine waits some seconds for the next user
        engine = psutil.Process(json.loads((workspace / "engine" / "endpoint.json").read_text())["pid"])
        engine.wait(60)
    return [
        at_most("ArcadeDB: first open", sorted(first)[len(first) // 2], "s", 4.0),
        at_most("ArcadeDB: attach", sorted(attached)[len(attached) // 2], "s", 0.5),
    ]


def _opened(workspace: Path) -> float:
    answer = subprocess.run([sys.executable, "-c", OPEN, str(workspace)], capture_output=True, text=True, check=True)
    return float(answer.stdout)


@contextmanager
def embedded(folder: Path) -> Iterator[Stores]:
    """An empty embedded workspace."""
    stores = Stores.open(Address.of(folder / "bench.odin"))
    stores.keep()  # what a data set copies of its session would open the workspace once more
    yield stores
    engine = psutil.Process(stores.graph.endpoint.pid)
    stores.close()
    engine.wait(60)  # it stops by itself; its folder is removed after that


@contextmanager
def server(folder: Path) -> Iterator[tuple[Stores, int]]:
    """An empty workspace on a Neo4j server, and the server's pid."""
    held = Neo4jServer()
    try:
        reach = held.endpoint
        stores = Stores.open(
            Address.of(None, graph=reach.address, arrays=folder / "arrays", user=reach.user, password=reach.password)
        )
        yield stores, held.pid
        stores.close()
    finally:
        held.stop()


@contextmanager
def session(graph: Graph) -> Iterator[neo4j.Session]:
    """A session of a driver of its own, set up as a user would."""
    reach = graph.endpoint
    with (
        neo4j.GraphDatabase.driver(reach.address, auth=(reach.user, reach.password)) as driver,
        driver.session(database=reach.database) as raw,
    ):
        yield raw


def rss(pid: int) -> float:
    """Resident memory in MiB."""
    return float(psutil.Process(pid).memory_info().rss) / 2**20


if __name__ == "__main__":
    raise SystemExit(run("graph: odin_graph against the raw driver", measure))
