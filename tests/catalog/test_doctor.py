"""The doctor: clean when all is well, and each kind of damage named with its remedy."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import odin_graph as og
from odin_graph.catalog.activations.vector_sets import add_vectors, delete_vectors
from odin_graph.catalog.datasets.datasets import create_dataset
from odin_graph.catalog.doctor.checks.counters import MANY, ONE
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.experiments.experiments import Setup, end, start
from odin_graph.catalog.experiments.imports import import_predictions
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.purge.gc import collect_garbage
from odin_graph.catalog.records.segments import segments_of
from odin_graph.catalog.records.views import delete_view, save_view
from odin_graph.graph import install
from odin_graph.stores import Stores
from tests.catalog.test_images import batch
from tests.kept import kept

SET = "vgg/1/predictions/1"
PIXELS = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)


@kept
def keys(stores: Stores) -> np.ndarray:
    """A workspace with one of everything."""
    keys = add_images(stores, batch(20, labels=["cat", "dog"] * 10, metadata={"age": list(range(20))})).keys
    create_dataset(stores, "pets", keys)
    end(stores, start(stores, Setup(datasets={"train": "pets@1"}), "vgg/1"), "finished")
    rows = np.tile(np.array([[0.75, 0.25]], np.float32), (20, 1))
    import_predictions(stores, "vgg/1", "pets@1", None, ["cat"] * 20, probabilities=rows, classes=["cat", "dog"])
    return keys


def file_of(stores: Stores, array: str) -> Path:
    (segment,) = segments_of(stores, array)
    return Path(stores.arrays.root) / segment.uri


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_a_sound_workspace_is_called_sound(stores: Stores, keys: np.ndarray) -> None:
    report = examine(stores, deep=True)
    assert report.faults == ()
    assert report.sound
    assert report.checked["Image nodes"] == 20
    assert report.checked["Prediction nodes"] == 20
    assert (report.unfinished, report.garbage) == ((), 0)
    assert "sound (20 Image nodes" in str(report)


def test_ids_with_a_number_sign_have_lost_no_parent(db: og.Workspace, tmp_path: Path) -> None:
    """PARENT#name is what derived images are called, and files may be called so too."""
    (folder := tmp_path / "scans").mkdir()
    for name in ("scan#1.png", "scan.png"):
        Image.fromarray(np.full((4, 4), len(name), np.uint8)).save(folder / name)
    db.images.add(folder, progress=False)
    pixels = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
    db.images.add(images=pixels, ids=["mine#1", "mine", "mine#2/3"], progress=False)
    crop, other = (db.images(["mine#1"]).center_crop(size).store(f"crop{size}")[0] for size in (2, 3))
    db.images.revise(["mine#1"], [pixels[2]])
    db.images.revise([other.id], [pixels[0, :2, :2]])
    assert db.doctor().sound
    db.cypher("MATCH (i:Image {id: $id})-[e]->() DELETE e", write=True, id=crop.id)
    (fault,) = db.doctor().faults
    assert "1 have lost the edge DERIVED_FROM to what they were made of, first 'mine#1#crop2'" in str(fault)


def test_an_empty_workspace_is_sound(stores: Stores) -> None:
    assert examine(stores, deep=True).sound


