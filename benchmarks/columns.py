"""How long the columns of all images take to come out of the graph, on both engines, against plain reading over Bolt.

python -m benchmarks.columns [--quick] [--json FILE]

The peer is one session of the driver and one statement for 20,000 keys after the other, made into the same table. Ours
is what a new process has from the first question about all images: read, sorted, and saved for the next process.
CPU seconds, of the process and of the engine together, are what a busy machine changes least.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import pyarrow as pa
from pyarrow import feather

from benchmarks.graph import embedded, server, session
from benchmarks.report import Row, WrongAnswer, at_most, run
from odin_graph.address import Address
from odin_graph.columns import Columns
from odin_graph.columns.fields import OWN, column
from odin_graph.graph import Graph, batches
from odin_graph.graph.writer import create_columns
from odin_graph.schema.metadata import FieldType
from odin_graph.stores import Stores

MILLION = 1_000_000
SECONDS = 10.0
"""For a million images, on 2 idle cores."""
PEAK = 1024.0
"""MiB of this process at most, with its libraries and the table."""
RATIO = {"ArcadeDB": 0.25, "Neo4j": 1.1}
"""Of the seconds of the peer, at most. Neo4j has no other way than Bolt: there we are to cost nothing."""
ROWS = 20_000
FREE = {"age": FieldType.INT, "iop": FieldType.FLOAT, "eye": FieldType.STRING}
TYPES = {name: OWN[name] for name in ("key", "id", "label", "digest", "height")} | FREE


@dataclass(frozen=True)
class Side:
    """A filled workspace, its engine's process, and a folder for tables."""

    address: Address
    pid: int
    folder: Path

    def export(self, way: Callable[[Stores], pa.Table]) -> Export:
        """Export in a process of its own, whose memory is known."""
        with ProcessPoolExecutor(1, get_context("spawn")) as apart:
            return apart.submit(_export, way, self).result()


@dataclass(frozen=True)
class Export:
    """What one export took, in a process of its own."""

    seconds: float
    cpu: float
    """Of the process and of the engine."""
    peak: float
    """MiB of the process."""
    file: Path
    """Its table."""


def measure(quick: bool) -> list[Row]:
    """Both engines."""
    images, turns = 50_000 if quick else MILLION, 3
    os.environ.pop("JAVA_TOOL_OPTIONS", None)  # of the tests: without it a user's engine compiles what runs for long
    with tempfile.TemporaryDirectory() as folder:
        with embedded(Path(folder)) as stores:
            fill(stores.graph, images)
            rows = figures("ArcadeDB", Side(stores.address, stores.graph.endpoint.pid, Path(folder)), images, turns)
        with server(Path(folder)) as (stores, pid):
            fill(stores.graph, images)
            os.environ["ODIN_GRAPH_PASSWORD"] = stores.graph.endpoint.password  # which no address takes along
            rows += figures("Neo4j", Side(stores.address, pid, Path(folder)), images, turns)
    return rows


def figures(engine: str, side: Side, images: int, turns: int) -> list[Row]:
    """Ours and the peer in turns. The engine's compiler is warm after the first, which counts for neither."""
    taken = [(side.export(ours), side.export(peer)) for _ in range(1 + turns)][1:]
    mine, theirs = (feather.read_table(export.file) for export in taken[-1])
    if mine.num_rows != images or not mine.equals(theirs):
        raise WrongAnswer(f"{engine}: {mine.num_rows} rows of {images}, or other values than over Bolt")
    seconds, cpu, raw, raw_cpu = (
        median(values)
        for values in zip(
            *((mine.seconds, mine.cpu, theirs.seconds, theirs.cpu) for mine, theirs in taken), strict=True
        )
    )
    what = f"{engine}: {images:,} images x {len(TYPES)} fields"
    ratio = median(mine.seconds / theirs.seconds for mine, theirs in taken)
    timed = [
        at_most(what, seconds, "s", SECONDS),
        at_most(f"{what}, against plain Bolt", ratio, "x", RATIO[engine]),
        at_most(f"{what}, peak memory", max(mine.peak for mine, _ in taken), "MiB", PEAK),
    ]
    if images < MILLION:  # most of what few take is the beginning
        timed = [Row(row.name, row.value, row.unit) for row in timed]
    return [
        *timed,
        Row(f"{what}, CPU", cpu, "s"),
        Row(f"{what}, plain Bolt", raw, "s"),
        Row(f"{what}, plain Bolt, CPU", raw_cpu, "s"),
    ]


def fill(graph: Graph, images: int) -> None:
    """Image nodes with the properties that ingest gives them, and three of free metadata."""
    for name, field in FREE.items():
        graph.write(
            "CREATE (:Field {id: $id, kind: 'Image', name: $name, type: $type})",
            {"id": f"Image.{name}", "name": name, "type": str(field)},
        )
    draw = np.random.default_rng(0)
    made = {"height": 8, "width": 8, "bands": 1, "dtype": "uint8", "created_at": datetime.now(UTC).replace(tzinfo=None)}
    for keys in batches(graph.reserve_keys(images), ROWS):
        columns = {
            "id": [f"image/{key:07d}" for key in keys],
            "key": keys,
            "label": [f"class {key % 10}" for key in keys],
            "digest": [f"{key * 0x9E3779B97F4A7C15 % 2**256:064x}" for key in keys],
            "age": draw.integers(0, 90, len(keys)).tolist(),
            "iop": draw.normal(15, 3, len(keys)).tolist(),
            "eye": [None if key % 7 == 0 else "left" if key % 2 else "right" for key in keys],
        }
        graph.execute(lambda tx, columns=columns: create_columns(tx, ("Image",), columns, made))


def _export(way: Callable[[Stores], pa.Table], side: Side) -> Export:
    stores, engine = Stores.open(side.address), psutil.Process(side.pid)
    began, own, its = time.perf_counter(), time.process_time(), sum(engine.cpu_times()[:2])
    table = way(stores)
    seconds = time.perf_counter() - began
    cpu = time.process_time() - own + sum(engine.cpu_times()[:2]) - its
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    file = side.folder / f"{way.__name__}.arrow"
    feather.write_feather(table, file)
    stores.close()
    return Export(seconds, cpu, peak, file)


def ours(stores: Stores) -> pa.Table:
    """As a question about all images reads them, nothing cached."""
    with tempfile.TemporaryDirectory() as empty:
        return Columns(stores.graph, stores.arrays, Path(empty)).images([*TYPES])


def peer(stores: Stores) -> pa.Table:
    """By the driver alone."""
    values = ", ".join(f"n.{name}" for name in TYPES)
    statement = f"MATCH (n:Image) WHERE n.key >= $first AND n.key < $end RETURN collect([{values}])"
    parts = []
    with session(stores.graph) as raw:
        first, last = raw.run("MATCH (n:Image) RETURN min(n.key), max(n.key)").single(strict=True)
        for start in range(first, last + 1, ROWS):
            (rows,) = raw.run(statement, first=start, end=start + ROWS).single(strict=True)
            columns = zip(TYPES.items(), zip(*rows, strict=True), strict=True)
            parts.append(pa.table({name: column(read, field) for (name, field), read in columns}))
    return pa.concat_tables(parts).sort_by("key").combine_chunks()


if __name__ == "__main__":
    raise SystemExit(run("columns: all images out of the graph", measure))
