"""Questions over 500,000 images and their predictions: columns beside the same Cypher, and beside DuckDB on Parquet.

python -m benchmarks.queries [--quick] [--json FILE]

On both engines, warm: a person at work asks one question after another. Every answer is compared with its peer's.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq

import odin_graph as og
from benchmarks.graph import embedded, server
from benchmarks.report import Row, WrongAnswer, at_most, run
from odin_graph import F
from odin_graph.catalog.datasets.datasets import create_dataset
from odin_graph.catalog.experiments import experiments
from odin_graph.catalog.experiments.experiments import Setup
from odin_graph.catalog.experiments.imports import import_predictions
from odin_graph.client import LocalSession
from odin_graph.graph.writer import batches, create_nodes
from odin_graph.objects.collections.images import Images
from odin_graph.objects.query.query import Query
from odin_graph.stores import Stores

FULL = 500_000
"""Images, at which the ratios are goals."""
CLASSES = 10
TURNS = 9
STEPS = 60
"""Columns that stand on each other."""
MANY = 1_000_000
"""Rows that are gone through."""
STREAM = """
import time
from pathlib import Path
import odin_graph as og
def held(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name))
with og.connect({folder!r}) as db:
    query = db.images()
    Path("/proc/self/clear_refs").write_text("5")
    before, began, rows = held("VmRSS"), time.perf_counter(), 0
    for batch in query.to_batches("id", "label", "age"):
        rows += batch.num_rows
    print(rows, held("VmHWM") - before, time.perf_counter() - began)
"""
FIRST = """
import time
began = time.perf_counter()
import odin_graph as og
with og.connect({folder!r}) as db:
    number = db.images("small").where(db.experiment("a").wrong).count()
    print(number, time.perf_counter() - began)