GRAPH = {
    "an image node removed": (
        "MATCH (i:Image {id: 'i3'}) DETACH DELETE i",
        {"pixels", "data set 'pets@1'", f"prediction set '{SET}'"},
    ),
    "an image added past us": (
        "CREATE (:Image {id: 'x', key: 99999, digest: 'ab'})",
        {"Image nodes", "counter 'image'", "pixels"},
    ),
    "a chunk of a data set removed": (
        "MATCH (c:MemberChunk) WITH c LIMIT 1 DETACH DELETE c",
        {"data set 'pets@1'"},
    ),
    "a chunk of a data set cut": (
        "MATCH (c:MemberChunk) WITH c LIMIT 1 SET c.keys = c.keys[1..], c.labels = c.labels[1..]",
        {"data set 'pets@1'"},
    ),
    "labels of a chunk swapped": (
        "MATCH (c:MemberChunk) WITH c LIMIT 1 SET c.labels = c.labels[1..] + c.labels[..1]",
        {"data set 'pets@1'"},
    ),
    "a chunk of no data set": (
        "CREATE (:MemberChunk {id: 'dogs@1:0', number: 0, keys: [1, 2]})",
        {"MemberChunk nodes"},
    ),
    "an edge of a data set removed": (
        "MATCH (:Dataset)-[m:HAD_MEMBER]->(:Image {id: 'i3'}) DELETE m",
        {"data set 'pets@1'"},
    ),
    "a digest changed": (
        "MATCH (i:Image {id: 'i3'}) SET i.digest = '00'",
        {"data set 'pets@1'", "pixels"},
    ),
    "a state that there is not": (
        "MATCH (e:Experiment) SET e.state = 'done'",
        {"Experiment nodes"},
    ),
    "a data set in a state that there is not": (
        "MATCH (d:Dataset) SET d.state = 'done'",
        {"Dataset nodes"},
    ),
    "an experiment that made predictions removed": (
        "MATCH (e:Experiment {id: 'vgg/1'}) DETACH DELETE e",
        {f"prediction set '{SET}'", "Experiment and Model nodes", "Experiment nodes"},
    ),
    "a prediction changed": (
        "MATCH (p:Prediction {id: $set + ':' + toString($key)}) SET p.predicted = 'dog'",
        {f"prediction set '{SET}'"},
    ),
    "a prediction's wrong changed": (
        "MATCH (p:Prediction {id: $set + ':' + toString($key)}) SET p.wrong = NOT p.wrong",
        {f"prediction set '{SET}'"},
    ),
    "a prediction removed": (
        "MATCH (p:Prediction {id: $set + ':' + toString($key)}) DETACH DELETE p",
        {f"prediction set '{SET}'"},
    ),
    "metadata of another type": ("MATCH (i:Image {id: 'i3'}) SET i.age = 'old'", {"metadata Image.age"}),
    "metadata past us": ("MATCH (i:Image {id: 'i3'}) SET i.color = 'red'", {"metadata Image.color"}),
    "weights that are gone": (
        "CREATE (:Checkpoint {id: 'vgg/1/1', weights: 'ab'})",
        {"checkpoint 'vgg/1/1'", "Checkpoint nodes", "counter 'checkpoints of vgg/1'"},
    ),
    "an index that is gone": (
        "CREATE (:VectorIndex {id: 'v', state: 'ready', uris: ['indexes/v']})",
        {"index 'v'", "VectorIndex nodes"},
    ),
    "a date that is text": ("MATCH (i:Image {id: 'i3'}) SET i.created_at = '2024-02-29T00:00:00'", {"Image nodes"}),
    "a date that is a number": ("MATCH (s:Segment) WHERE s.array = 'pixels' SET s.created_at = 7", {"Segment nodes"}),
    "a date that is gone": ("MATCH (d:Dataset) SET d.frozen_at = null", {"Dataset nodes"}),
    "an end that is gone": ("MATCH (e:Experiment) SET e.finished_at = null", {"Experiment nodes"}),
    "parameters that are not JSON": ("MATCH (e:Experiment) SET e.parameters = '{'", {"Experiment nodes"}),
    "predictions of another task": ("MATCH (s:PredictionSet) SET s.task = 'multi-label'", {f"prediction set '{SET}'"}),
    "predictions of no task": ("MATCH (s:PredictionSet) SET s.task = null", {f"prediction set '{SET}'"}),
    "predictions of other classes": (
        "MATCH (s:PredictionSet) SET s.classes = ['dog', 'cow']",
        {f"prediction set '{SET}'"},
    ),
    "predictions of more classes": (
        "MATCH (s:PredictionSet) SET s.classes = ['cat', 'dog', 'cow']",
        {f"prediction set '{SET}'"},
    ),
    "probabilities gone from the graph": (
        "MATCH (s:Segment) WHERE s.array ENDS WITH 'columns' DETACH DELETE s",
        {f"prediction set '{SET}'"},
    ),
}


