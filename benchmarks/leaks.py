"""Leaks at size: 1M against 1M images by lineage, digest and field on warm columns, and near duplicates of embeddings.

python -m benchmarks.leaks [--quick] [--json FILE]

The near duplicates are judged against NumPy's full product in the same run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.graph import embedded
from benchmarks.report import Row, WrongAnswer, at_most, run, timed
from odin_graph import F
from odin_graph.analysis.leaks import leaks
from odin_graph.analysis.near import near
from odin_graph.catalog.datasets.datasets import members_array
from odin_graph.catalog.records.segments import name_segments
from odin_graph.graph.writer import batches, create_edges, create_nodes
from odin_graph.stores import Stores

WITHIN = 0.02


def measure(quick: bool) -> list[Row]:
    """Every figure."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder)) as stores:
        rows += by_columns(stores, 10_000 if quick else 1_000_000)
    return rows + by_embedding(*((6_000, 1_000) if quick else (60_000, 10_000)))


def by_columns(stores: Stores, number: int) -> list[Row]:
    """Each side so many images; one in a thousand of the test side leaks in each way."""
    keys = store(stores, number)
    every = number // 1000
    cold: list[float] = []
    with timed(cold):
        stores.columns.images(["id", "digest", "patientID"])
        stores.columns.roots()
    warm: list[float] = []
    with timed(warm):
        report = leaks(stores, "train@1", "test@1", ["lineage", "digest", F("patientID")])
    said = {name: held["test images"] for name, held in report.counts.items()}
    if said != {"lineage": every, "digest": every, "patientID": every}:
        raise WrongAnswer(f"{said} instead of {every} each, of {len(keys):,} images")
    return [
        at_most(f"{number:,} against {number:,} by lineage, digest and field, warm", warm[0], "s", 30.0),
        Row(f"columns of {2 * number:,} images, cold", cold[0], "s"),
    ]


def store(stores: Stores, number: int) -> np.ndarray:
    """Both data sets, as their frozen tables alone: their edges play no part here."""
    import pyarrow as pa

    reserved = stores.graph.reserve_keys(2 * number)
    keys = np.arange(reserved.start, reserved.stop)
    train, test = keys[:number], keys[number:]
    leaking = dict(zip(test[::1000].tolist(), train[::1000].tolist(), strict=True))
    for part in batches(keys.tolist(), 20_000):
        rows = [
            {
                "id": f"i/{key}",
                "key": key,
                "digest": f"{leaking.get(key, key):064x}",
                "patientID": leaking.get(key, key),
            }
            for key in part
        ]
        stores.graph.execute(lambda tx, rows=rows: create_nodes(tx, ("Image",), rows))
    edges = [{"start": child, "end": root} for child, root in leaking.items()]
    for part in batches(edges):
        stores.graph.execute(
            lambda tx, part=part: create_edges(tx, "HAS_ROOT", ("Image", "key"), ("Image", "key"), part)
        )
    stores.graph.write("CREATE (:Field {id: 'Image.patientID', kind: 'Image', name: 'patientID', type: 'int'})")
    for name, members in (("train", train), ("test", test)):
        table = pa.table({"key": members, "label": pa.nulls(number)})
        segment = stores.arrays.write_table(members_array(f"{name}@1"), table)
        stores.graph.execute(lambda tx, segment=segment: name_segments(tx, [segment]))
        stores.graph.write(
            "CREATE (:Dataset {id: $id, base: $base, version: 1, state: 'ready', size: $size})",
            {"id": f"{name}@1", "base": name, "size": number},
        )
    return keys


def by_embedding(train: int, test: int) -> list[Row]:
    """512 dimensions in clusters, some of the test vectors beside a training vector."""
    draw = np.random.default_rng(0)
    centers = draw.normal(size=(200, 512)).astype(np.float32)
    sides = []
    for number in (train, test):
        held = centers[draw.integers(0, 200, number)] + draw.normal(size=(number, 512)).astype(np.float32)
        sides.append((held / np.linalg.norm(held, axis=1, keepdims=True)).astype(np.float32))
    beside = sides[0][: test // 10] + draw.normal(scale=0.003, size=(test // 10, 512)).astype(np.float32)
    sides[1][: test // 10] = beside / np.linalg.norm(beside, axis=1, keepdims=True)
    ours: list[float] = []
    with timed(ours):
        found = near(sides[0], sides[1], at_least=1 - WITHIN)
    full: list[float] = []
    with timed(full):
        product = sides[1] @ sides[0].T
        rows, columns = np.nonzero(product >= 1 - WITHIN)
    pairs = set(zip(found.train.tolist(), found.test.tolist(), strict=True))
    expected = set(zip(columns.tolist(), rows.tolist(), strict=True))
    edge = {pair for pair in pairs ^ expected if abs(float(product[pair[1], pair[0]]) - (1 - WITHIN)) > 1e-5}
    if edge or len(pairs) < test // 10:
        raise WrongAnswer(f"{len(pairs)} pairs, NumPy's full product has {len(expected)}")
    name = f"near duplicates of {train:,} x {test:,}, 512 dimensions"
    return [at_most(name, ours[0], "s", 15.0), Row(f"NumPy's full product, {len(expected):,} pairs", full[0], "s")]


if __name__ == "__main__":
    raise SystemExit(run("leaks", measure))