"""


def measure(quick: bool) -> list[Row]:
    """Every figure, on both engines."""
    number, small = (50_000, 20_000) if quick else (FULL, 70_000)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with embedded(folder) as stores:
            rows += figures("ArcadeDB", stores, number, small)
            rows += first_answer(stores)
            rows += streaming(stores, number, quick=quick)
        with server(folder) as (stores, _):
            rows += figures("Neo4j", stores, number, small)
    return rows


def figures(engine: str, stores: Stores, number: int, small: int) -> list[Row]:
    """All questions of one engine."""
    stores.keep()
    fill(stores, number, small)
    images, a, b = (
        Images(LocalSession(stores)),
        og.Experiment(LocalSession(stores), "a"),
        og.Experiment(LocalSession(stores), "b"),
    )
    every, some = images("every"), images("small")
    return [
        *per_class(engine, stores, every, a),
        *against_duckdb(engine, images()),
        small_answer(
            f"{engine}: A wrong, B right and a field, over {small:,} images",
            some.where(a.wrong & ~b.wrong, F("age") > 40),
            20.0,
        ),
        small_answer(
            f"{engine}: wrong per class over {small:,} images", some.group_by("label").agg(n=a.wrong.sum()), 10.0
        ),
        first_rows(f"{engine}: first rows of {number:,}", images().where(F("age") > 10)),
        *building(engine, some, a),
    ]


def fill(stores: Stores, number: int, small: int) -> None:
    """Images with three fields, two data sets, and predictions of two experiments, on the large set as nodes too."""
    draw = np.random.default_rng(0)
    keys, labels = more_images(stores, number)
    for name, type_ in (("label", "string"), ("age", "int"), ("site", "string")):
        stores.graph.write(
            "MERGE (f:Field {id: $id}) SET f.kind = 'Image', f.name = $name, f.type = $type",
            {"id": f"Image.{name}", "name": name, "type": type_},
        )
    large, tiny = create_dataset(stores, "every", keys), create_dataset(stores, "small", keys[:small])
    for name in ("a", "b"):
        lease = experiments.start(stores, Setup(), name)
        said = np.where(draw.random(number) < 0.8, labels, draw.integers(0, CLASSES, number))
        predicted = [f"c{label}" for label in said.tolist()]
        confidence = draw.random(number)
        import_predictions(
            stores, name, tiny, keys[:small], predicted[:small], confidence=confidence[:small], nodes=False
        )
        if name == "a":
            import_predictions(stores, name, large, keys, predicted, confidence=confidence)
        experiments.end(stores, lease, "finished")


def more_images(stores: Stores, number: int) -> tuple[Any, Any]:
    """Further images with three fields: their keys and labels."""
    draw = np.random.default_rng(0)
    reserved = stores.graph.reserve_keys(number) if number else range(0)
    keys = np.arange(reserved.start, reserved.stop)
    labels = draw.integers(0, CLASSES, number)
    ages, sites = draw.integers(0, 90, number), draw.integers(0, 12, number)
    columns = zip(keys.tolist(), labels.tolist(), ages.tolist(), sites.tolist(), strict=True)
    for part in batches(columns, 20_000):
        rows = [
            {
                "id": f"i/{key}",
                "key": key,
                "digest": f"{key:064x}",
                "label": f"c{label}",
                "age": age,
                "site": f"s{site}",
            }
            for key, label, age, site in part
        ]
        stores.graph.execute(lambda tx, rows=rows: create_nodes(tx, ("Image",), rows))
    return keys, labels


def per_class(engine: str, stores: Stores, every: Query, exp: og.Experiment) -> list[Row]:
    """Wrong per class over all predictions: from columns, and by the same Cypher in the graph."""
    asked = every.group_by("label").agg(n=og.count(), wrong=exp.wrong.sum())
    cypher = (
        "MATCH (:PredictionSet {state: 'ready', id: $id})<-[:PART_OF]-(p:Prediction)-[:OF]->(i:Image) "
        "RETURN i.label AS label, count(*) AS n, sum(CASE WHEN p.wrong THEN 1 ELSE 0 END) AS wrong ORDER BY label"
    )
    (held,) = stores.graph.read(
        "MATCH (s:PredictionSet {state: 'ready', nodes: true})-[:OF]->(:Dataset {id: 'every@1'}) RETURN s.id AS id"
    )
    ours = asked.to_arrow().to_pylist()
    theirs = [dict(row) for row in stores.graph.read(cypher, {"id": held["id"]})]
    if ours != theirs:
        raise WrongAnswer(f"{ours[:2]} from columns, {theirs[:2]} by Cypher")
    fast = seconds(lambda: asked.to_arrow())
    slow = seconds(lambda: stores.graph.read(cypher, {"id": held["id"]}), turns=3)
    title = f"{engine}: wrong per class over {len(every):,} predictions"
    return [
        Row(f"{title}, columns", 1000 * fast, "ms"),
        Row(f"{title}, Cypher", 1000 * slow, "ms"),
        # Of few predictions both are round trips: the goal is one of size.
        Row(f"{title}, columns faster by", slow / fast, "x", ">= 20", slow / fast >= 20)
        if len(every) >= FULL
        else Row(f"{title}, columns faster by", slow / fast, "x"),
    ]


def against_duckdb(engine: str, every: Query) -> list[Row]:
    """A condition on metadata, counted: ours, and DuckDB on a Parquet file of the same columns."""
    asked = (F("age") > 60) & (F("site") == "s3") & (F("label") != "c1")
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder, "images.parquet"))
        pq.write_table(every.to_arrow("id", "label", "age", "site"), file)
        base = duckdb.connect()
        base.execute("SET threads = 2")
        sql = "SELECT count(*) FROM read_parquet(?) WHERE age > 60 AND site = 's3' AND label <> 'c1'"
        theirs = seconds(lambda: base.execute(sql, [file]).fetchall())
        number = base.execute(sql, [file]).fetchall()[0][0]
    if every.where(asked).count() != number:
        raise WrongAnswer(f"{every.where(asked).count()} instead of {number}")
    ours = seconds(lambda: every.where(asked).count())
    title = f"{engine}: a condition on three fields of {len(every):,} images, counted"
    return [
        Row(title, 1000 * ours, "ms"),
        Row(f"{title} by DuckDB", 1000 * theirs, "ms"),
        at_most(f"{title}, against DuckDB", ours / theirs, "x", 3.0)
        if len(every) >= FULL
        else Row(f"{title}, against DuckDB", ours / theirs, "x"),
    ]


def small_answer(title: str, asked: Query | og.Groups, most: float) -> Row:
    """Milliseconds of an answer that is computed anew each time."""

    def ask() -> Any:
        fresh = type(asked)(asked.address, asked.plan)  # a query keeps its last answer
        return fresh.keys() if isinstance(fresh, Query) else fresh.to_arrow()

    return at_most(title, 1000 * seconds(ask), "ms", most)


def first_rows(title: str, asked: Query) -> Row:
    """Milliseconds to the first ten."""
    return at_most(title, 1000 * seconds(lambda: asked[:10].to_arrow("id", "age")), "ms", 50.0)


def building(engine: str, some: Query, exp: og.Experiment) -> list[Row]:
    """Milliseconds to write a query of three steps, and one of many that stand on each other, every name checked."""

    def build() -> Any:
        return some.where(exp.wrong, F("age") > 40).order_by(F("age").desc())[:10]

    def dependent() -> Query:
        query = some.with_columns(c0=F("age"))
        for number in range(1, STEPS):
            query = query.with_columns(**{f"c{number}": F(f"c{number - 1}") + 1})
        return query

    last = f"c{STEPS - 1}"
    (row,) = dependent()[:1].to_arrow("age", last).to_pylist()
    if row[last] != row["age"] + STEPS - 1:
        raise WrongAnswer(f"{row} of {STEPS} columns, each one more than the one before")
    return [
        at_most(f"{engine}: building a query of three steps", 1000 * seconds(build), "ms", 1.0),
        at_most(f"{engine}: building {STEPS} columns, each of the one before", 1000 * seconds(dependent), "ms", 50.0),
    ]


def first_answer(stores: Stores) -> list[Row]:
    """Seconds of a new process that attaches and asks one question."""
    program = FIRST.format(folder=str(stores.address.folder))
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return [Row("ArcadeDB: import, connect and first answer in a new process", float(ran.stdout.split()[1]), "s")]


def streaming(stores: Stores, held: int, *, quick: bool) -> list[Row]:
    """What a new process holds, beyond what it held once it had connected, while it goes through a million rows."""
    wanted = held if quick else MANY
    more_images(stores, wanted - held)
    program = STREAM.format(folder=str(stores.address.folder))
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    rows, peak, took = ran.stdout.split()
    if int(rows) != wanted:
        raise WrongAnswer(f"{rows} rows of {wanted}")
    title = f"ArcadeDB: going through {wanted:,} rows"
    return [at_most(f"{title}, held beyond the start", int(peak) / 2**10, "MiB", 300.0), Row(title, float(took), "s")]


def seconds(ask: Callable[[], Any], turns: int = TURNS) -> float:
    """The median of some turns after one that warms."""
    ask()
    found = []
    for _ in range(turns):
        began = time.perf_counter()
        ask()
        found.append(time.perf_counter() - began)
    return median(found)


if __name__ == "__main__":
    raise SystemExit(run("queries", measure))