@pytest.mark.parametrize("damage", GRAPH)
def test_damage_in_the_graph_is_named(stores: Stores, keys: np.ndarray, damage: str) -> None:
    statement, things = GRAPH[damage]
    stores.graph.write(statement, {"set": SET, "key": int(keys[3])})
    report = examine(stores, deep=True)
    assert {fault.thing for fault in report.faults} == things
    assert not report.sound
    for fault in report.faults:
        assert fault.reason.endswith(".")
        assert fault.remedy.endswith(".")
        assert str(fault) in str(report)


def test_a_run_that_another_client_deleted_is_missed_by_its_log(db: og.Workspace) -> None:
    with db.run(id="logged") as run:
        run.log({"loss": 0.5}, step=1)
    assert db.doctor().sound
    db.cypher("MATCH (e:Experiment {id: 'logged'}) DETACH DELETE e", write=True)
    made, left = map(str, db.doctor().faults)
    assert made.startswith("Experiment nodes: 1 were made, and are gone from the graph: 'logged'.")
    assert left.startswith("Experiment nodes: 1 are gone from the graph, and their arrays are there: 'logged'.")


def test_a_thing_that_leaves_no_other_trace_is_missed(stores: Stores) -> None:
    """Until it is made again, or its loss is accepted."""
    for _ in range(2):
        save_view(stores, "mine", {"a": 1})
        assert examine(stores).sound
        stores.graph.write("MATCH (v:View {id: 'mine@1'}) DELETE v")
        (fault,) = examine(stores).faults
        assert str(fault).startswith("View nodes: 1 were made, and are gone from the graph: 'mine@1'. Restore")
    stores.graph.write("MATCH (c:Creation {kind: 'View', thing: 'mine@1'}) DELETE c")
    assert examine(stores).sound


def test_what_odin_graph_removes_is_not_missed(stores: Stores, keys: np.ndarray) -> None:
    """Views, vectors, abandoned builds, and what stands in for a set while its nodes are written."""
    save_view(stores, "mine", {"a": 1})
    save_view(stores, "mine", {"a": 2})
    add_vectors(stores, "own", keys[:3], np.eye(3, dtype=np.float32))
    stores.graph.write("MATCH (d:Dataset) SET d.state = 'building', d.created_at = null")
    made = {row["id"] for row in stores.graph.read("MATCH (c:Creation) RETURN c.id AS id")}
    expected = {"View mine@1", "View mine@2", "VectorSet own", "Dataset pets@1", "Experiment vgg/1"}
    assert made == expected | {f"PredictionSet {SET}"}
    delete_view(stores, "mine")
    delete_vectors(stores, "own")
    collect_garbage(stores)
    made = {row["id"] for row in stores.graph.read("MATCH (c:Creation) RETURN c.id AS id")}
    assert made == {"Experiment vgg/1", f"PredictionSet {SET}"}


def test_an_older_workspace_learns_what_was_made(stores: Stores, keys: np.ndarray) -> None:
    stores.graph.write("MATCH (c:Creation) DELETE c")
    stores.graph.write("MATCH (w:Workspace) SET w.schema_version = 2")
    for _ in range(2):
        install(stores.graph)
    assert examine(stores, deep=True).sound
    assert len(stores.graph.read("MATCH (c:Creation) RETURN c.id AS id")) == 3
    stores.graph.write("MATCH (s:PredictionSet) DETACH DELETE s")
    assert "PredictionSet nodes" in {fault.thing for fault in examine(stores).faults}


def test_every_counter_is_checked() -> None:
    """Whatever is numbered in odin_graph."""
    source = "".join(path.read_text() for path in Path(og.__file__).parent.rglob("*.py"))
    names = set(re.findall(r'counter(?:: str ?)?=? ?f?["\']([^"\'{]+)', source))
    assert {"image", "label change"} < names
    assert names <= {*ONE, *MANY}


def test_an_image_without_its_key_or_id_is_a_fault_and_no_error(stores: Stores, keys: np.ndarray) -> None:
    for name in ("key", "id"):
        stores.graph.write(f"MATCH (i:Image {{id: 'i3'}}) REMOVE i.{name}")
        for deep in (False, True):
            named = [fault for fault in examine(stores, deep=deep).faults if fault.thing == "Image nodes"]
            assert any(f"no {name}" in fault.reason for fault in named)


