"""Segments are whole or absent: full disks, killed writers, forked readers, damage on disk."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from odin_graph.arrays import ArrayStore, SegmentedArray, compact
from odin_graph.config import Budget
from odin_graph.errors import SpaceError, StoreError
from tests.forking import Program, run

BUDGET = Budget(memory=64 << 20, threads=2)
KEYS = np.arange(1, 101)
NOISE = np.random.default_rng(0).integers(0, 256, (100, 32, 32, 3), np.uint8)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with two megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    said = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if said.returncode:
        pytest.skip(f"a full disk needs the right to mount one: {said.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def fill(store: ArrayStore, written: set[str]) -> None:
    for number in range(8):
        held = store.write_dense("pixels", KEYS + 1000 * number, NOISE * np.uint8(3))
        written |= {held.uri, f"keys/{held.keys}.npy"}


def test_a_full_disk_keeps_nothing_half_and_says_what_to_do(small_disk: Path) -> None:
    store = ArrayStore(str(small_disk / "arrays"), BUDGET)
    first = store.write_dense("pixels", KEYS, NOISE)
    before = {file.uri for file in store.files()}
    for _ in range(2):
        with pytest.raises(SpaceError, match="odin gc"):
            fill(store, before)
        before |= {file.uri for file in store.files() if file.uri.startswith("keys/")}
        assert {file.uri for file in store.files()} == before
    with pytest.raises(SpaceError):
        store.write_table("table", pa.table({"key": np.arange(400_000), "x": np.random.default_rng(0).random(400_000)}))
    assert not list((small_disk / "arrays" / "fresh").iterdir())
    assert store.check(first, deep=True) == []


LIMITED = """
import resource, signal, sys, numpy as np
from odin_graph.arrays import ArrayStore
from odin_graph.config import Budget
from odin_graph.errors import SpaceError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = ArrayStore(sys.argv[1], Budget(memory=64 << 20, threads=2))
try:
    store.write_dense("pixels", np.arange(100), np.random.default_rng(0).integers(0, 256, (100, 3072), np.uint8))
except SpaceError:
    print([file.uri for file in store.files() if not file.uri.startswith("keys/")])
"""


def test_a_file_that_may_not_grow_is_a_full_disk_too(tmp_path: Path) -> None:
    """The kernel itself ends the write half-way; it needs no rights, so this runs everywhere."""
    said = run(["-c", LIMITED, tmp_path])
    assert (said.returncode, said.stdout) == (0, "[]\n"), said.stderr


WRITER = """
import sys, numpy as np
from odin_graph.arrays import ArrayStore
from odin_graph.config import Budget
store = ArrayStore(sys.argv[1], Budget(memory=64 << 20, threads=2))
for number in range(10_000):
    rows = np.full((50, 16, 16, 3), number % 251, np.uint8)
    info = store.write_dense("pixels", np.arange(50) + 50 * number, rows)
    print(number, info.id, info.keys, flush=True)
