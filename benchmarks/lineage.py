"""Lineage at size: 100,000 images in chains of depth 6, on both engines.

python -m benchmarks.lineage [--quick] [--json FILE]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.graph import embedded, server
from benchmarks.report import Row, WrongAnswer, at_most, run, timed
from odin_graph.analysis.impact import impact
from odin_graph.catalog.datasets.datasets import create_dataset
from odin_graph.catalog.experiments.experiments import Setup, end, start
from odin_graph.catalog.images.lineage import walk
from odin_graph.graph.writer import batches, create_edges, create_nodes
from odin_graph.stores import Stores

DEPTH = 6
ASKED = 100


def measure(quick: bool) -> list[Row]:
    """Every figure of both engines."""
    number = 10_000 if quick else 100_000
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        with embedded(Path(folder)) as stores:
            rows += figures("ArcadeDB", stores, number)
        with server(Path(folder)) as (stores, _):
            rows += figures("Neo4j", stores, number)
    return rows


def figures(engine: str, stores: Stores, number: int) -> list[Row]:
    """Chains are stored, a tenth of the images goes into a data set, and one experiment is trained on it."""
    keys = store(stores, number)
    dataset = create_dataset(stores, "tenth", keys[::10], label=None)
    lease = start(stores, Setup(datasets={"train": dataset}), "trained")
    end(stores, lease, "finished")
    one: list[float] = []
    chosen = np.random.default_rng(0).choice(number // (DEPTH + 1), ASKED, replace=False) * (DEPTH + 1)
    for first in chosen:
        with timed(one):
            found = walk(stores, [int(keys[first + DEPTH])], "ancestors")
        if found.column("key").to_pylist() != keys[first : first + DEPTH][::-1].tolist():
            raise WrongAnswer(f"ancestors of {keys[first + DEPTH]}: {found.column('key').to_pylist()}")
    many: list[float] = []
    for _ in range(5):
        with timed(many):
            said = impact(stores, keys[chosen].tolist())
        held = {int(key) for first in chosen for key in keys[first : first + DEPTH + 1]} & set(keys[::10].tolist())
        if said.counts["derived images"] != ASKED * DEPTH or said.datasets != {dataset: len(held)}:
            raise WrongAnswer(str(said))
        if said.experiments != {"trained": ("train",)}:
            raise WrongAnswer(str(said.experiments))
    return [
        at_most(f"{engine}: ancestors of one of {number:,}", float(np.median(one)) * 1e3, "ms", 50.0),
        at_most(f"{engine}: impact of {ASKED} of {number:,}", float(np.median(many)), "s", 1.0),
    ]


def store(stores: Stores, number: int) -> np.ndarray:
    """Chains of a root and six derivatives each."""
    reserved = stores.graph.reserve_keys(number)
    keys = np.arange(reserved.start, reserved.stop)
    nodes = [{"id": f"image/{key}", "key": int(key), "digest": f"{key:064x}", "height": 8, "width": 8} for key in keys]
    edges = [
        {"start": int(keys[n]), "end": int(keys[n - 1]), "op": "crop", "params": "{}"}
        for n in range(number)
        if n % (DEPTH + 1)
    ]
    for part in batches(nodes):
        stores.graph.execute(lambda tx, part=part: create_nodes(tx, ("Image",), part))
    for part in batches(edges):
        stores.graph.execute(
            lambda tx, part=part: create_edges(tx, "DERIVED_FROM", ("Image", "key"), ("Image", "key"), part)
        )
    return keys


if __name__ == "__main__":
    raise SystemExit(run("lineage: chains of depth 6", measure))
