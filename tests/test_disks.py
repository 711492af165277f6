"""A disk that is full or read-only: an error of ours with the remedy, nothing lost, and all is well afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import odin_graph as og
from odin_graph import example
from odin_graph.errors import SpaceError, StoreError, UnreachableError, WorkspaceError
from tests.test_bad_input import small_disk

pytestmark = pytest.mark.starts_engine

NOISE = np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The folder as a mount of its own that nobody may write to."""
    if subprocess.run(["mount", "--bind", folder, folder], capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def run_a_model(db: og.Workspace) -> None:
    weights = db.experiment("small-cnn/1").checkpoints()[0].load(trust_source=True)
    with db.run("small-cnn", train="retina-test") as run:
        run.add_checkpoint(weights)


STORING: dict[str, Callable[[og.Workspace], Any]] = {
    "add": lambda db: db.images.add(images=NOISE, prefix="noise", progress=False),
    "vectors.add": lambda db: db.vectors.add("clip", db.images("retina-test"), np.eye(example.IMAGES)),
    "embeddings": lambda db: db.activations.add(layer(db), db.images("retina-test")),
    "materialize": lambda db: layer(db).materialize("retina-test"),
    "predict": lambda db: db.experiment("small-cnn/1").predict("few"),
    "store": lambda db: db.images("retina-test").resize(4).store("small"),
    "run": run_a_model,
    "revise": lambda db: db.image("scan001.png").revise(NOISE[0]),
    "split": lambda db: db.datasets["retina-test"].split({"a": 0.5, "b": 0.5}, seed=0),
}
EXPORTING: dict[str, Callable[[og.Workspace, Path], Any]] = {
    "folder": lambda db, to: db.dataset("retina-test").export(to / "a", format="folder"),
    "webdataset": lambda db, to: db.dataset("retina-test").export(to / "b", format="webdataset"),
    "parquet": lambda db, to: db.dataset("retina-test").export(to / "c", format="parquet"),
    "save": lambda db, to: db.images("retina-test").limit(4).save(to / "sheet.png"),
}


def layer(db: og.Workspace) -> Any:
    return db.experiment("small-cnn/1").layer("features")


def assert_all_well(db: og.Workspace) -> None:
    """Everything that was acknowledged is there, everything can be stored, and nothing is broken."""
    assert len(db.images("retina-test")) == example.IMAGES
    assert db.images("retina-test").to_numpy().shape == (example.IMAGES, 8, 8, 1)
    for store in STORING.values():
        store(db)
    assert len(db.images(cypher="MATCH (i:Image) WHERE i.id STARTS WITH 'noise' RETURN i")) == len(NOISE)
    report = db.doctor(deep=True)
    assert report.sound, str(report)


def build(db: og.Workspace) -> None:
    example.build(db, experiments=1)
    db.datasets.add("few", db.images().limit(20))


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_the_disk_of_the_arrays(db: og.Workspace, tmp_path: Path, kind: str) -> None:
    """The graph is elsewhere: what stores nothing in the arrays goes on."""
    root = Path(db._stores.arrays.root)
    build(db)
    with disk_at(root, kind):
        for name, store in STORING.items():
            if name == "split":
                continue  # whose members are small enough for what is left of a page
            with pytest.raises(SpaceError if kind == "full" else StoreError) as caught:
                store(db)
            said = str(caught.value)
            assert str(root) in said or "MiB are free" in said, f"{name}: {said}"
            assert "ake room" in said if kind == "full" else "Read-only" in said, f"{name}: {said}"
        assert db.labels.update(["scan002.png"], "normal").changed + 1
        assert db.images("retina-test").to_numpy().shape[0] == example.IMAGES
    assert_all_well(db)


@contextmanager
def disk_at(root: Path, kind: str) -> Iterator[None]:
    """What is in the folder, on a disk without room or that nobody may write to."""
    if kind == "read-only":
        with read_only(root):
            yield
        return
    kept = root.with_name("kept")
    shutil.copytree(root, kept)
    size = sum(file.stat().st_size for file in kept.rglob("*")) + (4 << 20)
    shutil.rmtree(root)
    with small_disk(root, size):
        if not root.is_mount():
            pytest.skip("a small file system cannot be mounted here")
        shutil.copytree(kept, root, dirs_exist_ok=True)
        fill(root)
        yield
        (root / "filler").unlink()
        shutil.rmtree(kept)
        shutil.copytree(root, kept)
    shutil.copytree(kept, root, dirs_exist_ok=True)


def fill(folder: Path) -> None:
    """Leave nothing free."""
    with (folder / "filler").open("wb", buffering=0) as out:
        while free := shutil.disk_usage(folder).free:
            out.write(os.urandom(free))


@pytest.mark.parametrize("kind", ["full", "read-only"])
def test_a_disk_that_is_written_to(db: og.Workspace, tmp_path: Path, kind: str) -> None:
    """Exports and pictures; nothing is half there."""
    build(db)
    with small_disk(tmp_path / "small", 1 << 20) as folder:
        if not folder.is_mount():
            pytest.skip("a small file system cannot be mounted here")
        if kind == "full":
            fill(folder)
            assert_refused(db, folder, SpaceError, "No space is left to write", "ake room or choose another place")
            assert [file.name for file in folder.iterdir()] == ["filler"]
            (folder / "filler").unlink()
        else:
            with read_only(folder):
                assert_refused(db, folder, StoreError, "Read-only file system", "Choose an existing folder")
            assert list(folder.iterdir()) == []
        for write in EXPORTING.values():
            write(db, folder)
        assert db.datasets.load(folder / "c", id="again").verify(db.datasets["retina-test"])


def assert_refused(db: og.Workspace, folder: Path, kind: type[og.OdinError], *said: str) -> None:
    for name, write in EXPORTING.items():
        with pytest.raises(kind) as caught:
            write(db, folder)
        assert all(part in str(caught.value) for part in (str(folder), *said)), f"{name}: {caught.value}"


def test_a_whole_workspace_on_a_full_disk(tmp_path: Path) -> None:
    """The engine too: what cannot be written is refused, what is there can be read, and room is all that it takes."""
    with small_disk(tmp_path / "small", 96 << 20) as folder:
        if not folder.is_mount():
            pytest.skip("a small file system cannot be mounted here")
        with og.connect(folder / "w.odin") as db:
            build(db)
            fill(folder)
            calls = STORING | {
                "labels.update": lambda db: db.labels.update(["scan000.png"], "normal"),
                "update": lambda db: db.images.update({"scan000.png": {"note": "x"}}),
                "delete": lambda db: db.images.delete(["scan000.png"], force=True),
                "purge": lambda db: db.images.purge(["scan000.png"], force=True),
                "backup": lambda db: db.backup(tmp_path / "backup"),
                "backup there": lambda db: db.backup(folder / "backup"),
            }
            for name, call in calls.items():
                with pytest.raises(SpaceError) as caught:
                    call(db)
                assert "ake room" in str(caught.value), f"{name}: {caught.value}"
            assert db.images("retina-test").to_numpy().shape[0] == example.IMAGES
            assert len(db.images) == example.IMAGES
            (folder / "filler").unlink()
            assert_all_well(db)
            db.backup(tmp_path / "backup")
            pid = db.bolt.pid
        psutil.Process(pid).wait(90)  # it writes into the folder until then


def test_a_whole_workspace_on_a_read_only_disk(tmp_path: Path) -> None:
    """The engine ends there; whoever asks is told why, also `connect`."""
    with small_disk(tmp_path / "small", 96 << 20) as folder:
        if not folder.is_mount():
            pytest.skip("a small file system cannot be mounted here")
        db = og.connect(folder / "w.odin")
        build(db)
        pid = db.bolt.pid
        with read_only(folder):
            calls = STORING | {"backup": lambda db: db.backup(tmp_path / "backup")}
            for name, call in calls.items():
                with pytest.raises((WorkspaceError, StoreError, UnreachableError)) as caught:
                    call(db)
                assert str(folder) in str(caught.value), f"{name}: {caught.value}"
            with pytest.raises(WorkspaceError, match="Read-only file system"):
                og.connect(folder / "w.odin")
            with pytest.raises(WorkspaceError, match="Read-only file system"):
                og.connect(folder / "new.odin")
            db.close()
        if psutil.pid_exists(pid):
            psutil.Process(pid).wait(90)
        with og.connect(folder / "w.odin") as again:
            assert_all_well(again)
            pid = again.bolt.pid
        psutil.Process(pid).wait(90)
