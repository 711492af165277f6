"""Room for activations beside whatever else writes, purges, leases and crashes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from odin_graph.catalog.activations import storage as module
from odin_graph.catalog.activations.activations import growing, rows_array, rows_of, wait_for
from odin_graph.catalog.activations.storage import (
    make_room,
    reading,
    set_budget,
    stored_sets,
)
from odin_graph.catalog.activations.unit_sets import UnitRef, UnitSet, growing_units
from odin_graph.catalog.activations.usage import record
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.purge.gc import collect_garbage
from odin_graph.catalog.purge.purge import purge
from odin_graph.catalog.records.deletion import delete
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import ConflictError
from odin_graph.stores import Stores
from tests.catalog.stored_units import ROWS, A, B, C, fill, grow, left, size, three_sets
from tests.catalog.test_unit_sets import SHAPE, said


@pytest.fixture
def keys(stores: Stores) -> NDArray[np.int64]:
    """The images of three sets of units, the oldest first, of which nothing was asked."""
    return three_sets(stores)


def test_what_a_process_begins_to_write_stays(
    stores: Stores, keys: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores)
    raced: list[str] = []

    def racing(stores: Stores, label: str, things: list[str], *, why: str) -> object:
        if not raced:
            raced.append(things[0])
            raise ConflictError("ActivationSet is being written by process 1 on host.")
        return delete(stores, label, things, why=why)

    monkeypatch.setattr(module, "delete", racing)
    assert make_room(stores, 1)
    assert raced == [A.set_id]
    assert left(stores) == {"a", "c"}


def test_a_set_that_vanishes_meanwhile_is_no_error(
    stores: Stores, keys: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores)

    def vanishing(stores: Stores, label: str, things: list[str], *, why: str) -> object:
        delete(stores, label, things, why="a user's")
        return delete(stores, label, things, why=why)

    monkeypatch.setattr(module, "delete", vanishing)
    assert make_room(stores, 1)
    assert left(stores) == {"b", "c"}


def test_a_crash_before_the_files_are_removed_leaves_garbage(
    stores: Stores, keys: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(module, "_remove_files", killed)
        with pytest.raises(KeyboardInterrupt):
            make_room(stores, 1)
    assert left(stores) == {"b", "c"}
    report = examine(stores, deep=True)
    assert (report.sound, report.garbage) == (True, 1)
    assert make_room(stores, 1), "its room is not counted any more"
    assert left(stores) == {"b", "c"}
    assert len(collect_garbage(stores, grace=0.0).files) == 1
    grow(stores, A, keys)
    assert left(stores) == {"a", "b", "c"}


def test_two_at_once_drop_no_more_than_is_needed(stores: Stores, keys: NDArray[np.int64]) -> None:
    fill(stores)
    done: list[bool] = []
    threads = [threading.Thread(target=lambda: done.append(make_room(stores, 1))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [True] * 3
    assert len(left(stores)) == 2


def again(what: Callable[[], object], end: threading.Event, failed: list[Exception]) -> threading.Thread:
    """A thread that does something until the end, which the first error is too."""

    def run() -> None:
        try:
            while not end.wait(0.1):
                what()
        except Exception as error:  # noqa: BLE001 - told by whoever waits
            failed.append(error)
            end.set()

    return threading.Thread(target=run)


def test_readers_writers_and_who_makes_room_at_once(stores: Stores, keys: NDArray[np.int64]) -> None:
    """A set is whole or gone for whoever reads it, and a tombstone never names a segment."""
    set_budget(stores, size(stores, A) * 3 // 2)
    end, failed, read = threading.Event(), list[Exception](), list[bool]()

    def ask() -> None:
        with reading(stores, [A.set_id]):
            if "a" not in left(stores):
                return
            held = UnitSet.open(stores, A.set_id)
            np.testing.assert_array_equal(held.values(np.arange(6), keys), said(keys).T)
            read.append(True)

    def write(ref: UnitRef) -> None:
        with growing_units(stores, ref, checkpoint="c", layer="relu", shape=SHAPE, device="cpu") as growth:
            if len(growth.missing(keys)):
                growth.add(stores.arrays.units.write(growth.array, keys, 6, iter([said(keys)]), ref.codec))

    work = (ask, lambda: write(A), lambda: write(B), lambda: make_room(stores, 0))
    threads = [again(one, end, failed) for one in work]
    for thread in threads:
        thread.start()
    end.wait(10)
    end.set()
    for thread in threads:
        thread.join()
    assert not failed, failed
    assert read
    assert stores.graph.read("MATCH (x:Deletion) RETURN count(x) AS n")[0]["n"] > 2, "it did go, and came back"
    lost = "MATCH (s:ActivationSet) WHERE s.deleted = true AND (s.state <> 'deleted' OR s.lease_owner IS NOT NULL) "
    assert not stores.graph.read(f"{lost} RETURN s.id AS id")
    for ref in (A, B, C):
        assert ref.digest[0] in left(stores) or not segments_of(stores, f"ActivationSet/{ref.set_id}/units")
    assert examine(stores, deep=True).sound


def test_a_lease_that_is_taken_while_a_set_is_deleted_wins(
    stores: Stores, keys: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look before the transaction sees none; the one in it does."""
    with growing_units(stores, A, checkpoint="c", layer="relu", shape=SHAPE, device="cpu"):
        monkeypatch.setattr("odin_graph.catalog.records.deletion.leases.holder", lambda *_: None)
        with pytest.raises(ConflictError, match="is being written by"):
            delete(stores, "ActivationSet", [A.set_id])
    assert left(stores) == {"a", "b", "c"}


