"""A copy of a workspace is a workspace of its own, whenever it was made; a moved one is found again."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

import odin_graph as og
from tests.engines.s3 import S3Server, in_s3
from tests.graph.processes import remove, stop, wait_until_gone

pytestmark = pytest.mark.starts_engine

PIXELS = np.random.default_rng(3).integers(0, 255, (30, 8, 8), np.uint8)


@pytest.fixture(autouse=True)
def embedded(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--engine") == "neo4j":
        pytest.skip("this is about the embedded engine")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    return tmp_path / "a.odin"


def add(db: og.Workspace, first: int, end: int) -> None:
    db.images.add(images=PIXELS[first:end], ids=[str(n) for n in range(first, end)], progress=False)


def assert_holds(db: og.Workspace, numbers: set[int]) -> None:
    """Just these images, each with its own pixels, and nothing that does not fit."""
    found = {image.id: image.pixels[..., 0] for image in db.images()}
    assert set(found) == {str(n) for n in numbers}
    for id_, pixels in found.items():
        np.testing.assert_array_equal(pixels, PIXELS[int(id_)])
    report = db.doctor()
    assert report.sound, str(report)


def pid(db: og.Workspace) -> int:
    return db.bolt.pid


COPIES = {
    "cp": lambda a, b: subprocess.run(["cp", "-r", a, b], check=True),
    "Python": lambda a, b: shutil.copytree(a, b),
}


@pytest.mark.parametrize("way", ["cp", pytest.param("Python", marks=pytest.mark.soak)])
def test_a_copy_of_an_open_workspace_is_its_own(folder: Path, way: str) -> None:
    copy = folder.with_name("b.odin")
    with og.connect(folder) as one:
        add(one, 0, 20)
        COPIES[way](folder, copy)
        with og.connect(copy) as two:
            assert pid(two) != pid(one)
            assert two.bolt.password != one.bolt.password, "no log-in of one engine opens another"
            assert_holds(two, set(range(20)))
            add(two, 20, 23)
            two.image("3").purge(force=True)
            add(one, 23, 25)
            assert_holds(two, {*range(23)} - {3})
            assert_holds(one, {*range(20), 23, 24})
            with pytest.raises(og.MismatchError):  # a key of one is another image in the other
                one.datasets.add("d", one.images(), label=None) | two.datasets.add("d", two.images(), label=None)


def test_a_copy_while_the_engine_stops_is_its_own(folder: Path) -> None:
    """For a few seconds after the last user has gone the engine runs on."""
    copy = folder.with_name("b.odin")
    with og.connect(folder) as one:
        add(one, 0, 20)
    COPIES["cp"](folder, copy)
    with og.connect(copy) as two, og.connect(folder) as one:
        add(two, 20, 23)
        assert_holds(two, set(range(23)))
        assert_holds(one, set(range(20)))


def test_a_copy_in_the_place_of_the_original_is_no_longer_it(folder: Path) -> None:
    """An open handle does not go over to another folder that took the name."""
    one = og.connect(folder)
    add(one, 0, 20)
    COPIES["cp"](folder, folder.with_name("b.odin"))
    remove(folder)
    folder.with_name("b.odin").rename(folder)
    with pytest.raises(og.WorkspaceError, match="moved, deleted or replaced"):
        add(one, 20, 21)
    with og.connect(folder) as two:
        assert_holds(two, set(range(20)))
        with pytest.raises(og.WorkspaceError, match="moved, deleted or replaced"):
            one.image("3")
    one.close()


@pytest.mark.parametrize("is_open", [True, False], ids=["open", "just closed"])
def test_a_moved_workspace_is_found_again(folder: Path, is_open: bool) -> None:
    """Also while its engine runs; whoever had it open learns of it at once, and nothing comes back at the old place."""
    one = og.connect(folder)
    add(one, 0, 20)
    keeper = pid(one)
    if not is_open:
        one.close()
    moved = folder.with_name("elsewhere") / "b.odin"
    moved.parent.mkdir()
    folder.rename(moved)
    with og.connect(moved) as two:
        assert pid(two) != keeper
        assert_holds(two, set(range(20)))
        if is_open:
            for call in (lambda: add(one, 20, 23), lambda: one.images().count(), lambda: one.image("3").pixels):
                with pytest.raises(og.WorkspaceError, match="moved, deleted or replaced"):
                    call()
            one.close()
        add(two, 23, 25)
        assert_holds(two, {*range(20), 23, 24})
    assert not folder.exists()


def test_a_deleted_workspace_does_not_come_back(folder: Path) -> None:
    one = og.connect(folder)
    add(one, 0, 20)
    keeper = pid(one)
    remove(folder)
    for call in (lambda: add(one, 20, 23), lambda: one.images().count(), lambda: one.image("3"), lambda: one.doctor()):
        with pytest.raises(og.WorkspaceError, match="moved, deleted or replaced"):
            call()
    assert wait_until_gone(keeper)
    one.close()
    assert not folder.exists()


def test_a_link_to_a_workspace_is_the_workspace(folder: Path) -> None:
    link = folder.with_name("link")
    link.symlink_to(folder, target_is_directory=True)
    with og.connect(folder) as one, og.connect(link) as two:
        assert pid(one) == pid(two)
        add(one, 0, 20)
        add(two, 20, 23)
        assert_holds(one, set(range(23)))
        assert_holds(two, set(range(23)))


def test_a_copy_of_hard_links_is_refused(folder: Path) -> None:
    """Its files are the original's: an engine of its own would write into them."""
    with og.connect(folder) as one:
        add(one, 0, 20)
        keeper = pid(one)
    stop(keeper)
    subprocess.run(["cp", "-al", folder, folder.with_name("b.odin")], check=True)
    with pytest.raises(og.WorkspaceError, match=r"hard links.*Make a copy of its own"):
        og.connect(folder.with_name("b.odin"))


