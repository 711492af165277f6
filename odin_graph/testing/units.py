"""What every store must do with segments of units. Subclass it in a test file: ``class TestMyUnits(UnitConformance)``.

As in `segments` it is no ABC, and `@given` stands on functions inside.
"""

# ruff: noqa: D102 - a test's name says what it is about

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore, SegmentInfo, UnitArray, without
from odin_graph.arrays.units import UnitCodec, error
from odin_graph.errors import QueryError, ShapeError, StoreError, UnknownNameError
from odin_graph.testing.strategies import key_sets, units_of

CODECS: Final[tuple[UnitCodec, ...]] = ("u8", "f16", "f32")
EXAMPLES: Final = 6
"""Of each property and codec: each writes segments, whose syncing takes most of the time."""
ARRAY: Final = "ActivationSet/kit/units"
KEYS: Final = np.array([30, 7, 8, 2**40, 9, -4])
NO_VALUE: Final = 255
"""The code of NaN and of the infinities."""

Floats = NDArray[np.float32]


class UnitConformance:
    """The tests. A subclass gives `open`, and `raw`, which goes past the store."""

    def open(self, path: Path) -> ArrayStore:
        """A store over a folder; a second one over the same folder sees what the first wrote."""
        raise NotImplementedError("give the store that is tested")

    def raw(self, path: Path, info: SegmentInfo, unit: int) -> NDArray[Any]:
        """The column of one unit, by position, read without the store: it must not mark its own work."""
        raise NotImplementedError("read a column on disk without the store")

    def test_written_units_are_on_disk_by_the_order_of_their_keys(self, tmp_path: Path) -> None:
        values = np.arange(5 * 6, dtype=np.float32).reshape(5, 6)
        info = _put(self.open(tmp_path), values, "f32")
        assert (info.codec, info.dtype, info.shape, info.rows) == ("units", "float32", (5,), 6)
        for unit in range(5):
            np.testing.assert_array_equal(self.raw(tmp_path, info, unit), values[unit][np.argsort(KEYS)])

    @pytest.mark.parametrize("codec", CODECS)
    def test_a_second_store_reads_what_the_first_wrote(self, tmp_path: Path, codec: UnitCodec) -> None:
        values = np.random.default_rng(0).normal(size=(9, 6)).astype(np.float32)
        first = self.open(tmp_path)
        info = SegmentInfo.from_node(_put(first, values, codec).node())
        other, group = self.open(tmp_path), np.array([8, 0, 3])
        np.testing.assert_array_equal(other.keys(info), np.sort(KEYS))
        np.testing.assert_array_equal(other.units.columns(info, group), first.units.columns(info, group))
        np.testing.assert_array_equal(other.units.scales(info, group), first.units.scales(info)[group])
        assert other.check(info, deep=True) == []

    @pytest.mark.parametrize("codec", CODECS)
    def test_columns_hold_what_was_said(self, tmp_path: Path, codec: UnitCodec) -> None:
        """For any group, in any order, with repeats: f32 to the bit, f16 and codes within their bounds."""
        store = self.open(tmp_path)

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(data=st.data(), keys=key_sets(), units=st.integers(1, 12))
        def check(data: st.DataObject, keys: list[int], units: int) -> None:
            values = data.draw(units_of(units, len(keys)))
            info = _put(store, values, codec, np.array(keys), data.draw(st.integers(1, 12)))
            group = np.array(data.draw(st.lists(st.integers(0, units - 1), min_size=1, max_size=8)))
            for _ in range(2):  # the second time it may come from a cache
                _assert_holds(store, [info], group, dict(zip(keys, values[group].T, strict=True)))
            start, end = sorted((data.draw(st.integers(0, len(keys))), data.draw(st.integers(0, len(keys)))))
            whole = store.units.columns(info, group)
            np.testing.assert_array_equal(store.units.columns(info, group, slice(start, end)), whole[:, start:end])
            assert store.check(info, deep=True) == []

        check()

    def test_scales_are_the_ends_and_what_is_not_finite_is_counted(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(data=st.data(), keys=key_sets(), codec=st.sampled_from(CODECS))
        def check(data: st.DataObject, keys: list[int], codec: UnitCodec) -> None:
            values, noise = data.draw(units_of(3, len(keys))), np.array([0, 0.5, 1e-6])
            info = _put(store, values, codec, np.array(keys), noise=noise)
            scales = store.units.scales(info)
            for unit, scale in zip(values, scales, strict=True):
                finite = unit[np.isfinite(unit)]
                assert scale[:2].tolist() == ([finite.min(), finite.max()] if len(finite) else [0, 0])
                assert scale[2:4].tolist() == [np.isnan(unit).sum(), np.isinf(unit).sum()]
            np.testing.assert_array_equal(scales[:, -1], noise)
            array = UnitArray(store, [info])
            assert array.not_finite() == (np.isnan(values).sum(), np.isinf(values).sum())
            np.testing.assert_array_equal(array.noise(np.array([2, 1])), noise[[2, 1]])

        check()

    def test_zero_of_a_unit_that_is_never_negative_is_exact(self, tmp_path: Path) -> None:
        values = np.maximum(np.random.default_rng(1).normal(size=(7, 6)), 0).astype(np.float32)
        values[:, 2] = 0
        store = self.open(tmp_path)
        (block,) = UnitArray(store, [_put(store, values, "u8")]).blocks(np.arange(7))
        low, high = block.tables()
        ordered = values[:, np.argsort(KEYS)]
        assert ((block.values == 0) == (ordered == 0)).all()
        assert not low[:, 0].any()
        assert not high[:, 0].any()

    @pytest.mark.parametrize("codec", CODECS)
    def test_several_segments_are_one_array(self, tmp_path: Path, codec: UnitCodec) -> None:
        store = self.open(tmp_path)

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(data=st.data(), parts=st.lists(key_sets(10), min_size=1, max_size=4))
        def check(data: st.DataObject, parts: list[list[int]]) -> None:
            """Whatever the segments and their scales, the last row of a key counts."""
            model: dict[int, Floats] = {}
            segments = []
            for keys in parts:
                values = data.draw(units_of(4, len(keys)))
                segments.append(_put(store, values, codec, np.array(keys)))
                model |= dict(zip(keys, values.T, strict=True))
            array = UnitArray(store, segments)
            assert array.units == 4
            assert array.coverage().tolist() == sorted(model)
            assert array.missing(np.array([*sorted(model), 77])).tolist() == [77]
            group = np.array(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=5)))
            _assert_holds(store, segments, group, {key: row[group] for key, row in model.items()})

        check()

    @pytest.mark.parametrize("codec", CODECS)
    def test_what_is_left_without_some_keys_is_sound(self, tmp_path: Path, codec: UnitCodec) -> None:
        """As after a purge: the smallest and largest values may have been those of removed keys."""
        store = self.open(tmp_path)

        @settings(max_examples=EXAMPLES, deadline=None)
        @given(data=st.data(), keys=key_sets())
        def check(data: st.DataObject, keys: list[int]) -> None:
            values = data.draw(units_of(4, len(keys)))
            info = _put(store, values, codec, np.array(keys))
            gone = data.draw(st.sets(st.sampled_from(keys), min_size=1))
            left = {key: row for key, row in zip(keys, values.T, strict=True) if key not in gone}
            new = without(store, info, np.array(sorted(gone)))
            assert len(new) == bool(left)
            if left:
                _assert_holds(store, new, np.arange(4), left, again=True)
                assert store.check(new[0], deep=True) == []

        check()

    def test_what_cannot_be_stored_or_read_is_refused(self, tmp_path: Path) -> None:
        store, values = self.open(tmp_path), np.zeros((3, 6), np.float32)
        info = _put(store, values, "u8")
        with pytest.raises(QueryError, match="no unit 3"):
            store.units.columns(info, np.array([0, 3]))
        with pytest.raises(QueryError, match="no unit -1"):
            store.units.scales(info, np.array([-1]))
        with pytest.raises(ShapeError, match="codes, not values"):
            UnitArray(store, [info]).values(np.array([0]), KEYS)
        with pytest.raises(UnknownNameError, match="no codec of units"):
            _put(store, values, "u4")  # type: ignore[arg-type]
        refused: list[tuple[NDArray[Any], int, NDArray[Any]]] = [
            (np.zeros(6, np.int64), 3, values),
            (KEYS, 4, values),
            (KEYS, 2, values),
            (KEYS, 3, values.astype(np.float64)),
            (KEYS, 3, values[:, :5]),
            (KEYS[:0], 3, values[:, :0]),
        ]
        for keys, number, slab in refused:
            with pytest.raises(ShapeError):
                store.units.write(ARRAY, keys, number, [slab], "f32")

    def test_check_says_what_is_gone(self, tmp_path: Path) -> None:
        store = self.open(tmp_path)
        info = _put(store, np.zeros((3, 6), np.float32), "u8")
        store.remove(info.uri)
        assert store.check(info)
        with pytest.raises(StoreError, match="odin doctor"):
            self.open(tmp_path).units.columns(info, np.array([0]))