"""


def test_killed_writers_lose_nothing_that_they_acknowledged(tmp_path: Path) -> None:
    seed = int(time.time())
    draw = np.random.default_rng(seed)
    print(f"seed {seed}")
    store = ArrayStore(str(tmp_path), BUDGET)
    for _ in range(3):
        writers = [Program(["-c", WRITER, tmp_path]) for _ in range(2)]
        for writer in writers:
            acknowledged = [writer.stdout.readline().split()]
            time.sleep(float(draw.uniform(0.0, 0.3)))
            writer.send_signal(signal.SIGKILL)
            acknowledged += [line.split() for line in writer.stdout if line.endswith("\n")]
            writer.stdout.close()
            writer.wait()
            there = {file.uri for file in store.files()}
            for _, segment, keys in acknowledged:
                assert {f"segments/{segment}.pixels.{keys}", f"keys/{keys}.npy"} <= there
    # What stands under a final name is whole, acknowledged or not.
    for file in store.files():
        if file.uri.startswith("segments/"):
            import tiledb

            with tiledb.open(str(tmp_path / file.uri), ctx=store.raw.context()) as array:
                assert len(np.unique(array[...]["value"])) == 1


def test_a_forked_child_reads_and_writes(tmp_path: Path) -> None:
    store = ArrayStore(str(tmp_path / "arrays"), BUDGET, tmp_path / "cache")
    info = store.write_dense("pixels", KEYS, NOISE)
    for _ in range(3):
        child = os.fork()
        if child == 0:
            try:
                scattered = np.arange(0, 100, 3)
                same = (store.read(info, scattered) == NOISE[scattered]).all()
                again = store.write_dense("pixels", KEYS, NOISE)
                same = same and (store.read(again, slice(None)) == NOISE).all()
                os._exit(0 if same else 1)
            finally:
                os._exit(2)
        assert os.waitpid(child, 0)[1] == 0
    assert (store.read(info, slice(3, 9)) == NOISE[3:9]).all()


def test_damage_is_found_and_never_read_as_pixels(tmp_path: Path) -> None:
    store = ArrayStore(str(tmp_path), BUDGET)
    info = store.write_dense("pixels", KEYS, NOISE)
    (data,) = (tmp_path / info.uri).rglob("a0.tdb")
    damaged = bytearray(data.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    data.write_bytes(damaged)
    assert store.check(info, deep=True) != []
    with pytest.raises(StoreError, match="odin doctor"):
        store.read(info, slice(None))
    keys = tmp_path / "keys" / f"{info.keys}.npy"
    keys.write_bytes(keys.read_bytes()[:-8])
    assert any("keys" in fault for fault in ArrayStore(str(tmp_path), BUDGET).check(info))


def test_random_batches_come_from_a_cache_that_may_go_at_any_time(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    store = ArrayStore(str(tmp_path / "arrays"), BUDGET, cache)
    info = store.write_dense("pixels", KEYS, NOISE)
    array = SegmentedArray(store, [info])
    draw = np.random.default_rng(0)
    for step in range(6):
        asked = draw.choice(KEYS, 40)
        np.testing.assert_array_equal(array.read(asked), NOISE[asked - 1])
        (file,) = cache.glob("*.raw")
        if step == 2:
            file.unlink()
        if step == 4:
            file.write_bytes(b"cut short")


def test_the_cache_keeps_to_its_budget(tmp_path: Path) -> None:
    budget = Budget(memory=int(2.5 * NOISE.nbytes) * 2, threads=1)
    store = ArrayStore(str(tmp_path / "arrays"), budget, tmp_path / "cache")
    scattered = np.arange(0, 100, 3)
    for number in range(5):
        info = store.write_dense("pixels", KEYS + 100 * number, NOISE)
        np.testing.assert_array_equal(store.read(info, scattered), NOISE[scattered])
        assert sum(file.stat().st_size for file in (tmp_path / "cache").iterdir()) <= budget.memory // 2
    large = store.write_dense("pixels", np.arange(300), np.concatenate([NOISE] * 3))
    np.testing.assert_array_equal(store.read(large, scattered), NOISE[scattered])


def test_compaction_takes_bounded_memory_and_removes_what_it_cannot_finish(tmp_path: Path) -> None:
    budget = Budget(memory=8 * int(2.5 * NOISE.nbytes), threads=1)
    store = ArrayStore(str(tmp_path), budget)
    parts = [store.write_dense("pixels", KEYS + 100 * number, NOISE) for number in range(5)]
    merged = compact(store, parts)
    assert [info.rows for info in merged] == [250, 250]
    np.testing.assert_array_equal(SegmentedArray(store, merged).read(KEYS + 300), NOISE)
    before = {file.uri for file in store.files()}
    store.remove(parts[4].uri)
    with pytest.raises(StoreError):
        compact(store, parts)
    segments = {file.uri for file in store.files() if file.uri.startswith("segments/")}
    assert segments == {uri for uri in before if uri.startswith("segments/")} - {parts[4].uri}


def test_the_first_workspace_that_claims_a_root_has_it(tmp_path: Path) -> None:
    assert ArrayStore(str(tmp_path), BUDGET).claim("one") == "one"
    assert ArrayStore(str(tmp_path), BUDGET).claim("two") == "one"
