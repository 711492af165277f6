"""Backups: a workspace in use is copied as it was at one moment, and the copy is a workspace of its own."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import numpy as np
import pytest

import odin_graph as og
from odin_graph.arrays.files import Files
from odin_graph.catalog import backup as backups
from tests.forking import Program
from tests.graph.processes import stop

pytestmark = pytest.mark.starts_engine

WRITER = """
import sys
from pathlib import Path
import numpy as np
import odin_graph as og
with og.connect(sys.argv[1]) as db:
    print("open", flush=True)
    for batch in range(60):
        pixels = np.full((5, 8, 8), batch, np.uint8)
        db.images.add(images=pixels, labels=["a"] * 5, prefix=f"batch{batch:02d}", progress=False)
        if batch == 4:
            print("going", flush=True)
        if batch > 4 and Path(sys.argv[1] + " is copied").exists():
            break
"""


def pixels(number: int) -> np.ndarray:
    return np.arange(number * 64, dtype=np.uint16).reshape(number, 8, 8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with images, a data set and predictions, whose engine has stopped."""
    folder = tmp_path_factory.mktemp("backup") / "lab.odin"
    with og.connect(folder) as db:
        keeper = db.bolt.pid
        db.images.add(images=pixels(30), labels=["a", "b"] * 15, prefix="scan", progress=False)
        db.datasets.add("scans", db.images())
        with db.run(id="imported", test="scans") as run:
            run.log_predictions("scans", predicted=["a"] * 30)
    stop(keeper)
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The same, to open and to change."""
    return Path(shutil.copytree(made, tmp_path / "lab.odin"))


def test_a_backup_is_a_workspace_with_the_same_answers(folder: Path, tmp_path: Path) -> None:
    """Opened where it is, and restored elsewhere; neither knows of the other or of the original."""
    with og.connect(folder) as db:
        report = db.backup(tmp_path / "copy.odin", progress=False)
        assert report.files > 3
        assert str(tmp_path / "copy.odin") in str(report)
        db.images.add(images=pixels(3), prefix="later", progress=False)
        with og.connect(tmp_path / "copy.odin", create=False) as copy:
            assert copy.doctor(deep=True).sound
            assert [image.pixels.sum() for image in copy.images()] == [image.sum() for image in pixels(30)]
            copy.images.add(images=pixels(2), prefix="own", progress=False)
        assert db.images().count() == 33
        assert db.doctor(deep=True).sound
    with pytest.raises(og.WorkspaceError, match="exists"):
        og.restore(tmp_path / "copy.odin", folder, progress=False)


def test_a_restored_workspace_leaves_the_backup_as_it_is(folder: Path, tmp_path: Path) -> None:
    with og.connect(folder) as db:
        db.backup(tmp_path / "copy.odin", progress=False)
    with og.restore(tmp_path / "copy.odin", tmp_path / "again.odin", progress=False) as again:
        assert again.doctor(deep=True).sound
        assert again.experiment("imported").results("scans").accuracy == 0.5
        again.images.add(images=pixels(1), prefix="new", progress=False)
    with og.connect(tmp_path / "copy.odin") as copy:
        assert copy.images().count() == 30


def test_what_others_write_meanwhile_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """Another process adds batch after batch; each copy holds the first so many of them."""
    folder = tmp_path / "busy.odin"
    og.connect(folder).close()
    writer = Program(["-c", WRITER, folder])
    try:
        assert [writer.stdout.readline().strip() for _ in range(2)] == ["open", "going"]
        with og.connect(folder) as db:
            for number in range(2):
                db.backup(tmp_path / f"copy{number}.odin", progress=False)
    finally:
        Path(f"{folder} is copied").touch()
        writer.communicate()
    assert writer.returncode == 0
    for number in range(2):
        with og.connect(tmp_path / f"copy{number}.odin", create=False) as copy:
            report = copy.doctor(deep=True)
            assert report.sound, report
            batches = {image.id.partition("/")[0] for image in copy.images()}
            assert sorted(batches) == [f"batch{batch:02d}" for batch in range(len(batches))]
            assert copy.images().count() == 5 * len(batches) >= 25


def test_an_interrupted_backup_goes_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is at the target before it is whole, and what was copied is not copied again."""
    written: list[str] = []
    copy = backups._copy

    def interrupted(raw: object, uri: str, target: Path) -> list[int]:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(uri)
        return copy(raw, uri, target)  # type: ignore[arg-type]

    with og.connect(folder) as db:
        monkeypatch.setattr(backups, "_copy", interrupted)
        with pytest.raises(KeyboardInterrupt):
            db.backup(tmp_path / "copy.odin", progress=False)
        assert not (tmp_path / "copy.odin").exists()
        first = tmp_path / ".copy.odin.partial" / "arrays" / written[0]
        files = [first] if first.is_file() else [file for file in first.rglob("*") if file.is_file()]
        times = {file: file.stat().st_mtime_ns for file in files}
        monkeypatch.undo()
        db.backup(tmp_path / "copy.odin", progress=False)
    for file, time in times.items():
        assert (tmp_path / "copy.odin" / file.relative_to(tmp_path / ".copy.odin.partial")).stat().st_mtime_ns == time
    with og.connect(tmp_path / "copy.odin", create=False) as db:
        assert db.doctor(deep=True).sound