@pytest.mark.parametrize("how", ["hard link", "link"])
def test_a_copy_of_which_one_file_is_shared_is_refused(folder: Path, how: str) -> None:
    """Snapshot tools link what has not changed since the last snapshot; the lock has."""
    with og.connect(folder) as one:
        add(one, 0, 20)
        keeper = pid(one)
    stop(keeper)
    copy = folder.with_name("b.odin")
    COPIES["cp"](folder, copy)
    files = (file for file in sorted((folder / "engine/databases").rglob("*")) if file.is_file())
    shared = next(file for file in files if file.stat().st_size > 1000)
    own = copy / shared.relative_to(folder)
    own.unlink()
    own.hardlink_to(shared) if how == "hard link" else own.symlink_to(shared)
    with pytest.raises(og.WorkspaceError, match=rf"are {how}s, shared.*Make a copy of its own"):
        og.connect(copy)
    with og.connect(folder) if how == "link" else og.connect(shutil.copytree(copy, folder.with_name("c"))) as whole:
        assert_holds(whole, set(range(20)))


def test_links_that_a_copy_would_bring_along_are_refused(folder: Path) -> None:
    """The graph, or a part of the arrays, of the original would be that of the copy."""
    with og.connect(folder) as one:
        add(one, 0, 20)
        keeper = pid(one)
    stop(keeper)
    for part, error, match in (("engine", og.WorkspaceError, "same graph"), ("arrays/segments", og.StoreError, "link")):
        inside, outside = folder / part, folder.with_name(f"{Path(part).name} elsewhere")
        inside.rename(outside)
        inside.symlink_to(outside)
        with pytest.raises(error, match=match):
            og.connect(folder)
        inside.unlink()
        outside.rename(inside)
    with og.connect(folder) as one:
        assert_holds(one, set(range(20)))


def test_a_copy_begins_a_generation_of_its_own(folder: Path) -> None:
    """Columns that are kept by the original's change token are not taken for the copy's."""
    with og.connect(folder) as one:
        add(one, 0, 20)
        keeper, token = pid(one), one._stores.graph.change_token()
    stop(keeper)
    COPIES["cp"](folder, folder.with_name("b.odin"))
    with og.connect(folder.with_name("b.odin")) as two:
        assert two._stores.graph.change_token() != token
    with og.connect(folder) as one:
        assert one._stores.graph.change_token() == token


