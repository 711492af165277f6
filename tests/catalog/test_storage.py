"""Room for activations: what goes and what stays, whatever else reads, writes, purges and crashes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from odin_graph.catalog.activations import storage as module
from odin_graph.catalog.activations.activations import LayerRef, growing, rows_array, rows_of, wait_for
from odin_graph.catalog.activations.reading import unread
from odin_graph.catalog.activations.storage import (
    StoredSet,
    budget_of,
    make_room,
    pin,
    reading,
    set_budget,
    stored_sets,
    to_drop,
    unpin,
)
from odin_graph.catalog.activations.unit_sets import UnitRef, UnitSet, growing_units, unit_sets
from odin_graph.catalog.activations.usage import Usage, record
from odin_graph.catalog.activations.vector_indexes import IndexRecord, Owner, name_index
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.models.checkpoints import add_checkpoint
from odin_graph.catalog.purge.gc import collect_garbage
from odin_graph.catalog.purge.purge import purge
from odin_graph.catalog.records.deletion import delete
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import ConflictError, QueryError, UnknownNameError
from odin_graph.stores import Stores
from odin_graph.vectors.approximate import KIND
from tests.catalog.test_unit_sets import SHAPE, images, said
from tests.catalog.test_usage import forget
from tests.forking import Program, run
from tests.stored import filled

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B, C = (UnitRef(letter * 64, codec="f32") for letter in "abc")
ROWS = LayerRef("c", "relu")


@pytest.fixture
def keys(stores: Stores) -> NDArray[np.int64]:
    forget(stores)
    keys: NDArray[np.int64] = filled(stores, three_sets)
    return keys


def three_sets(stores: Stores) -> NDArray[np.int64]:
    """Three sets of units of twelve images, the oldest first, of which nothing was asked."""
    for name in ("c", "d"):
        add_checkpoint(stores, None, {}, id=name)
    keys = images(stores)
    for ref in (A, B, C):
        grow(stores, ref, keys)
    return keys


def grow(stores: Stores, ref: UnitRef, keys: NDArray[np.int64], seconds: float = 2.0) -> None:
    with growing_units(stores, ref, checkpoint="c", layer="relu", shape=SHAPE, device="cpu") as growth:
        written = stores.arrays.units.write(growth.array, keys, 6, iter([said(keys)]), ref.codec)
        growth.add(written, seconds=seconds)


def size(stores: Stores, ref: UnitRef) -> int:
    """By the file system, past the store."""
    assert stores.arrays.raw.local is not None
    held = [stores.arrays.raw.local / info.uri for info in segments_of(stores, f"ActivationSet/{ref.set_id}/units")]
    return sum(file.stat().st_size for path in held for file in path.rglob("*") if file.is_file())


def fill(stores: Stores, room: int = 0) -> None:
    """A budget that leaves so much room."""
    set_budget(stores, sum(one.bytes for one in stored_sets(stores)) + room)


def left(stores: Stores) -> set[str]:
    return {record.digest[0] for record in unit_sets(stores)}


@contextmanager
def reader(stores: Stores, set_id: str) -> Iterator[None]:
    """Another process that reads a set."""
    program = (
        "import sys, types, pathlib\n"
        "from odin_graph.catalog.activations.reading import reading\n"
        "with reading(types.SimpleNamespace(cache=pathlib.Path(sys.argv[1])), [sys.argv[2]]):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with Program(["-c", program, stores.cache, set_id]) as process:
        assert process.stdout.readline() == "held\n"
        yield
        process.stdin.close()
        process.wait(30)


def test_the_budget_is_the_workspaces(stores: Stores) -> None:
    assert budget_of(stores) is None
    set_budget(stores, 20 * 10**9)
    again = Stores.open(stores.address)
    assert budget_of(again) == 20 * 10**9, "as every process sees it, beyond 32 bits"
    again.close()
    set_budget(stores, None)
    assert budget_of(stores) is None
    for wrong in (-1, 2**63):
        with pytest.raises(QueryError, match=f"A budget of {wrong} bytes makes no sense"):
            set_budget(stores, wrong)


def test_what_is_listed_is_what_is_on_the_disk(stores: Stores, keys: NDArray[np.int64]) -> None:
    with growing(stores, ROWS) as growth:
        growth.add(keys[:5], np.ones((5, 4), np.float32), seconds=3.0)
        growth.add(keys[3:9], np.ones((6, 4), np.float32), seconds=4.0)
    segments = segments_of(stores, rows_array(ROWS.set_id))
    uri = stores.vectors.build_index(segments[0], "cosine", lambda _: None)
    name_index(stores, Owner("ActivationSet", ROWS.set_id), "cosine", IndexRecord(KIND, (segments[0].id,), (uri,)))
    pin(stores, B.set_id)
    record(stores, B.set_id, 5.0, at=NOON)
    first, second, _, rows = stored_sets(stores)
    assert (first.id, first.bytes, first.images, first.seconds) == (A.set_id, size(stores, A), 12, 2.0)
    assert (first.layer, first.checkpoints, first.pooling, first.codec) == ("relu", ("c",), "units", "f32")
    assert (first.pinned, first.busy, first.usage) == (False, False, Usage())
    assert abs(first.created - datetime.now(UTC)) < timedelta(minutes=2)
    assert (second.pinned, second.usage.last, second.usage.saved) == (True, NOON, 5.0)
    assert stores.arrays.raw.local is not None
    files = [stores.arrays.raw.local / held for held in (uri, *(info.uri for info in segments))]
    on_disk = [file for path in files for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()]
    assert (rows.images, rows.bytes) == (9, sum(file.stat().st_size for file in on_disk))
    assert 7.0 < rows.seconds < 12.0, "what computing took, and what writing did"


def test_without_a_budget_nothing_goes(stores: Stores, keys: NDArray[np.int64]) -> None:
    free = module._free(stores)
    assert free is not None
    assert make_room(stores, free // 4)
    assert not make_room(stores, free), "half of what is free stays free"
    assert left(stores) == {"a", "b", "c"}


def test_what_fits_drops_nothing(stores: Stores, keys: NDArray[np.int64]) -> None:
    fill(stores, room=100)
    assert make_room(stores, 100)
    assert left(stores) == {"a", "b", "c"}


def test_the_least_useful_goes_and_its_files_with_it(
    stores: Stores, keys: NDArray[np.int64], caplog: pytest.LogCaptureFixture
) -> None:
    record(stores, A.set_id, 9.0, at=datetime.now(UTC) - timedelta(days=70))
    record(stores, B.set_id, 1.0)
    record(stores, C.set_id, 5.0)
    list(UnitSet.open(stores, A.set_id).blocks(np.arange(6)))  # decoded columns of it are kept
    (segment,) = segments_of(stores, f"ActivationSet/{A.set_id}/units")
    assert list(stores.cache.glob(f"*/{segment.id}*"))
    fill(stores)
    with caplog.at_level("INFO"):
        assert make_room(stores, 1)
    assert left(stores) == {"b", "c"}, "what was asked ten weeks ago counts a thousandth"
    assert f"{A.set_id} went to make room: relu of c" in caplog.text
    report = examine(stores, deep=True)
    assert report.sound
    if stores.address.folder is not None:
        assert not any(segment.uri == file.uri for file in stores.arrays.files())
        assert report.garbage == 0
    assert not list(stores.cache.glob(f"*/{segment.id}*"))
    (told,) = stores.graph.read(
        "MATCH (s:ActivationSet {id: $id})-->(x:Deletion) RETURN x.why AS why", {"id": A.set_id}
    )
    assert told["why"].startswith("room for other activations, within ")
    assert make_room(stores, budget_of(stores) or 0)
    assert left(stores) == set()


def test_of_equal_ones_the_oldest_goes(stores: Stores, keys: NDArray[np.int64]) -> None:
    fill(stores)
    assert make_room(stores, 1)
    assert left(stores) == {"b", "c"}


def test_what_is_pinned_spared_or_written_stays(stores: Stores, keys: NDArray[np.int64]) -> None:
    fill(stores)
    pin(stores, A.set_id)
    with growing_units(stores, B, checkpoint="c", layer="relu", shape=SHAPE, device="cpu"):
        assert not make_room(stores, 1, spare=[C.set_id])
        assert left(stores) == {"a", "b", "c"}
        assert make_room(stores, 1)
        assert left(stores) == {"a", "b"}
    unpin(stores, A.set_id)
    fill(stores)
    assert make_room(stores, 1)
    assert left(stores) == {"b"}
    for call in (pin, unpin):
        with pytest.raises(UnknownNameError, match="There is no activation set 'units/b'"):
            call(stores, "units/b")
        with pytest.raises(UnknownNameError, match="There is no activation set"):
            call(stores, A.set_id)


def test_what_another_process_reads_stays(stores: Stores, keys: NDArray[np.int64]) -> None:
    fill(stores)
    with reader(stores, A.set_id):
        with unread(stores, A.set_id) as alone:
            assert not alone
        assert make_room(stores, 1)
        assert left(stores) == {"a", "c"}, "the next one went instead"
        fill(stores)
        assert not make_room(stores, size(stores, C) + 1)
        assert left(stores) == {"a", "c"}, "nothing goes where it is not enough"
    assert make_room(stores, size(stores, C) + 1)
    assert left(stores) == set()


def test_threads_read_nested_and_forgotten_sets(stores: Stores, keys: NDArray[np.int64]) -> None:
    fill(stores)
    begun, end = threading.Event(), threading.Event()

    def read() -> None:
        with reading(stores, [A.set_id, "units/none"]), reading(stores, [A.set_id]):
            begun.set()
            end.wait(30)

    thread = threading.Thread(target=read)
    thread.start()
    assert begun.wait(30)
    with reading(stores, [B.set_id]):
        with reading(stores, [B.set_id]):
            pass
        assert make_room(stores, 1)
    assert left(stores) == {"a", "b"}
    end.set()
    thread.join()
    with pytest.raises(KeyError), reading(stores, [A.set_id]):
        raise KeyError
    fill(stores)
    assert make_room(stores, 1)
    assert left(stores) == {"b"}


def test_a_forked_child_neither_keeps_nor_ends_the_reading_of_its_parent(stores: Stores, tmp_path: Path) -> None:
    program = (
        "import os, sys, types, pathlib\n"
        "from odin_graph.catalog.activations.reading import reading, unread\n"
        "stores = types.SimpleNamespace(cache=pathlib.Path(sys.argv[1]))\n"
        "def alone():\n"
        "    with unread(stores, 'a') as found:\n"
        "        return found\n"
        "end, begin = os.pipe()\n"
        "with reading(stores, ['a']):\n"
        "    if not os.fork():\n"
        "        raise SystemExit\n"
        "    os.wait()\n"
        "    during = alone()\n"
        "    if not (child := os.fork()):\n"
        "        os.read(end, 1)\n"
        "        os._exit(0)\n"
        "print(during, alone())\n"
        "os.write(begin, b'.')\n"
    )
    ran = run(["-c", program, tmp_path], timeout=120)
    assert (ran.returncode, ran.stdout) == (0, "False True\n"), ran.stderr


def test_a_reader_waits_for_what_is_being_taken_away(stores: Stores, keys: NDArray[np.int64]) -> None:
    found: list[set[str]] = []

    def read() -> None:
        with reading(stores, [A.set_id]):
            found.append(left(stores))

    with unread(stores, A.set_id) as alone:
        assert alone
        thread = threading.Thread(target=read)
        thread.start()
        delete(stores, "ActivationSet", [A.set_id])
        assert not found
    thread.join(30)
    assert found == [{"b", "c"}]


def test_locks_that_cannot_be_had_keep_nobody_from_reading(
    stores: Stores, keys: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    other = replace(stores, cache=tmp_path / "file")
    with reading(other, [A.set_id]):
        assert left(other) == {"a", "b", "c"}
    fill(other)
    assert not make_room(other, 1), "nobody knows whether they are read"
    assert left(other) == {"a", "b", "c"}


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


def test_gc_spares_for_an_hour_what_somebody_may_still_read(stores: Stores, keys: NDArray[np.int64]) -> None:
    held = UnitSet.open(stores, A.set_id).array
    assert stores.arrays.raw.local is not None
    for info in held.segments:
        os.utime(stores.arrays.raw.local / info.uri, (1.0, 1.0))  # written long ago
    delete(stores, "ActivationSet", [A.set_id])
    assert not collect_garbage(stores).files
    group = np.arange(6)
    np.testing.assert_array_equal(held.values(group, keys), said(keys).T)
    stores.graph.write("MATCH (x:Deletion) SET x.at = x.at - duration({hours: 2})")
    assert [file.uri for file in collect_garbage(stores).files] == [info.uri for info in held.segments]
    assert stores.graph.read("MATCH (x:Deletion) RETURN x.files AS files") == [{"files": None}]
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


@st.composite
def sets(draw: st.DrawFn) -> list[StoredSet]:
    return [
        StoredSet(
            id=str(place),
            layer="relu",
            checkpoints=(),
            pooling="units",
            codec="u8",
            images=1,
            bytes=draw(st.integers(0, 50)),
            seconds=1.0,
            usage=Usage(1, NOON, saved := draw(st.sampled_from((0.0, 1.0, 7.0))), saved),
            created=NOON + timedelta(seconds=draw(st.integers(0, 3))),
            pinned=draw(st.booleans()),
            busy=draw(st.sampled_from((False, False, True))),
        )
        for place in range(draw(st.integers(0, 8)))
    ]


@given(held=sets(), needed=st.integers(-5, 200), spare=st.sets(st.sampled_from("01234567"), max_size=3))
def test_which_go(held: list[StoredSet], needed: int, spare: set[str]) -> None:
    """Enough, none of those that stay, none that could be left out; and nothing only where all are too few."""
    may_go = [one for one in held if not (one.pinned or one.busy or one.id in spare)]
    chosen = to_drop(held, needed, spare, NOON)
    if chosen is None:
        assert sum(one.bytes for one in may_go) < needed
        return
    assert len({one.id for one in chosen}) == len(chosen)
    assert all(one in may_go for one in chosen)
    freed = sum(one.bytes for one in chosen)
    assert freed >= needed
    assert all(freed - one.bytes < needed for one in chosen)
    if len(may_go) > 1 and len({one.bytes for one in may_go}) == 1:  # of one size: simply the first in the order
        order = [one for one in module.least_useful_first(held, NOON) if one in may_go and one.bytes]
        assert chosen == order[: len(chosen)]
