"""Garbage: what no node names, once it is old enough; what somebody may go on with is spared."""

from __future__ import annotations

import os

import numpy as np
import pytest

from odin_graph.catalog.datasets.datasets import create_dataset, resolve
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.experiments.experiments import Setup, end, start
from odin_graph.catalog.experiments.imports import import_predictions
from odin_graph.catalog.experiments.predictions import PredictionBuild
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.images.pixels import compact_pixels
from odin_graph.catalog.purge.gc import collect_garbage
from odin_graph.catalog.records import leases
from odin_graph.errors import UnknownNameError
from odin_graph.stores import Stores
from tests.catalog.test_images import batch

DAY = 86_400.0


@pytest.fixture
def keys(stores: Stores) -> np.ndarray:
    keys = add_images(stores, batch(6, labels=["cat", "dog"] * 3)).keys
    create_dataset(stores, "pets", keys)
    end(stores, start(stores, Setup(), "vgg/1"), "finished")
    return keys


def unfinished(stores: Stores, keys: np.ndarray) -> str:
    with PredictionBuild.begin(stores, "vgg/1", "pets@1") as build:
        build.append(keys, ["cat"] * 6)
        build.flush()
    stores.graph.write(
        "MATCH (s:PredictionSet), (i:Image) "
        "CREATE (s)<-[:PART_OF]-(:Prediction {id: s.id + ':' + toString(i.key)})-[:OF]->(i)"
    )
    return build.id


def test_what_is_named_stays(stores: Stores, keys: np.ndarray) -> None:
    import_predictions(stores, "vgg/1", "pets@1", None, ["cat"] * 6)
    before = {file.uri for file in stores.arrays.files()}
    assert collect_garbage(stores, grace=0.0, abandoned_after=0.0).files == ()
    assert {file.uri for file in stores.arrays.files()} == before
    assert examine(stores, deep=True).sound


def test_what_nothing_names_goes_when_it_is_old_enough(stores: Stores, keys: np.ndarray) -> None:
    lost = stores.arrays.write_dense("pixels", np.array([901, 902]), np.zeros((2, 3, 3, 1), np.uint8))
    assert collect_garbage(stores).files == (), "a writer may be about to name it"
    would = collect_garbage(stores, dry_run=True, grace=0.0)
    assert {file.uri for file in would.files} == {lost.uri, f"keys/{lost.keys}.npy"}
    assert would.bytes > 0
    assert str(would).startswith("Would remove 2 files")
    done = collect_garbage(stores, grace=0.0)
    assert {file.uri for file in done.files} == {file.uri for file in would.files}
    assert not {file.uri for file in stores.arrays.files()} & {file.uri for file in done.files}
    assert examine(stores, deep=True).sound


def test_a_key_vector_that_is_used_again_is_young_again(stores: Stores, keys: np.ndarray) -> None:
    lost = stores.arrays.write_dense("pixels", np.array([901]), np.zeros((1, 3, 3, 1), np.uint8))
    vector = f"keys/{lost.keys}.npy"
    assert stores.arrays.raw.local is not None
    path = stores.arrays.raw.local / vector
    os.utime(path, (1.0, 1.0))
    again = stores.arrays.write_dense("other", np.array([901]), np.zeros((1, 2), np.uint8))
    assert again.keys == lost.keys
    assert vector not in {file.uri for file in collect_garbage(stores, grace=60.0).files}
    assert path.exists()


def test_segments_that_compaction_replaced_go(stores: Stores, keys: np.ndarray) -> None:
    add_images(stores, batch(20, prefix="b", seed=1))
    add_images(stores, batch(20, prefix="c", seed=2))
    assert compact_pixels(stores) > 0
    assert collect_garbage(stores, grace=0.0).files
    assert examine(stores, deep=True).sound


def test_abandoned_builds_go_after_seven_days(stores: Stores, keys: np.ndarray) -> None:
    set_id = unfinished(stores, keys)
    done = collect_garbage(stores, grace=0.0)
    assert (done.parents, done.spared) == ((), (set_id,))
    stores.graph.write("MATCH (s:PredictionSet) SET s.created_at = s.created_at - duration({days: 8})")
    done = collect_garbage(stores, grace=0.0)
    assert (done.parents, done.spared) == ((set_id,), ())
    assert len(done.files) == 1, "its table; the key vector is that of the data set's images"
    for label in ("PredictionSet", "Prediction"):
        assert stores.graph.read(f"MATCH (n:{label}) RETURN n.id AS id") == []
    assert stores.graph.read("MATCH (s:Segment) WHERE s.array STARTS WITH 'PredictionSet' RETURN s.id AS id") == []
    assert examine(stores).sound


def test_what_a_live_process_builds_is_spared(stores: Stores, keys: np.ndarray) -> None:
    set_id = unfinished(stores, keys)
    stores.graph.write("MATCH (s:PredictionSet) SET s.created_at = s.created_at - duration({days: 8})")
    with leases.acquire(stores.graph, "PredictionSet", set_id):
        done = collect_garbage(stores, grace=0.0, abandoned_after=0.0)
    assert (done.parents, done.spared, done.files) == ((), (set_id,), ())


def test_an_abandoned_data_set_goes_with_its_edges(stores: Stores, keys: np.ndarray) -> None:
    create_dataset(stores, "pets", keys[:3], revise=True)
    stores.graph.write(
        "MATCH (d:Dataset {id: 'pets@2'}) SET d.state = 'building', d.created_at = d.created_at - duration({days: 8})"
    )
    assert collect_garbage(stores, grace=0.0).parents == ("pets@2",)
    assert stores.graph.read("MATCH (d:Dataset) RETURN d.id AS id") == [{"id": "pets@1"}]
    assert stores.graph.read("MATCH (i:Image) RETURN count(i) AS n") == [{"n": 6}]
    with pytest.raises(UnknownNameError):
        resolve(stores, "pets@2")
    assert examine(stores).sound