def test_a_copy_made_while_somebody_writes_is_whole_or_refused(folder: Path) -> None:
    """Files of different moments are never opened as if nothing were: what opens agrees with itself, and can go on."""
    seed = secrets.randbits(32)
    print("seed", seed)
    chance = random.Random(seed)
    done = threading.Event()
    with og.connect(folder) as one:

        def write() -> None:
            n = 0
            while not done.is_set():
                one.images.add(images=PIXELS[:20], prefix=f"{n}/", metadata={"n": [n] * 20}, progress=False)
                n += 1

        writer = threading.Thread(target=write)
        writer.start()
        copies = []
        try:
            for number in range(2):
                copy = folder.with_name(f"{number}.odin")
                files = [file for file in folder.rglob("*") if file.is_file()]
                chance.shuffle(files)
                for file in files:
                    target = copy / file.relative_to(folder)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    try:
                        shutil.copyfile(file, target)
                    except FileNotFoundError:  # as cp says, and goes on
                        continue
                copies.append(copy)
        finally:
            done.set()
            writer.join()
    for copy in copies:
        try:
            two = og.connect(copy)
        except og.OdinError as why:
            said = str(why)
            two = None
        if two is None:
            assert "copied while somebody wrote" in said or "The graph engine of" in said, said
            continue
        with two:
            before = two.images().count()
            assert {row["n"] for row in two.cypher("MATCH (i:Image) RETURN i.n AS b, count(*) AS n")} <= {20}
            add(two, 0, 20)
            assert two.images().count() == before + 20
            assert {image.id: image.pixels.tobytes() for image in two.images() if "/" not in image.id} == {
                str(n): PIXELS[n].tobytes() for n in range(20)
            }


def test_one_missing_segment_leaves_the_other_images_readable(folder: Path) -> None:
    """Neither its rows nor its keys; what is missing is named, with what to do."""
    with og.connect(folder) as db:
        add(db, 0, 20)
        db.images.add(images=PIXELS[20:, :7], ids=[str(n) for n in range(20, 30)], progress=False)
        arrays = folder / "arrays"
        (lost,) = db.cypher("MATCH (s:Segment {array: 'pixels'}) WHERE s.rows = 10 RETURN s.uri AS uri, s.keys AS keys")
        shutil.rmtree(arrays / lost["uri"])
    for also in (False, True):
        if also:
            (arrays / "keys" / f"{lost['keys']}.npy").unlink()
        with og.connect(folder) as db:
            for n in range(20):
                np.testing.assert_array_equal(db.image(str(n)).pixels[..., 0], PIXELS[n])
            with pytest.raises(og.StoreError, match=r"is missing.*everything else can.*odin doctor"):
                _ = db.image("25").pixels
            report = db.doctor()
            assert not report.sound
            assert lost["uri"] in str(report) or lost["keys"] in str(report), str(report)


def test_who_may_not_write_there_is_told_so(folder: Path) -> None:
    """The engine writes, also for whoever only reads: an error of ours, at once."""
    with og.connect(folder) as db:
        add(db, 0, 2)
        keeper = pid(db)
    stop(keeper)
    program = (
        "import sys, os, odin_graph.workspace, odin_graph as og\n"
        "if os.getuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "for path in sys.argv[1:]:\n"
        "    try: og.connect(path); print('opened')\n"
        "    except og.WorkspaceError as why: print(why)\n"
    )
    temporary = Path(tempfile.gettempdir()).resolve()
    for path in takewhile(lambda above: above != temporary, folder.resolve().parents):
        path.chmod(path.stat().st_mode | 0o555)
    for path in folder.rglob("*"):
        path.chmod(0o444 if path.is_file() else 0o555)
    for path in (folder, folder / "engine"):
        path.chmod(0o555)
    fresh = folder.with_name("closed")
    fresh.mkdir(mode=0o555)
    ran = subprocess.run(
        [sys.executable, "-c", program, folder, fresh, fresh / "new.odin"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "HOME": str(folder.parent)},
        check=False,
    )
    folder.chmod(0o755)
    said = ran.stdout.splitlines()
    assert len(said) == 3, ran.stderr
    assert "cannot be opened: Permission denied" in said[0]
    assert "copy the workspace to a place where you may write" in said[0]
    assert all("cannot be made at" in line and "you may write to" in line for line in said[1:])


