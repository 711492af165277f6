"""Splitting again: who has a side keeps it; what a split did not reach is said and kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.datasets import datasets
from tests.kept import kept

NUMBER = 40
PARTS = {"train": 0.5, "val": 0.25, "test": 0.25}
HOW: list[dict[str, Any]] = [
    {},
    {"stratify": "label"},
    {"group_by": "patient"},
    {"group_by": "patient", "stratify": "label"},
    {"time": "day"},
]


@kept
def scans(db: og.Workspace) -> og.Workspace:
    """40 scans of 20 patients in 4 classes, one a day."""
    _add(db, 0, NUMBER)
    db.datasets.add("d", db.images())
    return db


def _add(db: og.Workspace, first: int, number: int, **changed: Any) -> list[str]:
    at = list(range(first, first + number))
    pixels = np.random.default_rng(first).integers(0, 255, (number, 8, 8), dtype=np.uint8)
    metadata = {"patient": [f"p{n // 2:02}" for n in at], "day": at, **changed}
    names = [f"i{n:03}" for n in at]
    db.images.add(images=pixels, ids=names, labels=["ABCD"[n % 4] for n in at], metadata=metadata, progress=False)
    return names


def sides(parts: dict[str, og.Dataset]) -> dict[int, str]:
    return {int(key): name for name, part in parts.items() for key in part.keys().tolist()}


@pytest.mark.parametrize("how", HOW, ids=str)
def test_a_split_of_the_next_version_keeps_every_side(scans: og.Workspace, how: dict[str, Any]) -> None:
    """After corrected labels, removed and added images, whoever was in a part is in that part."""
    first = scans.datasets["d"].split(PARTS, **how)
    scans.labels.update({"i003": "A", "i010": "D"})
    scans.images(["i005", "i006"]).delete(force=True)
    _add(scans, NUMBER, 8)
    again = scans.datasets.add("d", scans.images(), revise=True).split(PARTS, **how, revise=True)
    before, after = sides(first), sides(again)
    assert len(after) == NUMBER - 2 + 8
    assert {key: side for key, side in after.items() if key in before} == {
        key: side for key, side in before.items() if key in after
    }
    assert {part.id: part.labels for part in again.values()} == {
        part.id: part.labels for part in scans.datasets["d"].split(PARTS, **how, revise=True).values()
    }, "the same again is the same"
    if "group_by" in how:
        fields = scans.datasets["d@2"].images().to_arrow("patient")
        of = dict(zip(fields["key"].to_pylist(), fields["patient"].to_pylist(), strict=True))
        assert len({(of[key], side) for key, side in after.items()}) == len(set(of.values()))


def test_folds_keep_their_images_and_their_number(scans: og.Workspace) -> None:
    folds = scans.datasets["d"].kfold(4, group_by="patient")
    before = sides({str(n): fold["test"] for n, fold in enumerate(folds)})
    new = _add(scans, NUMBER, 8)
    again = scans.datasets["d"].revise(add=new, relabel={"i001": "C"})
    after = sides({str(n): fold["test"] for n, fold in enumerate(again.kfold(4, group_by="patient", revise=True))})
    assert {key: after[key] for key in before} == before
    assert len(after) == NUMBER + 8
    with pytest.raises(og.DataError, match=r"has 4 folds.*redraw=True"):
        again.kfold(5, group_by="patient", revise=True)
    assert len(again.kfold(5, group_by="patient", redraw=True)) == 5


def test_new_pixels_and_returning_patients_are_on_the_side_they_were_on(scans: og.Workspace) -> None:
    """What a model may have learned from, by earlier pixels or by patient, stays away from what judges it."""
    first = scans.datasets["d"].split(PARTS, group_by="patient")
    was = {id_: name for name, part in first.items() for id_ in part.images().to_arrow("id")["id"].to_pylist()}
    scans.image("i000").revise(np.zeros((8, 8), np.uint8))
    kept = [f"i{n:03}" for n in range(NUMBER) if n // 2 not in (0, 7)]  # patients 0 and 7 are gone ...
    second = scans.datasets.add("d", kept, revise=True)
    second.split(PARTS, group_by="patient", revise=True)
    back = _add(scans, NUMBER, 2, patient=["p07", "p07"])  # ... and 7 comes back, and the new pixels of i000
    third = second.revise(add=[*back, "i000@2"])
    now = third.split(PARTS, group_by="patient", revise=True)
    found = {id_: name for name, part in now.items() for id_ in part.images().to_arrow("id")["id"].to_pylist()}
    assert found["i000@2"] == was["i000"]
    assert {found[id_] for id_ in back} == {was["i014"]}
    assert {id_: found[id_] for id_ in kept} == {id_: was[id_] for id_ in kept}


def test_a_patient_whose_scans_were_deleted_keeps_the_side(scans: og.Workspace) -> None:
    """Also where the type of the field has changed since: the model learned from those scans all the same."""
    scans.images.update({f"i{n:03}": {"person": n // 2} for n in range(NUMBER)})
    parts = scans.datasets.add("e", scans.images()).split(PARTS, group_by="person")
    side = {
        person: name
        for name, part in parts.items()
        for person in part.images().to_arrow("person")["person"].to_pylist()
    }
    gone = [min(person for person, name in side.items() if name == part) for part in PARTS]
    scans.images().where(F("person").isin(gone)).delete(force=True)
    scans.fields.retype("person", str)
    new = _add(scans, NUMBER, 12, person=[str(gone[n % 3]) for n in range(12)])
    again = scans.datasets.add("e", scans.images(), revise=True).split(PARTS, group_by="person", revise=True)
    found = {id_: name for name, part in again.items() for id_ in part.ids()}
    assert [found[id_] for id_ in new] == [side[gone[n % 3]] for n in range(12)]


@pytest.mark.parametrize("group", [None, "patient"])
def test_what_is_made_again_goes_where_it_was(scans: og.Workspace, group: str | None) -> None:
    """Patches of new pixels have other ids and keys, and the root of the old ones."""
    old = [f"i{n:03}" for n in range(0, NUMBER, 2)]
    scans.images(old).patches(8).store("tile", progress=False)
    tiles = scans.images().where(F("id").contains("#tile"))
    parts = scans.datasets.add("t", tiles).split(PARTS, group_by=group)
    side = {id_.partition("#")[0]: name for name, part in parts.items() for id_ in part.ids()}
    for id_ in old[:6]:
        scans.image(id_).revise(np.full((8, 8), 7, np.uint8))
    renewed = [f"{id_}@2" for id_ in old[:6]]
    scans.images(renewed).patches(8).store("tile", progress=False)
    tiles = tiles.where(~F("id").isin([f"{id_}#tile/0-0" for id_ in old[:6]]))
    again = scans.datasets.add("t", tiles, revise=True).split(PARTS, group_by=group, revise=True)
    found = {id_.partition("#")[0]: name for name, part in again.items() for id_ in part.ids()}
    assert [found[id_] for id_ in renewed] == [side[id_] for id_ in old[:6]]
    assert found.keys() == {*old[6:], *renewed}


def test_another_seed_is_for_what_is_new_and_redraw_is_for_all(scans: og.Workspace) -> None:
    every = scans.datasets["d"]
    first = every.split(PARTS)
    with pytest.warns(og.SplitWarning, match=r"seed=1 \(it was 0\) applies only to new images. redraw=True"):
        same = every.split(PARTS, seed=1, revise=True)
    assert sides(same) == sides(first)
    assert sides(every.split(PARTS, seed=1, redraw=True)) != sides(first)


def test_which_draw_is_the_newest_is_no_matter_of_clocks(scans: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    every = scans.datasets["d"]
    every.split(PARTS)
    at = datasets.now()
    monkeypatch.setattr(datasets, "now", lambda: at - timedelta(days=1))
    drawn = every.split(PARTS, seed=1, redraw=True)
    again = every.revise(add=_add(scans, NUMBER, 4)).split(PARTS, seed=1, revise=True)
    after = sides(again)
    assert {key: after[key] for key in sides(drawn)} == sides(drawn)


def test_what_a_split_did_not_reach_is_said_and_kept(scans: og.Workspace) -> None:
    scans.images.update({f"i{n:03}": {"site": "big" if n < 38 else f"small {n}"} for n in range(NUMBER)})
    with pytest.warns(og.SplitWarning, match=r"train 0.95 \(asked 0.8\), test 0.05 \(asked 0.2\)"):
        parts = scans.datasets["d"].split({"train": 0.8, "test": 0.2}, group_by="site")
    for held in (scans.datasets["d"], *parts.values()):
        (said, *_) = scans.datasets[held.id].warnings
        assert "'big', has 38 of 40 images" in said
    scans.labels.update({"i000": "only one"})
    again = scans.datasets.add("e", scans.images())
    with pytest.warns(og.SplitWarning, match="'only one'"):
        again.split({"train": 0.8, "test": 0.2}, stratify="label")
