"""What every store of segments must do. Subclass it in a test file: ``class TestMyStore(SegmentStoreConformance)``.

It is no ABC, which pytest would skip without a word, and `@given` stands on functions inside, since a test that is
inherited by a second subclass fails with it.
"""

# ruff: noqa: D102 - a test's name says what it is about, and Protocol's methods are described where they are ours

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore, SegmentedArray, SegmentInfo, compact
from odin_graph.errors import ShapeError, StoreError
from odin_graph.testing.strategies import DTYPES, key_sets, rows_of

EXAMPLES = 8
"""Of each property and dtype: each writes segments, whose syncing takes most of the time."""
KEYS = np.array([30, 7, 8, 2**40, 9, -4])
Rows = NDArray[Any]


class SegmentStore(Protocol):
    """What the tests call of a store; `odin_graph.arrays.ArrayStore` describes each method."""

    def write_dense(self, array: str, keys: NDArray[np.int64], rows: Rows) -> SegmentInfo: ...
    def write_ragged(self, array: str, keys: NDArray[np.int64], rows: Sequence[Rows]) -> SegmentInfo: ...
    def write_table(self, array: str, table: pa.Table) -> SegmentInfo: ...
    def keys(self, info: SegmentInfo) -> NDArray[np.int64]: ...
    def read(self, info: SegmentInfo, positions: NDArray[np.int64] | slice) -> Rows: ...
    def read_list(self, info: SegmentInfo, positions: NDArray[np.int64]) -> list[Rows]: ...
    def read_table(self, info: SegmentInfo) -> pa.Table: ...
    def check(self, info: SegmentInfo, *, deep: bool = False) -> list[str]: ...