def _put(
    store: ArrayStore,
    values: Floats,
    codec: UnitCodec,
    keys: NDArray[np.int64] = KEYS,
    slab: int = 2,
    noise: NDArray[np.float64] | None = None,
) -> SegmentInfo:
    def slabs() -> Iterator[Floats]:
        for start in range(0, len(values), slab):
            yield values[start : start + slab]

    return store.units.write(ARRAY, keys, len(values), slabs(), codec, noise=noise)


def _assert_holds(
    store: ArrayStore,
    segments: list[SegmentInfo],
    group: NDArray[np.int64],
    model: dict[int, Floats],
    *,
    again: bool = False,
) -> None:
    """Each key is in one block, with its values (G,) as exactly as the codec keeps them."""
    seen: list[int] = []
    for block in UnitArray(store, segments).blocks(group):
        seen += block.keys.tolist()
        truth = np.stack([model[key] for key in block.keys.tolist()], axis=1)
        finite = np.isfinite(truth)
        if block.values.dtype == np.uint8:
            low, high = block.tables()
            at_least, at_most = (np.take_along_axis(table, block.values, 1) for table in (low, high))
            assert (block.values[~finite] == NO_VALUE).all()
            assert again or (block.values[finite] != NO_VALUE).all()
            assert (at_least[finite] <= truth[finite]).all()
            assert (truth[finite] <= at_most[finite]).all()
        elif block.values.dtype == np.float16:
            found, within = block.decoded(), error("f16", block.scales)[:, None]
            np.testing.assert_array_equal(found[~finite], truth[~finite])
            off = np.abs(np.where(finite, found, 0).astype(np.float64) - np.where(finite, truth, 0))
            assert (off <= within).all()
        else:
            assert block.decoded().tobytes() == np.ascontiguousarray(truth).tobytes()
    assert sorted(seen) == sorted(model)