def test_a_set_that_goes_before_its_writer_has_the_lease_comes_back(
    stores: Stores, keys: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(stores: Stores, set_id: str) -> object:
        delete(stores, "ActivationSet", [set_id])
        return wait_for(stores, set_id)

    monkeypatch.setattr("odin_graph.catalog.activations.unit_sets.wait_for", late)
    grow(stores, A, keys[:3], seconds=1.5)
    assert left(stores) == {"a", "b", "c"}
    assert UnitSet.open(stores, A.set_id).coverage().tolist() == keys[:3].tolist()
    assert stored_sets(stores)[0].seconds == 1.5, "of what is there now"
    assert examine(stores, deep=True).sound


def test_purge_and_compaction_go_on_beside_it(stores: Stores, keys: NDArray[np.int64]) -> None:
    with growing(stores, ROWS) as growth:
        for place in range(10):
            growth.add(keys[place : place + 1], np.full((1, 4), place, np.float32))
    assert len(segments_of(stores, rows_array(ROWS.set_id))) == 1, "compacted"
    purge(stores, keys[4:5])
    record(stores, ROWS.set_id, 1.0)
    rows = next(one for one in stored_sets(stores) if one.id == ROWS.set_id)
    assert rows.images == 9
    fill(stores)
    assert make_room(stores, size(stores, A) + 1)
    assert left(stores) == {"c"}
    np.testing.assert_array_equal(rows_of(stores, ROWS.set_id).read(keys[:1]), np.zeros((1, 4)))
    assert examine(stores, deep=True).sound
    purge(stores, keys[5:6])
    assert examine(stores, deep=True).sound


def test_rows_of_purged_images_are_not_named(stores: Stores, keys: NDArray[np.int64]) -> None:
    with growing(stores, ROWS) as growth:
        growth.add(keys[:2], np.ones((2, 4), np.float32))
    with growing(stores, ROWS) as growth:
        purge(stores, keys[3:4])
        with pytest.raises(ConflictError, match="Images were purged while their activations were computed"):
            growth.add(keys[2:5], np.ones((3, 4), np.float32))
        growth.add(keys[4:5], np.ones((1, 4), np.float32))
    assert rows_of(stores, ROWS.set_id).coverage().tolist() == keys[[0, 1, 4]].tolist()
    assert examine(stores, deep=True).sound