def test_a_copy_without_its_arrays_is_refused(folder: Path, tmp_path: Path) -> None:
    """Arrays outside the folder are not copied with it: two workspaces that share them would remove each other's."""
    arrays, copy = tmp_path / "arrays", folder.with_name("b.odin")
    with og.connect(folder, arrays=arrays) as one:
        add(one, 0, 20)
    COPIES["cp"](folder, copy)
    with pytest.raises(og.MismatchError, match=f"belong to {folder}. {copy} is a copy"):
        og.connect(copy, arrays=arrays)
    with og.connect(folder, arrays=arrays) as one:
        add(one, 20, 22)
        assert_holds(one, set(range(22)))


def test_a_copy_with_a_copy_of_its_arrays(folder: Path, tmp_path: Path) -> None:
    arrays, copy = tmp_path / "arrays", folder.with_name("b.odin")
    with og.connect(folder, arrays=arrays) as one:
        add(one, 0, 20)
    COPIES["cp"](folder, copy)
    COPIES["cp"](arrays, tmp_path / "copied")
    with og.connect(copy, arrays=tmp_path / "copied") as two, og.connect(folder, arrays=arrays) as one:
        two.image("3").purge(force=True)
        two.gc()
        assert_holds(two, set(range(20)) - {3})
        assert_holds(one, set(range(20)))


def test_a_moved_folder_keeps_its_arrays_and_a_lost_one_says_so(folder: Path, tmp_path: Path) -> None:
    arrays, moved = tmp_path / "arrays", tmp_path / "moved.odin"
    with og.connect(folder, arrays=arrays) as one:
        add(one, 0, 20)
    folder.rename(moved)
    with og.connect(moved, arrays=arrays) as two:
        assert_holds(two, set(range(20)))
    COPIES["cp"](moved, folder)
    remove(moved)
    with pytest.warns(og.errors.DataWarning, match="which is not there"), og.connect(folder, arrays=arrays) as two:
        assert_holds(two, set(range(20)))


def test_arrays_in_a_bucket_belong_to_one_folder(folder: Path, tmp_path: Path, s3: S3Server) -> None:
    """A copy of it is refused, also where both are closed; a moved one keeps them."""
    copy, moved = folder.with_name("b.odin"), tmp_path / "moved.odin"
    arrays = in_s3(tmp_path)
    with og.connect(folder, arrays=arrays) as one:
        add(one, 0, 20)
    COPIES["cp"](folder, copy)
    with pytest.raises(og.MismatchError, match=f"The arrays at {arrays} belong to {folder}. {copy} is a copy"):
        og.connect(copy, arrays=arrays)
    folder.rename(moved)
    with og.connect(moved, arrays=arrays) as two:
        assert_holds(two, set(range(20)))


def test_things_of_a_copy_are_no_things_of_the_original(folder: Path) -> None:
    """Keys and ids are the same in both, and mean other things: nothing of one is taken for what is in the other."""
    copy = folder.with_name("b.odin")
    with og.connect(folder) as one:
        add(one, 0, 20)
        one.datasets.add("d", one.images(), labels=["x"] * 20)
        COPIES["cp"](folder, copy)
        with og.connect(copy) as two:
            add(two, 20, 23)
            add(one, 23, 26)
            image, query, frozen = two.images["21"], two.images(["21", "22"]), two.datasets["d"]
            for call in (
                lambda: one.images(query),
                lambda: one.images([image]),
                lambda: one.images(frozen),
                lambda: one.datasets.add("e", query, label=None),
                lambda: one.labels.update(query, "a"),
                lambda: one.images.delete(image),
                lambda: one.images.purge(query),
                lambda: one.images(query) | one.images(),
                lambda: one.impact(image),
                lambda: one.leaks(frozen, "d"),
                lambda: one.run(train=frozen),
                lambda: one.vectors.add("v", query, np.zeros((2, 3))),
            ):
                with pytest.raises(og.MismatchError, match=r"is of the workspace .*b\.odin"):
                    call()
            assert_holds(one, {*range(20), *range(23, 26)})
    link = folder.with_name("link")
    link.symlink_to(folder)
    with og.connect(folder) as one, og.connect(link) as same:
        assert one.images(same.images(["1"])).ids() == ["1"]
        assert (one.images(["1"]) | same.images(["2"])).count() == 2