class SegmentStoreConformance:
    """The tests. A subclass gives `open`, and `raw`, which goes past the store."""

    def open(self, path: Path) -> ArrayStore:
        """A store over a folder; a second one over the same folder sees what the first wrote."""
        raise NotImplementedError("give the store that is tested")

    def raw(self, path: Path, info: SegmentInfo, position: int) -> Rows:
        """One row of a dense segment, read without the store: it must not mark its own work."""
        raise NotImplementedError("read a row on disk without the store")

    def test_written_rows_are_on_disk_by_the_order_of_their_keys(self, tmp_path: Path) -> None:
        rows = np.arange(6 * 4 * 3, dtype=np.uint16).reshape(6, 4, 3)
        info = self.open(tmp_path).write_dense("pixels", KEYS, rows)
        for position, place in enumerate(np.argsort(KEYS)):
            np.testing.assert_array_equal(self.raw(tmp_path, info, position), rows[place])

    def test_a_second_store_reads_what_the_first_wrote(self, tmp_path: Path) -> None:
        rows = np.arange(6, dtype=np.float32).reshape(6, 1)
        info = SegmentInfo.from_node(self.open(tmp_path).write_dense("rows", KEYS, rows).node())
        other = self.open(tmp_path)
        np.testing.assert_array_equal(other.keys(info), np.sort(KEYS))
        np.testing.assert_array_equal(other.read(info, slice(None)), rows[np.argsort(KEYS)])
        assert other.check(info, deep=True) == []

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_rows_come_back_bit_by_bit_in_any_order(self, tmp_path: Path, dtype: str) -> None:
        store = self.open(tmp_path)

        @settings(max_examples=EXAMPLES)
        @given(data=st.data(), shape=st.sampled_from([(), (3,), (2, 5, 1), (4, 3, 3)]), keys=key_sets())
        def check(data: st.DataObject, shape: tuple[int, ...], keys: list[int]) -> None:
            rows = data.draw(rows_of(len(keys), dtype, shape))
            info = store.write_dense("pixels", np.array(keys), rows)
            assert (info.rows, info.dtype, info.shape) == (len(keys), dtype, shape)
            wanted = np.array(data.draw(st.lists(st.integers(0, len(keys) - 1), max_size=40)), np.int64)
            found, expected = store.read(info, wanted), rows[np.argsort(keys)][wanted]
            assert found.dtype == expected.dtype
            assert found.tobytes() == expected.tobytes()

        check()

    def test_rows_of_any_shape_come_back(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)

        @settings(max_examples=EXAMPLES)
        @given(data=st.data(), dtype=st.sampled_from(DTYPES), keys=key_sets(12))
        def check(data: st.DataObject, dtype: str, keys: list[int]) -> None:
            shape = st.tuples(st.integers(0, 4), st.integers(0, 3))
            rows = [data.draw(rows_of(*size[:1], dtype, size[1:])) for size in (data.draw(shape) for _ in keys)]
            info = store.write_ragged("pixels", np.array(keys), rows)
            wanted = data.draw(st.lists(st.sampled_from(keys), max_size=20))
            _same(
                SegmentedArray(store, [info]).read_list(np.array(wanted, np.int64)),
                dict(zip(keys, rows, strict=True)),
                wanted,
            )
            assert store.check(info, deep=True) == []

        check()

    def test_several_segments_are_one_array(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)

        @settings(max_examples=EXAMPLES)
        @given(data=st.data(), parts=st.lists(key_sets(10), min_size=1, max_size=4))
        def check(data: st.DataObject, parts: list[list[int]]) -> None:
            """Whatever the segments, the array is a dictionary in which the last row of a key counts."""
            model: dict[int, Rows] = {}
            segments = []
            for number, keys in enumerate(parts):
                rows = np.arange(len(keys) * 2, dtype=np.int32).reshape(-1, 2) + 1000 * number
                segments.append(store.write_dense("rows", np.array(keys), rows))
                model |= dict(zip(keys, rows, strict=True))
            array = SegmentedArray(store, segments)
            assert array.coverage().tolist() == sorted(model)
            wanted = data.draw(st.lists(st.sampled_from(sorted(model)), min_size=1, max_size=30))
            _same(list(array.read(np.array(wanted))), model, wanted)
            assert array.missing(np.array([*wanted, 77])).tolist() == [77]
            with pytest.raises(StoreError, match="77"):
                array.read(np.array([*wanted, 77]))
            whole = compact(store, segments)
            assert len(whole) == 1
            _same(SegmentedArray(store, whole).read_list(np.array(sorted(model))), model, sorted(model))

        check()

    def test_a_table_keeps_its_order_and_types(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        table = pa.table(
            {
                "key": pa.array(KEYS, pa.int64()),
                "label": ["ä", None, "", "DME", "x", "y"],
                "many": [["a"], [], None, ["b", "c"], [], []],
                "at": pa.array([1, 2, None, 4, 5, 6], pa.timestamp("us")),
                "nothing": pa.nulls(6),
            }
        )
        info = store.write_table("Dataset/a@1/members", table)
        assert store.read_table(info).equals(table)
        assert store.keys(info).tolist() == sorted(KEYS.tolist())
        nothing = store.write_table("Dataset/a@2/members", table.slice(0, 0))
        assert store.read_table(nothing).equals(table.slice(0, 0))
        assert store.check(info) == store.check(nothing) == []

    def test_what_cannot_be_stored_is_refused(self, tmp_path: Path) -> None:
        store, row = self.open(tmp_path), np.zeros((1, 2), np.uint8)
        refused: list[tuple[Rows, Rows]] = [
            (np.array([1, 1]), np.zeros((2, 2), np.uint8)),
            (np.array([1, 2]), row),
            (np.array([1.5]), row),
            (np.array([], np.int64), row[:0]),
            (np.array([1]), np.zeros((1, 0), np.uint8)),
            (np.array([1]), np.zeros((1, 1), np.complex64)),
            (np.array([1]), np.array([[object()]])),
        ]
        for keys, rows in refused:
            with pytest.raises(ShapeError):
                store.write_dense("pixels", keys, rows)
        with pytest.raises(ShapeError):
            store.write_ragged("pixels", np.array([1, 2]), [row, row.astype(np.float32)])
        with pytest.raises(ShapeError):
            store.write_table("table", pa.table({"label": ["a"]}))

    def test_writers_at_once_do_not_meet(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)

        def write(number: int) -> SegmentInfo:
            return store.write_dense("rows", KEYS, np.full((6, 2), number, np.int32))

        with ThreadPoolExecutor(8) as pool:
            infos = list(pool.map(write, range(32)))
        assert len({info.id for info in infos}) == len({info.uri for info in infos}) == 32
        for number, info in enumerate(infos):
            assert (store.read(info, slice(None)) == number).all()

    def test_check_says_what_is_gone(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        info = store.write_dense("rows", KEYS, np.zeros((6, 2), np.uint8))
        store.remove(info.uri)
        (reason,) = store.check(info)
        assert "missing" in reason
        with pytest.raises(StoreError, match="odin doctor"):
            store.read(info, slice(None))
        info = store.write_table(f"table {uuid4()}", pa.table({"key": [1, 2]}))
        store.remove(info.uri)
        assert "missing" in store.check(info)[0]


def _same(found: Sequence[Rows], model: Mapping[int, Rows], wanted: Sequence[int]) -> None:
    assert len(found) == len(wanted)
    for key, row in zip(wanted, found, strict=True):
        assert (row.shape, row.dtype) == (model[key].shape, model[key].dtype)
        assert row.tobytes() == model[key].tobytes()
