"""Purge: nothing of the pixels is left in any file, nothing of the metadata in the graph, and what is left is said."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiledb
import torch
from numpy.typing import NDArray

import odin_graph as og
from odin_graph import F
from odin_graph.arrays import compact
from odin_graph.arrays.writer import writers_name
from odin_graph.catalog.activations.activations import LayerRef, growing, rows_array
from odin_graph.catalog.activations.vector_indexes import IndexRecord, Owner, name_index
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.images.images import ImageBatch, add_images
from odin_graph.catalog.models.checkpoints import add_checkpoint
from odin_graph.catalog.purge.purge import unfinished_purges
from odin_graph.catalog.records import leases
from odin_graph.catalog.records.segments import name_segments, segments_of, swap_segments
from odin_graph.errors import ConflictError, FrozenError, StoreError, UnknownNameError
from odin_graph.graph.writer import create_edges
from odin_graph.stores import Stores
from odin_graph.vectors.approximate import KIND
from tests.engines.s3 import mirrored
from tests.stored import filled

N = 24
SECRET = 5
"""The position of the image that is purged."""


def pixels_of(number: int) -> NDArray[np.uint8]:
    """Noise that no other array holds by chance, of one of two shapes."""
    shape = (16, 16, 1) if number % 4 else (9 + number, 7, 3)
    return np.random.default_rng(1000 + number).integers(0, 256, shape, np.uint8)


def treated(db: og.Workspace) -> None:
    """Images in two batches (so that a compaction left files behind), with all that can be computed from them."""
    stores = db._stores
    for part in (range(N // 2), range(N // 2, N)):
        images = [pixels_of(number) for number in part]
        add_images(
            stores,
            ImageBatch(
                [f"scan{number:02}.png" for number in part],
                images,
                labels=["DME" if number % 2 else "normal" for number in part],
                metadata={"patient": [f"Patient {number:02}" for number in part]},
                originals=[b"original " + image.tobytes() for image in images],
            ),
        )
    db.images.add(images=np.zeros((2, 3, 3), np.uint8), prefix="more")  # its end compacts
    scans = db.images().where(F("patient").starts_with("Patient"))
    db.datasets.add("all", scans)
    db.datasets.add("few", scans[:4])
    exp = db.experiments.add("e/1", train="all", uses={"shown": "few"})
    exp.log_predictions("all", probabilities=np.random.default_rng(0).dirichlet([1, 1], N), classes=["DME", "normal"])
    activations(db)
    db.labels.update({f"scan{SECRET:02}.png": "normal"}, why="second reading")


@pytest.fixture
def clinic(db: og.Workspace) -> og.Workspace:
    """The same, of which some has been read."""
    filled(db, treated)
    keys = db.images().where(F("patient").starts_with("Patient")).keys()
    db._stores.columns.array("pixels").read_list(keys[::-1])  # decodes what is scattered
    return db


def activations(db: og.Workspace) -> None:
    """Vectors of every image, and an index over them, as a layer would leave them."""
    stores, keys = db._stores, db.images("all").keys()
    add_checkpoint(stores, None, {"weight": torch.zeros(2)}, experiment="e/1")
    ref = LayerRef("e/1/1", "features")
    rows = np.random.default_rng(1).normal(size=(len(keys), 4)).astype(np.float32)
    with growing(stores, ref) as growth:
        growth.add(keys, rows)
    (segment,) = segments_of(stores, rows_array(ref.set_id))
    for metric in ("l2", "cosine"):  # the second replaces the first, whose file is garbage
        uri = stores.vectors.build_index(segment, metric, lambda _: None)
        record = IndexRecord(KIND, (segment.id,), (uri,))
        name_index(stores, Owner("ActivationSet", ref.set_id), "cosine", record)


def holds(root: Path, needles: list[bytes], *, broken: bool = True) -> list[str]:
    """Every file below a folder that holds one of the needles: as it is, or as an array, table or index when opened.

    An array that cannot be opened, since its removal was interrupted, may hold anything: ``broken`` says whether it is
    among them.
    """
    found = []
    for path in sorted(root.rglob("*")):
        if path.is_file() and any(needle in path.read_bytes() for needle in needles):
            found.append(str(path))
        if path.is_dir() and tiledb.object_type(str(path)) == "array":
            try:
                with tiledb.open(str(path)) as array:
                    values = np.ascontiguousarray(array[...]["value"]).tobytes()
            except tiledb.TileDBError:
                found += [str(path)] if broken else []
                continue
            if any(needle in values for needle in needles):
                found.append(str(path))
        if path.is_file():
            found += [str(path) for opened in opened_as(path) if any(needle in opened for needle in needles)]
    return found


def opened_as(path: Path) -> list[bytes]:
    """What a compressed file of ours holds."""
    try:
        if path.suffix == ".npz":
            with np.load(path) as held:
                return [held[name].tobytes() for name in held.files]
        table = pa.ipc.open_file(pa.BufferReader(path.read_bytes())).read_all()
        return ["\n".join(map(str, table.column(name).to_pylist())).encode() for name in table.column_names]
    except (pa.ArrowInvalid, OSError, ValueError):
        return []


def stored(stores: Stores) -> Path:
    """The arrays in a folder: those in a bucket as they are now."""
    root = stores.address.arrays
    return mirrored(root) if "://" in root else Path(root)


def folders(stores: Stores) -> list[Path]:
    return [stored(stores), stores.cache]


def test_nothing_of_a_purged_image_is_left_in_any_file(clinic: og.Workspace) -> None:
    stores = clinic._stores
    image = clinic.image(f"scan{SECRET:02}.png")
    vector = clinic.activations["e/1/1/activations/features/mean"].embeddings([image])
    probabilities = stores.columns.probabilities(clinic.experiments["e/1"].predictions()[0].id)
    said = probabilities[1][probabilities[0] == image.key]
    needles = [pixels_of(SECRET).tobytes()[100:164], f"Patient {SECRET:02}".encode(), vector.tobytes(), said.tobytes()]
    clinic.images().to_pandas()  # fills the saved columns
    before = {needle: [path for root in folders(stores) for path in holds(root, [needle])] for needle in needles}
    assert all(before.values()), "the search finds what is there"
    others = {key: clinic.images([key])[0].pixels for key in clinic.images("all").keys().tolist() if key != image.key}

    with pytest.raises(FrozenError, match="in the data set version all@1"):
        image.purge()
    report = image.purge(why="consent withdrawn", who="Ann", force=True)

    assert [path for root in folders(stores) for path in holds(root, needles)] == []
    assert report.images == (image.id,)
    assert report.destroyed["images' pixels"] == report.destroyed["original files"] == 1
    assert report.destroyed["rows of predictions"] == 2, "columns and probabilities"
    assert report.destroyed["rows of activations"] == report.destroyed["indexes"] == 1
    assert report.destroyed["predictions in the graph"] == report.destroyed["label corrections"] == 1
    assert any(sentence.startswith("what e/1 trained or tuned on them, 1 checkpoints here") for sentence in report.left)
    rows = stores.graph.read("MATCH (i:Image {id: $id}) RETURN properties(i) AS own", {"id": image.id})
    assert rows == [{"own": {"id": image.id, "key": image.key, "deleted": True}}]
    for key, pixels in others.items():
        np.testing.assert_array_equal(clinic.images([key])[0].pixels, pixels)
    assert len(clinic.activations["e/1/1/activations/features/mean"]) == N - 1
    assert len(clinic.experiments["e/1"].predictions()[0]) == N - 1
    found = examine(stores, deep=True)
    assert (found.sound, found.unfinished) == (True, ()), str(found)


def test_a_frozen_version_keeps_its_digest_and_says_what_is_missing(clinic: og.Workspace) -> None:
    held = clinic.datasets["all"]
    digest, keys, labels = held.digest, held.image_keys(deleted=True).tolist(), held.labels
    image = clinic.image(f"scan{SECRET:02}.png")
    image.purge(force=True)
    again = clinic.datasets["all"]
    assert (again.digest, again.image_keys(deleted=True).tolist(), again.size) == (digest, keys, N)
    assert again.deleted_members() == [image.id]
    position = keys.index(image.key)
    assert again.labels == [None if place == position else label for place, label in enumerate(labels)]
    assert len(again) == len(again.images()) == N - 1
    rows = clinic.cypher(
        "MATCH (i:Image {id: $image})-[:INVALIDATED_BY]->(x:Deletion) "
        "MATCH (c:MemberChunk {number: i.key / 256})-[:PART_OF]->(:Dataset)<-[:USED]-(e:Experiment) "
        "WHERE i.key IN c.keys RETURN DISTINCT e.id AS experiment, x.state AS state",
        image=image.id,
    )
    assert [dict(row) for row in rows] == [{"experiment": "e/1", "state": "purged"}]


def test_derived_images_go_too_and_copies_are_named(clinic: og.Workspace) -> None:
    stores = clinic._stores
    clinic.images.add(images=[pixels_of(1)[:8, :8], pixels_of(1)[:4, :4]], ids=["crop", "crop of the crop"])
    clinic.images.add(images=[pixels_of(1)], ids=["copy"])
    newer = clinic.image("scan01.png").revise(pixels_of(1) + 1)
    edges = [
        {"start": "crop", "end": "scan01.png", "op": "crop"},
        {"start": "crop of the crop", "end": "crop", "op": "crop"},
    ]
    stores.graph.execute(lambda tx: create_edges(tx, "DERIVED_FROM", ("Image", "id"), ("Image", "id"), edges))
    would = clinic.images.purge("scan01.png", dry_run=True)
    assert would.dry_run
    assert len(would.used) == 2
    assert clinic.image("crop").pixels.shape == (8, 8, 1)
    report = clinic.images.purge("scan01.png", force=True)
    assert set(report.derived) == {"crop", "crop of the crop"}
    assert report.destroyed["images' pixels"] == would.destroyed["images' pixels"] == 3
    assert any("copy" in sentence for sentence in report.left)
    assert any(newer.id in sentence for sentence in report.left)
    assert holds(stored(stores), [pixels_of(1)[:4, :4].tobytes()]) == []
    assert examine(stores, deep=True).sound


def test_what_was_deleted_is_purged_and_what_was_purged_stays_so(clinic: og.Workspace) -> None:
    clinic.image("more/000000").delete()
    assert clinic.images.purge("more/000000").images == ("more/000000",)
    again = clinic.images.purge("more/000000")
    assert not any(again.destroyed.values())
    with pytest.raises(UnknownNameError, match="first 'nobody'"):
        clinic.images.purge(["nobody"])
    clinic.images("all").purge(force=True)
    assert len(clinic.images()) == 1
    assert len(clinic.experiments["e/1"].predictions()[0]) == 0
    assert examine(clinic._stores, deep=True).sound


def test_a_purge_goes_on_where_another_stopped(clinic: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from odin_graph.catalog.purge import purge as module

    image = clinic.image(f"scan{SECRET:02}.png")
    for step in ("_drop_indexes", "remove_replaced", "sweep"):

        def fail(*_: object) -> None:
            raise StoreError("the disk is gone")

        with monkeypatch.context() as patched:
            patched.setattr(module, step, fail)
            with pytest.raises(StoreError):
                image.purge(force=True)
        assert len(unfinished_purges(clinic._stores)) == 1
        assert examine(clinic._stores).unfinished
    clinic.images.purge("more/000000")  # any next one
    assert unfinished_purges(clinic._stores) == []
    needles = [pixels_of(SECRET).tobytes()[100:164], f"Patient {SECRET:02}".encode()]
    assert [path for root in folders(clinic._stores) for path in holds(root, needles)] == []
    assert examine(clinic._stores, deep=True).sound


def test_a_live_builder_is_waited_for(clinic: og.Workspace) -> None:
    stores = clinic._stores
    stores.graph.write("MATCH (s:ActivationSet) SET s.state = 'building'")
    set_id = "e/1/1/activations/features/mean"
    with (
        leases.acquire(stores.graph, "ActivationSet", set_id),
        pytest.raises(ConflictError, match="is being written by process"),
    ):
        clinic.image("more/000000").purge()
    assert clinic.image("more/000000").pixels is not None


def test_what_nothing_names_and_holds_the_image_goes(clinic: og.Workspace) -> None:
    """A broken writer's file is found by the keys that its address says; others are spared."""
    stores = clinic._stores
    key = clinic.image("more/000000").key
    lost = stores.arrays.write_dense("pixels", np.array([key]), np.ones((1, 3, 3, 1), np.uint8))
    spared = stores.arrays.write_dense("pixels", np.array([10**6]), np.ones((1, 3, 3, 1), np.uint8))
    log = stores.arrays.write_table("Experiment/e/log", pa.table({"key": pa.array([key], pa.int64())}))
    clinic.image("more/000000").purge()
    there = {file.uri for file in stores.arrays.files()}
    assert lost.uri not in there
    assert {spared.uri, log.uri} <= there