def test_what_was_purged_since_an_interruption_is_not_in_the_copy(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the call that was interrupted had copied already goes from the copy."""
    with og.connect(folder) as db:
        db.images.add(images=np.full((1, 16, 16), 77, np.uint8), ids=["secret"], progress=False)
        with monkeypatch.context() as interrupted:
            interrupted.setattr(backups, "_sync", _stop)
            with pytest.raises(KeyboardInterrupt):
                db.backup(tmp_path / "copy.odin", progress=False)
        partial = tmp_path / ".copy.odin.partial" / "arrays"
        before = {path.relative_to(partial) for path in partial.glob("*/*")}
        assert before
        db.images.purge(["secret"], force=True)
        db.backup(tmp_path / "copy.odin", progress=False)
        whole = tmp_path / "copy.odin" / "arrays"
        after = {path.relative_to(whole) for path in whole.glob("*/*")}
        assert after == {Path(file.uri) for file in db._stores.arrays.files()}
        assert before - after, "the purge replaced what held the image"
    with og.connect(tmp_path / "copy.odin", create=False) as copy:
        assert "secret" not in copy.images
        assert copy.doctor(deep=True).sound


def _stop(_: Path) -> None:
    raise KeyboardInterrupt


def test_what_is_removed_bit_by_bit_meanwhile_is_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Garbage that another process collects at this moment is half there, then gone."""
    segment = next(path for path in (folder / "arrays" / "segments").iterdir() if path.is_dir())
    garbage = shutil.copytree(segment, segment.with_name("f" * 32 + ".pixels"))
    get = Files.get

    def removed(self: Files, path: str) -> bytes:
        if path.startswith(str(garbage)) and Path(path).exists():
            Path(path).unlink()
            threading.Timer(0.3, shutil.rmtree, [garbage], {"ignore_errors": True}).start()
        return get(self, path)

    monkeypatch.setattr(Files, "get", removed)
    with og.connect(folder) as db:
        expected = {image.id for image in db.images()}
        db.backup(tmp_path / "copy.odin", progress=False)
    assert not (tmp_path / "copy.odin" / "arrays" / "segments" / garbage.name).exists()
    with og.connect(tmp_path / "copy.odin") as copy:
        assert copy.doctor(deep=True).sound
        assert {image.id for image in copy.images()} == expected


def test_a_purge_meanwhile_is_waited_out(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the graph that names what a purge has destroyed since is made again."""
    dump, times = backups.dump, []

    with og.connect(folder) as db:

        def with_a_purge(*given: object) -> None:
            dump(*given)  # type: ignore[arg-type]
            times.append(1)
            if len(times) == 1:
                db.images.purge("scan/000003", why="asked to", force=True)

        monkeypatch.setattr(backups, "dump", with_a_purge)
        db.backup(tmp_path / "copy.odin", progress=False)
    assert len(times) == 2
    with og.connect(tmp_path / "copy.odin", create=False) as copy:
        assert copy.doctor(deep=True).sound
        assert copy.images().count() == 29


def test_nothing_is_overwritten_and_a_server_has_its_own_tools(db: og.Workspace, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(og.WorkspaceError, match="exists: give a folder that does not"):
        db.backup(tmp_path / "there")
    if db._stores.address.folder is None:
        with pytest.raises(og.WorkspaceError, match="neo4j-admin"):
            db.backup(tmp_path / "copy.odin")
        assert not (tmp_path / "copy.odin").exists()


def test_neither_lies_in_what_it_is_of(folder: Path, tmp_path: Path) -> None:
    with og.connect(folder) as db:
        with pytest.raises(og.WorkspaceError, match="is inside the workspace itself"):
            db.backup(folder / "copy.odin")
        db.backup(tmp_path / "copy.odin", progress=False)
    with pytest.raises(og.WorkspaceError, match="is inside the backup itself"):
        og.restore(tmp_path / "copy.odin", tmp_path / "copy.odin" / "again.odin", progress=False)


def test_a_workspace_that_is_open_is_no_backup(folder: Path, tmp_path: Path) -> None:
    with og.connect(folder), pytest.raises(og.WorkspaceError, match="is open"):
        og.restore(folder, tmp_path / "again.odin", progress=False)
    with pytest.raises(og.MissingWorkspaceError):
        og.restore(tmp_path / "nothing.odin", tmp_path / "again.odin", progress=False)
