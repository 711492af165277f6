"""Volumes and videos: their images are NumPy's slices, with lineage, root and metadata; on both engines."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data as skimage_data

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.images import stacks

data: Any = skimage_data


def volume(depth: int = 12) -> NDArray[np.uint16]:
    """A photograph of 16 bits that grows darker with depth: (depth, 64, 96)."""
    base = data.camera()[::8, ::8][:64, :48].astype(np.uint16) * 257
    wide = np.concatenate([base, base[:, ::-1]], axis=1)
    return np.stack([(wide // (place + 1)).astype(np.uint16) for place in range(depth)])


def film() -> NDArray[np.uint8]:
    """A window that moves over a photograph: (10, 40, 50, 3)."""
    photograph = data.astronaut()
    return np.stack([photograph[step * 8 : step * 8 + 40, step * 6 : step * 6 + 50] for step in range(10)])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_numpys(db: og.Workspace, axis: int) -> None:
    voxels = volume()
    brain = db.volumes.add("brain", voxels, axis=axis, patientID=7)
    assert len(brain) == voxels.shape[axis]
    for index in (0, 5, voxels.shape[axis] - 1):
        image = db.images[f"brain/{index:06d}"]
        np.testing.assert_array_equal(image.pixels[..., 0], np.take(voxels, index, axis))
        assert (image.dtype, image.fields["slice_index"], image.fields["patientID"]) == ("uint16", index, 7)
        assert brain[index] == image
    assert [image.fields["slice_index"] for image in brain] == list(range(voxels.shape[axis]))
    np.testing.assert_array_equal(brain.voxels, voxels)
    assert brain.shape == voxels.shape
    assert examine(db.images._stores).sound


@pytest.mark.parametrize(("axis", "shape"), [(0, (3, 12, 20, 20)), (1, (5, 3, 20, 20))])
def test_channels_that_come_first_are_remarked_on(db: og.Workspace, axis: int, shape: tuple[int, ...]) -> None:
    voxels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    asked = rf"'a' has shape \({shape[0]}, .*stored with 20 bands.* give np.moveaxis\(array, {axis}, -1\)"
    with pytest.warns(og.LayoutWarning, match=asked) as told:
        held = db.volumes.add("a", voxels)
    assert told[0].filename == __file__
    np.testing.assert_array_equal(held.voxels, voxels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        db.volumes.add("b", np.moveaxis(voxels, axis, -1))
        db.volumes.add("gray", voxels[0])


def test_frames_have_their_time(db: og.Workspace) -> None:
    frames = film()
    video = db.videos.add("walk", frames, fps=4, every=3, labels=["a", "b", "a", "b"], metadata={"shot": [1, 1, 2, 2]})
    assert [image.id for image in video] == ["walk/000000", "walk/000003", "walk/000006", "walk/000009"]
    table = video.frames().to_arrow("frame_index", "frame_seconds", "label", "shot")
    assert table.column("frame_index").to_pylist() == [0, 3, 6, 9]
    assert table.column("frame_seconds").to_pylist() == [0, 0.75, 1.5, 2.25]
    assert table.column("label").to_pylist() == ["a", "b", "a", "b"]
    np.testing.assert_array_equal(video.pixels, frames[::3])
    assert video.fps == 4
    assert len(video[1:3]) == 2
    assert "4 frames" in repr(video)


def test_lineage_goes_up_to_it_and_down_from_it(db: og.Workspace) -> None:
    brain = db.volumes.add("brain", volume(4), patientID=7)
    crops = brain.slices().where(F("slice_index") < 2).crop((0, 0, 8, 8)).store("corner")
    (crop,) = crops[:1]
    assert crop.parent == db.images["brain/000000"]
    assert isinstance(crop.parent.parent, og.Volume)
    assert crop.parent.parent.id == "brain"
    assert crop.ancestors().ids() == ["brain/000000", "brain"]
    down = brain.descendants()
    assert set(down.ids()) == {*(f"brain/{n:06d}" for n in range(4)), "brain/000000#corner", "brain/000001#corner"}
    assert len(down.images()) == 6
    db.datasets.add("corners", crops, label=None)
    assert down.used_by(og.Dataset).ids() == ["corners@1"]
    rows = db.cypher("MATCH (i:Image)-[:HAS_ROOT]->(v:Volume {id: 'brain'}) RETURN count(i) AS n")
    assert rows[0]["n"] == 6
    edge = db.cypher(
        "MATCH (:Image {id: 'brain/000003'})-[e:DERIVED_FROM]->(v:Volume) RETURN e.op AS op, e.params AS p, e.code AS c"
    )[0]
    assert (edge["op"], edge["p"]) == ("slice", '{"axis": 0, "index": 3}')
    assert edge["c"].startswith("odin-graph ")


def test_slices_of_one_volume_leak_by_lineage(db: og.Workspace) -> None:
    brain = db.volumes.add("brain", volume(6))
    other = db.volumes.add("other", volume(6) + 1)
    db.datasets.add("train", [*brain[:3], *other], label=None)
    db.datasets.add("test", brain[3:], label=None)
    found = db.leaks("train", "test", rules=["lineage"])
    assert found.counts["lineage"]["test images"] == 3


def test_the_same_again_is_the_one_that_is_there(db: og.Workspace) -> None:
    first = db.volumes.add("brain", volume(), age=61)
    again = db.volumes.add("brain", volume(), age=61)
    assert (again.digest, len(again), db.volumes.ids()) == (first.digest, 12, ["brain"])
    changed = volume()
    changed[11, 63, 95] += 1
    for array, what in ((changed, "pixels"), (volume(5), "shape"), (volume().astype(np.float32), "dtype")):
        with pytest.raises(og.ConflictError, match=f"'brain' already, with other .*{what}.*another id"):
            db.volumes.add("brain", array)
    with pytest.raises(og.ConflictError, match="axis"):
        db.volumes.add("brain", volume(), axis=1)
    assert len(db.images) == 12


def test_equal_content_has_the_equal_digest(db: og.Workspace) -> None:
    one, two = db.volumes.add("one", volume()), db.volumes.add("two", volume())
    assert one.digest == two.digest
    assert one.digest != db.volumes.add("three", volume(), axis=1).digest
    assert one.digest != db.volumes.add("four", volume(), every=2).digest


def test_an_interrupted_call_goes_on(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacks, "BATCH", 5)
    real, calls = stacks.add_images, []

    def failing(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(stacks, "add_images", failing)
    with pytest.raises(KeyboardInterrupt):
        db.volumes.add("brain", volume())
    assert (len(db.images), db.volumes.ids()) == (5, [])  # a batch is whole; the volume is not there before it is ready
    with pytest.raises(og.UnknownNameError, match="brain"):
        db.volumes["brain"]
    report = examine(db.images._stores)
    assert report.sound
    assert report.unfinished == ("Volume brain",)
    assert len(db.volumes.add("brain", volume())) == 12
    np.testing.assert_array_equal(db.volumes["brain"].voxels, volume())
    assert examine(db.images._stores, deep=True).unfinished == ()


def test_a_mapped_file_is_read_where_it_lies(db: og.Workspace, tmp_path: Path) -> None:
    np.save(tmp_path / "voxels.npy", volume())
    mapped = np.load(tmp_path / "voxels.npy", mmap_mode="r")
    np.testing.assert_array_equal(db.volumes.add("brain", mapped, axis=2).voxels, volume())


def test_metadata_is_selected_and_updated(db: og.Workspace) -> None:
    db.volumes.add("old", volume(2), age=70, site="Lima")
    db.volumes.add("young", volume(2), age=20, site="Lima")
    assert db.volumes.where(F("age") > 60, site="Lima").ids() == ["old"]
    db.volumes["old"].update(age=71)
    assert db.volumes["old"].metadata == {"age": 71, "site": "Lima"}
    db.volumes.update({"young": {"age": 21}})
    assert sorted(db.volumes.to_pandas()["age"]) == [21, 71]
    assert db.images().where(F("site") == "Lima").count() == 4


def test_delete_and_purge(db: og.Workspace) -> None:
    db.volumes.add("a", volume(3))
    db.volumes.add("b", volume(3), name_of_patient="X")
    db.datasets.add("set", db.volumes["a"].slices(), label=None)
    with pytest.raises(og.FrozenError, match="set@1"):
        db.volumes["a"].delete()
    with pytest.raises(og.FrozenError, match="set@1"):
        db.volumes["a"].purge()
    assert db.volumes.ids() == ["a", "b"]
    db.volumes["a"].delete(force=True, why="blurred")
    assert db.volumes.ids() == ["b"]
    assert len(db.images) == 3
    with pytest.raises(og.ConflictError, match="blurred"):
        db.volumes.add("a", volume(3))
    report = db.volumes["b"].purge()
    assert len(report.images) == 3
    assert (db.volumes.ids(), len(db.images)) == ([], 0)
    left = db.cypher("MATCH (v:Volume {id: 'b'}) RETURN properties(v) AS p")[0]["p"]
    assert left == {"id": "b", "deleted": True, "state": "deleted"}
    assert examine(db.images._stores).sound


def test_a_deleted_slice_is_missed(db: og.Workspace) -> None:
    brain = db.volumes.add("brain", volume(4))
    brain[1].delete()
    assert len(brain) == 3
    with pytest.raises(og.QueryError, match=r"1 slices of 'brain' were deleted.*slices\(\)"):
        _ = brain.voxels
    assert examine(db.images._stores).sound


def test_doctor_misses_a_slice_that_a_client_cut_off(db: og.Workspace) -> None:
    db.volumes.add("brain", volume(4))
    db.cypher("MATCH (i:Image {id: 'brain/000002'})-[e:DERIVED_FROM]->(:Volume) DELETE e", write=True)
    faults = [str(fault) for fault in examine(db.images._stores).faults]
    assert any("has 3 slices" in fault for fault in faults)
    assert any("edge DERIVED_FROM to volume 'brain' is missing" in fault for fault in faults)


def test_pictures(db: og.Workspace, tmp_path: Path) -> None:
    db.videos.add("walk", film())
    assert db.videos["walk"].save(tmp_path / "walk.png").stat().st_size > 10_000
    deep = db.volumes.add("deep", volume(60))
    assert sum(axes.has_data() for axes in deep.sheet().figure.axes) == 24
    assert deep.save(tmp_path / "deep.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("array", "options", "error", "said"),
    [
        (np.zeros((4, 5)), {}, og.ShapeError, r"float64 of shape \(4, 5\).*slices, height, width"),
        (np.zeros((0, 4, 5)), {}, og.ShapeError, r"\(0, 4, 5\)"),
        (np.zeros((2, 4, 5), complex), {}, og.ShapeError, "complex"),
        (np.zeros((2, 4, 5), np.longdouble), {}, og.ShapeError, "floats of up to 64 bits"),
        (np.ma.masked_equal(np.eye(4)[None], 1), {}, og.DataError, "4 pixels of 'v' are masked"),
        ([[[1]]], {}, og.DataError, "list"),
        (np.zeros((2, 4, 5)), {"axis": 3}, og.DataError, "axis=3"),
        (np.zeros((2, 4, 5)), {"every": 0}, og.DataError, "every=0"),
        (np.zeros((2, 4, 5)), {"labels": "ab"}, og.DataError, "'labels' is 'ab': give one value an image"),
        (np.zeros((2, 4, 5)), {"labels": ["a"]}, og.ShapeError, "2 slices are stored, but 1 labels"),
        (np.zeros((2, 4, 5)), {"metadata": {"x": [1, 2, 3]}}, og.ShapeError, "3 x"),
        (np.zeros((2, 4, 5)), {"metadata": {"x": [1, 2]}, "x": 3}, og.DataError, "x: given for each slice"),
        (np.zeros((2, 4, 5)), {"digest": "mine"}, og.MetadataError, "'digest' is a property of ours"),
    ],
)
def test_what_is_no_volume_is_refused_and_nothing_is_stored(
    db: og.Workspace, array: Any, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        db.volumes.add("v", array, **options)
    assert db.cypher("MATCH (v:Volume) RETURN count(v) AS n")[0]["n"] == 0
    assert len(db.images) == 0


def test_ids_that_are_taken_by_images(db: og.Workspace) -> None:
    db.images.add(images=[volume(1)[0]], ids=["brain/000000"])
    with pytest.raises(og.ConflictError, match=r"1 images were there before.*'brain/000000'.*another id"):
        db.volumes.add("brain", volume(3))
    assert db.volumes.ids() == []
    for bad in ("", "a@1", "a#b", 7):
        with pytest.raises(og.DataError, match="is not an id of a volume"):
            db.volumes.add(bad, volume(1))  # type: ignore[arg-type]
