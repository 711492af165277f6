"""kill -9 at random moments: nothing acknowledged is lost, nothing half-written is seen, the same call completes."""

from __future__ import annotations

import random
import secrets
from pathlib import Path

import numpy as np
import pytest

from odin_graph.address import Address
from odin_graph.arrays import SegmentedArray
from odin_graph.catalog.datasets.datasets import create_dataset
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.experiments.experiments import settle
from odin_graph.catalog.experiments.predictions import PredictionBuild, latest_ready
from odin_graph.catalog.purge.gc import collect_garbage
from odin_graph.catalog.records.segments import segments_of
from odin_graph.stores import Stores
from tests.crash.jobs import BATCHES, IMAGES, batch, confidence, ingest, predict, read_acknowledged, said
from tests.crash.killing import running, seeds, wait_for_a_moment


@pytest.fixture(params=seeds(20))
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random, and printed, so that a failure can be looked at again."""
    seed = secrets.randbits(32)
    print(f"run {request.param}, seed {seed}")
    return random.Random(seed)


@pytest.fixture
def acknowledged(tmp_path: Path) -> Path:
    return tmp_path / "acknowledged"


def assert_images_are_whole(stores: Stores, numbers: set[int]) -> None:
    """Of each batch that is named all images are there, with their pixels; of every other batch all or none."""
    rows = stores.graph.read("MATCH (i:Image) RETURN i.batch AS batch, count(i) AS n")
    assert {row["n"] for row in rows} <= {IMAGES}
    there = {row["batch"] for row in rows}
    assert numbers <= there
    for number in there:
        given = batch(number)
        keys = stores.graph.read(
            "UNWIND $ids AS id MATCH (i:Image {id: id}) RETURN i.key AS key", {"ids": list(given.ids)}
        )
        asked = np.array([row["key"] for row in keys])
        assert len(asked) == IMAGES
        for array in ("pixels", "originals"):
            held = SegmentedArray(stores.arrays, segments_of(stores, array)).read_list(asked)
            for image, row in zip(given.pixels, held, strict=True):
                assert row.tobytes() == image.tobytes()


def assert_sound(stores: Stores) -> None:
    report = examine(stores, deep=True)
    assert report.sound, str(report)


def test_killed_ingest(stores: Stores, address: Address, acknowledged: Path, chance: random.Random) -> None:
    with running("ingest", address, acknowledged) as process:
        wait_for_a_moment(process, acknowledged, chance, BATCHES + 2)
        process.kill()
    told = {int(word) for word in read_acknowledged(acknowledged) if word.isdigit()}
    assert_images_are_whole(stores, told)
    assert_sound(stores)

    ingest(stores, lambda _: None)
    assert_images_are_whole(stores, set(range(BATCHES)))
    assert_sound(stores)
    collect_garbage(stores, grace=0.0)
    assert_sound(stores)
    assert examine(stores).garbage == 0


def test_killed_prediction(stores: Stores, address: Address, acknowledged: Path, chance: random.Random) -> None:
    ingest(stores, lambda _: None)
    keys = np.array([row["key"] for row in stores.graph.read("MATCH (i:Image) RETURN i.key AS key ORDER BY i.id")])
    create_dataset(stores, "all", keys)
    with running("predict", address, acknowledged) as process:
        wait_for_a_moment(process, acknowledged, chance, len(keys) + 4)
        process.kill()
    told = read_acknowledged(acknowledged)
    seen = stores.graph.read("MATCH (p:Prediction)-[:PART_OF]->(s:PredictionSet {state: 'ready'}) RETURN count(p) AS n")
    held = latest_ready(stores, "crash", "all@1", None)
    assert seen == [{"n": 0 if held is None else len(keys)}], "a set is seen whole or not at all"
    assert held is not None or "done" not in told
    assert_sound(stores)
    if held is None and "projecting" in told:
        with PredictionBuild.begin(stores, "crash", "all@1") as build:
            assert len(build.missing()) == 0
    elif held is None and (flushed := [int(word) for word in told if word.isdigit()]):
        with PredictionBuild.begin(stores, "crash", "all@1") as build:
            assert not np.isin(flushed, build.missing()).any(), "what was flushed is not predicted again"
    settle(stores)
    states = {row["s"] for row in stores.graph.read("MATCH (e:Experiment) RETURN e.state AS s")}
    assert states <= {"interrupted", "finished"}

    predict(stores, lambda _: None)
    made = latest_ready(stores, "crash", "all@1", None)
    assert made is not None
    table = stores.columns.predictions(made)
    ordered = np.sort(keys)
    assert table.column("key").to_pylist() == ordered.tolist()
    assert table.column("predicted").to_pylist() == said(ordered)
    np.testing.assert_array_equal(table.column("confidence").to_numpy(), confidence(ordered))
    assert stores.graph.read("MATCH (p:Prediction) RETURN count(p) AS n") == [{"n": len(keys)}]
    assert stores.graph.read("MATCH (e:Experiment) RETURN e.state AS s") == [{"s": "finished"}]
    assert_sound(stores)
    collect_garbage(stores, grace=0.0)
    assert_sound(stores)
