"""Bad input: an error of ours that names the thing, the reason and the remedy, and nothing half-written."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

import odin_graph as og
from odin_graph import F
from odin_graph.address import Address
from tests.mnist import mnist
from tests.runtime.networks import Fixed
from tests.workspaces import add_digits, connect

pytestmark = pytest.mark.starts_engine

CYPHER = "x'}) DETACH DELETE n //"
NAMES = [CYPHER, "`) MATCH (n) DETACH DELETE n RETURN (`", "$id", "a\\u0027b", 'say "no"', "} {", "/* */ -- ;"]


@contextmanager
def refused(db: og.Workspace, kind: type[og.OdinError], *said: str) -> Iterator[None]:
    """The block raises an error of just this class that says all of this; the workspace stays as it was, and sound."""
    before = counted(db)
    with pytest.raises(og.OdinError) as caught:
        yield
    assert type(caught.value) is kind, repr(caught.value)
    for part in said:
        assert part in str(caught.value)
    assert counted(db) == before
    assert_sound(db)


def counted(db: og.Workspace) -> dict[str, int]:
    """How many of everything that users see there are; what is being built is not seen."""
    rows = db.cypher(
        "MATCH (n) WHERE coalesce(n.state, '') <> 'building' UNWIND labels(n) AS l RETURN l, count(*) AS n"
    )
    ours = ("Image", "Dataset", "Model", "Experiment", "Checkpoint", "PredictionSet", "Prediction", "Segment")
    return {row["l"]: row["n"] for row in rows if row["l"] in ours}


def assert_sound(db: og.Workspace) -> None:
    report = db.doctor()
    assert report.sound, str(report)


def squares(number: int, size: int = 20) -> np.ndarray:
    """Gray squares of one size, each other than the rest."""
    return np.arange(number * size * size, dtype=np.uint32).reshape(number, size, size).astype(np.uint8) + np.arange(
        number, dtype=np.uint8
    ).reshape(-1, 1, 1)


# Unknown data set


def test_an_unknown_data_set_where_there_is_none(db: og.Workspace) -> None:
    with refused(db, og.UnknownNameError, "There is no data set 'retina'", "none yet", "db.datasets.add("):
        db.images("retina")


def test_an_unknown_data_set(db: og.Workspace) -> None:
    add_digits(db)
    db.datasets.add("digits-test", db.images())
    said = "There is no data set 'digit-test'. Did you mean 'digits-test'? There is: digits-test."
    for look in (db.images, db.dataset, lambda id_: db.run(train=id_), lambda id_: db.compare("a", "b", on=id_)):
        with refused(db, og.UnknownNameError, said):
            look("digit-test")
    with refused(db, og.UnknownNameError, "'digits-test@7'"):
        db.images("digits-test@7")
    with db.run(id="elsewhere") as run, refused(db, og.UnknownNameError, said):
        run.log_predictions("digit-test", [1])


# Missing label


def test_a_missing_label(db: og.Workspace) -> None:
    db.images.add(images=squares(3), labels=["a", None, "b"], prefix="eye")
    with refused(
        db, og.DataError, "1 of 3 images have no 'label', first 'eye/000001'", "leave them out", "label=None for a set"
    ):
        db.datasets.add("eyes", db.images())
    assert "eyes" not in db.datasets
    with refused(db, og.DataError, "1 of 3 images have no label", 'query.where(F("label").is_not_null())'):
        db.images().to_torch()
    assert len(db.datasets.add("eyes", db.images().where(F("label").is_not_null()))) == 2, "the remedy works"
    assert len(db.datasets.add("all-eyes", db.images(), label=None)) == 3, "so does the other"


def test_a_label_field_that_there_is_not(db: og.Workspace) -> None:
    db.images.add(images=squares(2), metadata={"grade": [1, 2]})
    with refused(db, og.UnknownNameError, "'grad'", "Did you mean 'grade'?"):
        db.datasets.add("eyes", db.images(), label="grad")


# Unreadable image


def test_an_unreadable_image(db: og.Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "eyes"
    folder.mkdir()
    Image.fromarray(mnist()[0][0]).save(folder / "a.png")
    whole = (folder / "a.png").read_bytes()
    for name, data, reason in [
        ("words.png", b"no pixels here", "it is not an image"),
        ("empty.png", b"", "it is not an image"),
        ("cut.png", whole[: len(whole) // 2], "it is broken"),
    ]:
        (folder / name).write_bytes(data)
        with refused(db, og.UnreadableImageError, str(folder / name), reason, 'on_error="skip"'):
            db.images.add(folder)
        report = db.images.add(folder, on_error="skip")
        assert [id_ for id_, _ in report.errors] == [name]
        assert [image.id for image in db.images] == ["a.png"]
        (folder / name).unlink()
    assert_sound(db)


def test_an_image_that_is_not_there(db: og.Workspace, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("path\ngone.png\n")
    with refused(db, og.UnreadableImageError, str(tmp_path / "gone.png"), "No such file", 'on_error="skip"'):
        db.images.add(tmp_path / "table.csv")
    with refused(db, og.DataError, str(tmp_path / "nowhere")):
        db.images.add(tmp_path / "nowhere")


# Shapes that the model refuses


def test_shapes_that_the_model_refuses(db: og.Workspace) -> None:
    add_digits(db)
    db.images.add(images=squares(4), labels=[0, 1, 2, 3], prefix="square")
    squares_ = db.datasets.add("squares", [f"square/{n:06}" for n in range(4)])
    db.datasets.add("mixed", db.images())
    model = db.models.add("fixed", Fixed, classes=list(range(10)), input_shape=(1, 28, 28))
    with db.run(model, id="run") as run:
        run.add_checkpoint(Fixed())
        with refused(db, og.ShapeError, "The model 'fixed' refuses images of shape (1, 20, 20)", "preprocess="):
            run.predict(squares_, progress=False)
        with refused(db, og.ShapeError, "2 different shapes", "(1, 20, 20)", "put a resize", "preprocess="):
            run.predict("mixed", progress=False)
        with refused(db, og.ShapeError, "probabilities"):
            run.log_predictions(squares_, probabilities=np.zeros((4, 3)))
    assert db.experiment("run").predictions() == []
    with refused(db, og.ShapeError, "(1, 20, 20)", "input_shape="):
        db.models.add("other", Fixed, classes=list(range(10)), input_shape=(1, 20, 20))
    with refused(db, og.ShapeError, "The model 'three'", "3"):
        db.models.add("three", Fixed, classes=["a", "b", "c"], input_shape=(1, 28, 28))
    assert db.models.ids() == ["fixed"]


# A frozen data set changed


def test_a_frozen_data_set_is_not_changed(db: og.Workspace) -> None:
    add_digits(db)
    made = db.datasets.add("digits", db.images())
    digest, labels = made.digest, made.labels
    fewer, turned, relabeled = db.images()[:10], db.images().order_by(F("n").desc()), [1] * 20
    said = "The data set 'digits' exists with other images, another order or other labels"
    for images, given in [(fewer, None), (turned, None), (db.images(), relabeled)]:
        with refused(db, og.FrozenError, said, "digits@1", "give another id, or revise=True to make digits@2"):
            db.datasets.add("digits", images, labels=given)
    assert db.datasets.add("digits", db.images()) == made, "the same content is the same data set"
    with pytest.raises(AttributeError):
        made.id = "other"  # type: ignore[misc]
    with refused(db, og.ConflictError, "'digit/000000'", 'on_conflict="skip"'):
        db.images.add(images=np.zeros((1, 28, 28), np.uint8), ids=["digit/000000"])
    db.cypher("MATCH (i:Image) SET i.label = 99", write=True)  # today's truth changes; what was frozen does not
    again = db.dataset("digits@1")
    assert (again.digest, again.labels) == (digest, labels)
    assert set(db.images("digits").to_arrow("label").column("label").to_pylist()) == set(labels)
    assert db.datasets.add("digits", db.images(), revise=True).id == "digits@2", "the remedy works"
    assert db.dataset("digits@1").labels == labels
    (fault,) = db.doctor(deep=True).faults  # who changed it, and when, nobody knows
    assert (fault.thing, fault.reason[:9]) == ("labels", "20 images")


# Two things of one id


def test_two_things_of_one_id(db: og.Workspace) -> None:
    add_digits(db)
    db.datasets.add("digits", db.images())
    db.models.add("fixed", Fixed, classes=list(range(10)))
    with db.run("fixed", id="run", train="digits"):
        pass
    with refused(db, og.ConflictError, "'digit/000001'", "other ids", 'on_conflict="skip"', '"revise"'):
        db.images.add(images=squares(2), ids=["new", "digit/000001"])
    with refused(db, og.ConflictError, "Two images of the call have the id 'twin'", "give each its own"):
        db.images.add(images=squares(2), ids=["twin", "twin"])
    with refused(db, og.ConflictError, "'fixed'", "id"):
        db.models.add("fixed", Fixed, classes=list(range(9)), kwargs={"classes": 9})
    with refused(db, og.ConflictError, "'run'", "id"):
        db.run(id="run", params={"lr": 3})
    with refused(db, og.ConflictError, "already"):
        db.cypher("CREATE (:Image {id: 'digit/000001', key: 100000})", write=True)


# A name that is Cypher


@pytest.mark.parametrize("name", NAMES)
def test_an_id_that_is_cypher_is_an_id(db: og.Workspace, name: str) -> None:
    db.images.add(images=squares(2), ids=[name, "plain"], labels=[name, "other"], metadata={"said": [name, None]})
    made = db.datasets.add(name, db.images().where(F("said") == name))
    with db.run(id=name, test=made, group=name, tags=[name]) as run:
        run.log_predictions(made, [name])
    assert db.image(name).label == name
    assert db.images(name).count() == 1
    assert [image.id for image in db.images().where(F("label") == name)] == [name]
    assert db.experiment(name).datasets == {"test": f"{name}@1"}
    assert db.images(name).where(~db.experiment(name).wrong).count() == 1
    assert list(db.cypher("MATCH (i:Image {id: $id}) RETURN i.said AS said", id=name)) == [{"said": name}]
    query = db.images().where(F("said") == name).to_cypher()
    assert name not in str(query.text), "a value travels as a parameter"
    assert len(db.images) == 2
    assert_sound(db)


@pytest.mark.parametrize("name", [CYPHER, "age`: 1}) DETACH DELETE n //", "n) RETURN 1 //"])
def test_a_field_that_is_cypher_is_refused(db: og.Workspace, name: str) -> None:
    add_digits(db)
    with refused(db, og.MetadataError, repr(name), "is not a metadata name: use letters, digits and underscores"):
        db.images.add(images=squares(1), metadata={name: [1]})
    with refused(db, og.MetadataError, repr(name)):
        db.datasets.add("digits", db.images(), **{name: 1})  # type: ignore[arg-type]
    with refused(db, og.UnknownNameError, repr(name), "There is: "):
        db.images().where(F(name) == 1)
    with refused(db, og.UnknownNameError, repr(name), "There is: "):
        db.images().order_by(F(name))


# No space left


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A folder with little space: a tmpfs of its own; where none may be mounted, the kernel's limit on file sizes."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode == 0:
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield folder
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_space_left(address: Address, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 512, 512), np.uint8)
    with small_disk(tmp_path / "small", 1 << 20) as folder, connect(address, arrays=folder / "arrays") as db:
        add_digits(db)
        made = db.datasets.add("digits", db.images())
        said = f"No space is left at {folder / 'arrays'}", "nothing of it was stored", "odin gc", "call again"
        with refused(db, og.SpaceError, *said):
            db.images.add(images=noise, prefix="noise", labels=[1] * 8, progress=False)
        assert db.gc().files == ()
        many = np.random.default_rng(0).random((20, 50_000), np.float32)
        many /= many.sum(axis=1, keepdims=True)
        with db.run(id="elsewhere") as run, refused(db, og.SpaceError, *said):
            run.log_predictions(made, probabilities=many, classes=list(range(50_000)))
        assert db.experiment("elsewhere").predictions() == []
        assert len(db.images) == 20
        assert db.image("digit/000019").pixels.shape == (28, 28, 1), "what was there can be read"
        add_digits(db, 25, prefix="more")
        assert len(db.images) == 45, "what fits is stored"
        assert_sound(db)


def test_no_space_left_for_the_engine(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 1 << 16) as folder:
        limited = not folder.is_mount()
        with pytest.raises(og.EngineStartError) as caught:
            og.connect(folder / "retina.odin")
    said = str(caught.value)
    assert f"The graph engine of {folder / 'retina.odin' / 'engine'}" in said
    assert limited or "No space is left at" in said
    assert limited or "make room" in said
    assert "The end of" in said


def test_the_disk_fills_under_the_running_engine(tmp_path: Path, soak: bool) -> None:
    with small_disk(tmp_path / "small", 96 << 20) as folder:
        if not folder.is_mount():
            pytest.skip("a small file system cannot be mounted here")
        with og.connect(folder / "retina.odin", arrays=str(tmp_path / "arrays")) as db:
            pid = db.bolt.pid
            free = shutil.disk_usage(folder).free
            (folder / "filler").write_bytes(bytes(free - (8 << 20)))
            stored, said = fill(db)
            assert f"No space is left at {folder / 'retina.odin' / 'engine'}" in said
            assert "Acknowledged changes are stored" in said
            held = len(db.images)
            assert held in (stored, stored + 100), "a commit that failed has happened whole, or not at all"
            assert_sound(db)
            if not soak:  # with no room to write to, the engine takes half a minute to stop
                (folder / "filler").unlink()
        psutil.Process(pid).wait(90)
        (folder / "filler").unlink(missing_ok=True)
        with og.connect(folder / "retina.odin", arrays=str(tmp_path / "arrays")) as db:
            assert len(db.images) in (stored, held)
            add_digits(db)
            db.gc()
            assert_sound(db)
            pid = db.bolt.pid
        psutil.Process(pid).wait(90)  # it writes into the folder until then


def fill(db: og.Workspace) -> tuple[int, str]:
    """Store images until there is no space; how many were acknowledged, and what was said."""
    for turn in range(1_000):
        try:
            db.images.add(images=squares(100), prefix=f"part-{turn}", metadata={"text": ["x" * 2_000] * 100})
        except og.SpaceError as error:
            return 100 * turn, str(error)
    raise AssertionError("the disk did not fill")