def test_the_query_of_a_subset_is_the_one_on_its_edge(db: og.Workspace) -> None:
    db.images.add(images=PIXELS, labels=[1, 2, 3], progress=False)
    db.datasets.add("all", db.images())
    db.datasets.add("some", db.images("all").where(og.F("label") > 1))
    assert db.doctor().sound
    for query in ("d.query + ' '", "null"):
        db.cypher(f"MATCH (d:Dataset {{base: 'some'}}) SET d.query = {query}", write=True)
        (fault,) = db.doctor().faults
        assert str(fault).startswith("data set 'some@1': Its query is not the one on its edge DERIVED_FROM.")


def test_a_correction_that_is_lost_is_named(db: og.Workspace) -> None:
    """The last one of an image, or all of them where a data set had frozen the label of before."""
    db.images.add(images=PIXELS, labels=[1, 2, 3], progress=False)
    ids = [image.id for image in db.images]
    db.datasets.add("all", db.images())
    for id_, labels in zip(ids[:2], ([4, 5], [6]), strict=True):
        for label in labels:
            db.labels.update({id_: label})
    assert db.doctor().sound
    db.cypher("MATCH (c:LabelChange) WHERE c.after IN [5, 6] DETACH DELETE c", write=True)
    (fault,) = db.doctor().faults
    assert f"2 images have a label that no correction explains, first {ids[0]!r}, {ids[1]!r}." in str(fault)


def test_labels_of_another_type_than_before_are_sound(db: og.Workspace) -> None:
    """What was frozen and what was corrected keep the type that labels had then."""
    db.images.add(images=PIXELS, labels=[1, 2, 3], progress=False)
    db.datasets.add("all", db.images())
    first = next(iter(db.images))
    db.labels.update({first.id: 2})
    db.fields.retype("label", str)
    assert db.doctor().sound
    db.cypher("MATCH (i:Image {id: $id}) SET i.label = '1'", write=True, id=first.id)
    assert [fault.thing for fault in db.doctor().faults] == ["labels"]


@pytest.mark.parametrize(
    "array", ["pixels", "Dataset/pets@1/members", f"PredictionSet/{SET}/columns", f"PredictionSet/{SET}/probabilities"]
)
def test_lost_files_are_named(stores: Stores, keys: np.ndarray, array: str) -> None:
    (segment,) = segments_of(stores, array)
    remove(file_of(stores, array))
    report = examine(stores, deep=True)
    assert f"segment {segment.id} of {array!r}" in {fault.thing for fault in report.faults}


@pytest.mark.parametrize("write", [lambda path: path.write_bytes(b"no"), lambda path: path.unlink()])
def test_a_key_vector_that_is_gone_or_damaged_is_named(
    stores: Stores, keys: np.ndarray, write: Callable[[Path], object]
) -> None:
    (segment,) = segments_of(stores, "pixels")
    write(Path(stores.arrays.root) / f"keys/{segment.keys}.npy")
    fresh = Stores.open(stores.address, create=False)  # another process, which has not read the keys yet
    try:
        assert f"segment {segment.id} of 'pixels'" in {fault.thing for fault in examine(fresh).faults}
    finally:
        fresh.close()


def test_changed_pixels_are_found_by_a_deep_look(stores: Stores, keys: np.ndarray) -> None:
    other = stores.arrays.write_dense("pixels", keys, np.zeros((20, 5, 4, 3), np.uint8))
    stores.graph.write("MATCH (s:Segment {array: 'pixels'}) SET s.uri = $uri", {"uri": other.uri})
    assert any("not what was written" in fault.reason for fault in examine(stores).faults)
    stores.graph.write("MATCH (s:Segment {array: 'pixels'}) SET s.digest = $digest", {"digest": other.digest})
    assert examine(stores).sound
    (fault,) = examine(stores, deep=True).faults
    assert fault.reason.startswith("20 images are not what was stored")
