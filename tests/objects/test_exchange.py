"""What is exported is what is loaded: pixels, labels, metadata, tags and versions, in every format."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.datasets.exchange import FORMATS
from odin_graph.catalog.datasets.exchange_pixels import folder_names

Another = Callable[[], og.Workspace]
PIXELS = np.random.default_rng(0).integers(0, 255, (6, 4, 4), dtype=np.uint8)
ABOUT: dict[str, Any] = {
    "note": "007",
    "site": 7,
    "share": 0.1,
    "done": True,
    "at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    "day": date(2026, 1, 2),
    "many": ["a", "1"],
    "days": [date(2026, 1, 2)],
}


def fill(db: og.Workspace) -> og.Dataset:
    db.images.add(
        images=PIXELS[:3],
        ids=["a", "b", "m3"],
        labels=["<5mm", ">5mm", "<5mm"],
        metadata={
            "age": [1, None, 3],
            "code": ["007", "7", ""],
            "file": ["x", "y", None],
            "few": [[], [1], None],
            "ok": [True, False, None],
        },
        progress=False,
    )
    db.image("m3").revise(PIXELS[3])
    db.image("m3@2").revise(PIXELS[4], age=4)
    made = db.datasets.add("sizes", db.images().order_by(F("key").desc()), **ABOUT)
    made.tag("gold", "ä")
    return made


def facts(dataset: og.Dataset) -> dict[str, Any]:
    names = ("label", "age", "code", "file", "few", "ok", "digest")
    return {image.id: [(type(image[name]), image[name]) for name in names] for image in dataset.images()}


def revisions(db: og.Workspace) -> list[list[str]]:
    rows = db.cypher("MATCH (a:Image)-[:REVISION_OF]->(b:Image) RETURN a.id AS a, b.id AS b ORDER BY a")
    return [[row["a"], row["b"]] for row in rows]


@pytest.mark.parametrize("kind", FORMATS)
def test_what_is_loaded_is_what_was_exported(db: og.Workspace, tmp_path: Path, kind: Any, another: Another) -> None:
    made = fill(db)
    path = made.export(tmp_path / kind, format=kind, progress=False)
    with another() as other:
        back = other.datasets.load(path, progress=False)
        assert back.digest == made.digest
        assert facts(back) == facts(made)
        assert (set(back.tags), back.metadata) == ({"gold", "ä"}, made.metadata)
        assert {name: type(value) for name, value in back.metadata.items()} == {
            name: type(value) for name, value in made.metadata.items()
        }
        assert revisions(other) == [["m3@2", "m3"], ["m3@3", "m3@2"]]
        assert other.images["m3"].label == "<5mm"
        assert other.datasets.load(path, progress=False).id == back.id
        assert len(other.images) == 5
        assert other.doctor().sound
    again = db.datasets.load(path, id="again", progress=False)
    assert (again.digest, len(db.images)) == (made.digest, 5), "a revision that is here is not stored once more"


def test_classes_of_like_names_have_folders_of_their_own(db: og.Workspace, tmp_path: Path) -> None:
    path = fill(db).export(tmp_path / "out", format="folder", progress=False)
    assert sorted(held.name for held in (path / "images").iterdir()) == ["_5mm", "_5mm-2"]
    names = folder_names(["<5mm", ">5mm", "A", "a", "_5mm-2", None, "None x", "ä/ö", "", "..", "a" * 300, "a" * 301])
    assert len({name.casefold() for name in names.values()}) == len(names)


def test_a_part_of_the_versions(db: og.Workspace, tmp_path: Path, another: Another) -> None:
    """A revision alone is that revision; it joins the versions that are there, and never those of another image."""
    fill(db)
    path = db.datasets.add("last", ["m3@3"]).export(tmp_path / "last", progress=False)
    with another() as other:
        assert [image.id for image in other.datasets.load(path, progress=False).images()] == ["m3@3"]
        assert revisions(other) == []
    with another() as other:
        other.images.add(images=PIXELS[2:3], ids=["m3"], progress=False)
        other.datasets.load(path, progress=False)
        assert revisions(other) == [["m3@3", "m3"]]
        assert other.image("m3").revise(PIXELS[5]).id == "m3@4"
    with another() as other:
        other.images.add(images=PIXELS[5:], ids=["m3"], progress=False)
        with pytest.raises(og.ConflictError, match="'m3' has other pixels in this workspace"):
            other.datasets.load(path, progress=False)
        assert len(other.images) == 1


def test_images_that_are_there_with_other_values_are_named(db: og.Workspace, tmp_path: Path) -> None:
    path = fill(db).export(tmp_path / "out", progress=False)
    db.labels.update("a", ">5mm")
    db.images.update({"m3": {"age": 9}})
    with pytest.warns(og.DataWarning, match="2 images of .* are here with another label or other metadata"):
        again = db.datasets.load(path, id="again", progress=False)
    assert dict(zip([image.id for image in again.images()], again.labels, strict=True))["a"] == "<5mm"
    assert (db.image("a").label, db.image("m3").age) == (">5mm", 9)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_export_is_named_and_stores_nothing_wrong(
    db: og.Workspace, tmp_path: Path, kind: Any, another: Another
) -> None:
    """Wherever a byte was changed or the end is missing, and the whole export can be loaded afterwards."""
    made = fill(db)
    path = made.export(tmp_path / kind, format=kind, progress=False)
    other, errors = another(), []
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        whole = file.read_bytes()
        for at in (len(whole) // 5, len(whole) // 2, len(whole) - 9):
            for data in (whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :], whole[:at], b""):
                file.write_bytes(data)
                try:
                    assert other.datasets.load(path, progress=False).digest == made.digest
                except og.OdinError as error:
                    errors.append(str(error))
        file.write_bytes(whole)
    assert len(errors) > 6
    assert all(str(path) in error for error in errors)
    assert other.datasets.load(path, progress=False).verify(made)
    assert facts(other.datasets["sizes"]) == facts(made)