def test_what_a_dead_writer_began_goes_and_what_a_live_one_writes_is_named(clinic: og.Workspace) -> None:
    stores = clinic._stores
    code = "from odin_graph.arrays.writer import writers_name; print(writers_name())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    fresh = Path(stores.address.arrays) / "fresh"
    for name in (dead, writers_name()):
        (fresh / name).write_bytes(b"half of a segment")
    report = clinic.image("more/000000").purge()
    assert [path.name for path in fresh.iterdir()] != [dead]
    assert not (fresh / dead).exists()
    assert any(sentence.startswith("1 files younger than an hour") for sentence in report.left)


def test_what_a_removal_left_that_was_killed_goes(clinic: og.Workspace) -> None:
    """Nothing of a segment stays under its name, and what does elsewhere goes with the next purge."""
    stores = clinic._stores
    lost = stores.arrays.write_dense("pixels", np.array([10**6]), np.ones((1, 3, 3, 1), np.uint8))
    code = """
import os, shutil, sys
from odin_graph.arrays.store import ArrayStore
from odin_graph.config import Budget

shutil.rmtree = lambda path: os._exit(9)
ArrayStore(sys.argv[1], Budget(memory=256 << 20, threads=1)).remove(sys.argv[2])
"""
    root = Path(stores.address.arrays)
    assert subprocess.run([sys.executable, "-c", code, str(root), lost.uri], check=False).returncode == 9
    assert not (root / lost.uri).exists()
    (left,) = (root / "fresh").iterdir()
    assert any(left.rglob("*.tdb")), "or nothing was left to remove"
    clinic.image("more/000000").purge()
    assert not left.exists()


