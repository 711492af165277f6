"""Room for activations: what somebody reads stays, in whatever process and thread."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from odin_graph.catalog.activations.reading import unread
from odin_graph.catalog.activations.storage import (
    make_room,
    reading,
)
from odin_graph.catalog.activations.unit_sets import UnitSet
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.purge.gc import collect_garbage
from odin_graph.catalog.records.deletion import delete
from odin_graph.stores import Stores
from tests.catalog.stored_units import A, B, C, fill, left, reader, size, three_sets
from tests.catalog.test_unit_sets import said
from tests.forking import run


@pytest.fixture
def keys(stores: Stores) -> NDArray[np.int64]:
    """The images of three sets of units, the oldest first, of which nothing was asked."""
    return three_sets(stores)


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