def test_an_index_that_nothing_names_tells_its_keys(clinic: og.Workspace) -> None:
    stores = clinic._stores
    uris = [file.uri for file in stores.arrays.raw.list("indexes")]
    assert len(uris) == 2
    with np.load(io.BytesIO(stores.arrays.raw.read(uris[0]))) as held:
        assert held["keys"].size
    clinic.image(f"scan{SECRET:02}.png").purge(force=True)
    assert stores.arrays.raw.list("indexes") == []


def test_a_compaction_that_began_before_cannot_bring_it_back(clinic: og.Workspace) -> None:
    """Its new segment holds the image under another name: it is found, or never named."""
    stores = clinic._stores
    for number in range(2):
        draw = np.random.default_rng(number)
        images = [draw.integers(0, 256, (16, 16, 1), np.uint8) for _ in range(20)]
        add_images(stores, ImageBatch([f"late {number} {n}" for n in range(20)], images))
    image = clinic.image("late 0 3")
    needle = [image.pixels.tobytes()]
    group = [info for info in segments_of(stores, "pixels") if info.codec == "dense" and info.shape == (16, 16, 1)]
    merged = compact(stores.arrays, group)
    image.purge()
    assert holds(stored(stores), needle) == []
    assert not swap_segments(stores, group, merged)
    assert holds(stored(stores), needle) == []
    assert examine(stores, deep=True).sound


def test_the_doctor_finds_what_a_purge_should_have_taken(clinic: og.Workspace) -> None:
    stores = clinic._stores
    key = clinic.image("more/000000").key
    clinic.image("more/000001").delete()
    assert examine(stores, deep=True).sound, "what was deleted keeps its pixels"
    clinic.image("more/000000").purge()
    back = stores.arrays.write_dense("pixels", np.array([key]), np.ones((1, 3, 3, 1), np.uint8))
    stores.graph.execute(lambda tx: name_segments(tx, [back]))
    (fault,) = examine(stores).faults
    assert "or of one that was purged" in fault.reason


def test_a_crop_that_comes_while_its_image_is_purged_goes_too(
    clinic: og.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from odin_graph.catalog.purge import purge as module

    stores = clinic._stores
    replace_segments, late = module.replace_segments, np.random.default_rng(9).integers(0, 256, (8, 8, 1), np.uint8)

    def slow(*arguments: Any) -> Any:
        if not stores.graph.read("MATCH (i:Image {id: 'late'}) RETURN i.id AS id"):
            add_images(stores, ImageBatch(["late"], [late]))
            edge = {"start": "late", "end": "more/000000", "op": "crop"}
            stores.graph.execute(lambda tx: create_edges(tx, "DERIVED_FROM", ("Image", "id"), ("Image", "id"), [edge]))
        return replace_segments(*arguments)

    monkeypatch.setattr(module, "replace_segments", slow)
    clinic.image("more/000000").purge()
    assert holds(stored(stores), [late.tobytes()]) == []
    with pytest.raises(UnknownNameError):
        clinic.image("late")
    assert examine(stores, deep=True).sound
