"""Our store passes the kit for units, with and without a cache and by an address; stores with one fault each do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiledb
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore, SegmentInfo
from odin_graph.arrays.s3 import of_tiledb
from odin_graph.arrays.unit_store import UnitStore
from odin_graph.testing import UnitConformance
from tests.arrays.test_conformance import BUDGET
from tests.engines.s3 import S3Server, in_s3


class TestLocalUnits(UnitConformance):
    def open(self, path: Path) -> ArrayStore:
        return ArrayStore(str(path / "arrays"), BUDGET)

    def raw(self, path: Path, info: SegmentInfo, unit: int) -> NDArray[Any]:
        with tiledb.open(str(path / "arrays" / info.uri / "values"), ctx=tiledb.Ctx()) as array:
            found: NDArray[Any] = array[unit]["value"]
            return found


class TestLocalUnitsWithCache(TestLocalUnits):
    def open(self, path: Path) -> ArrayStore:
        return ArrayStore(str(path / "arrays"), BUDGET, path / "cache" / "decoded")


class TestUnitsByAddress(UnitConformance):
    """An address with a scheme goes the way of S3, through TileDB alone."""

    def open(self, path: Path) -> ArrayStore:
        for folder in ("segments", "keys"):  # an object store has no folders to make
            (path / folder).mkdir(exist_ok=True)
        return ArrayStore(path.as_uri(), BUDGET)

    def raw(self, path: Path, info: SegmentInfo, unit: int) -> NDArray[Any]:
        with tiledb.open(str(path / info.uri / "values"), ctx=tiledb.Ctx()) as array:
            found: NDArray[Any] = array[unit]["value"]
            return found


@pytest.mark.soak
class TestUnitsInS3(UnitConformance):
    @pytest.fixture(autouse=True)
    def service(self, s3: S3Server) -> None:
        """In the environment."""

    def open(self, path: Path) -> ArrayStore:
        return ArrayStore(in_s3(path), BUDGET)

    def raw(self, path: Path, info: SegmentInfo, unit: int) -> NDArray[Any]:
        with tiledb.open(f"{in_s3(path)}/{info.uri}/values", ctx=tiledb.Ctx(of_tiledb())) as array:
            found: NDArray[Any] = array[unit]["value"]
            return found


class Unsorted(UnitStore):
    """Sorts the keys, and forgets the columns."""

    def write(self, array: str, keys: Any, *more: Any, **how: Any) -> SegmentInfo:
        return super().write(array, np.sort(keys), *more, **how)


class InItsOwnOrder(UnitStore):
    """Gives units as they are stored, not as they were asked for."""

    def columns(self, info: SegmentInfo, chosen: NDArray[np.int64], *more: Any, **how: Any) -> NDArray[Any]:
        return super().columns(info, np.sort(chosen), *more, **how)


class Off(UnitStore):
    """Gives the code beside the right one."""

    def columns(self, info: SegmentInfo, *more: Any, **how: Any) -> NDArray[Any]:
        found = super().columns(info, *more, **how)
        return np.where(found < 200, found + 2, found) if found.dtype == np.uint8 else found


class Silent(UnitStore):
    """Keeps no noise."""

    def write(self, *said: Any, **how: Any) -> SegmentInfo:
        return super().write(*said, **{**how, "noise": None})


class Uncounted(UnitStore):
    """Counts nothing that is not finite."""

    def scales(self, *said: Any) -> NDArray[np.float64]:
        found = super().scales(*said).copy()
        found[:, 2:4] = 0
        return found


class Finite(UnitStore):
    """Makes numbers of what is none."""

    def write(self, array: str, keys: Any, number: int, slabs: Any, *more: Any, **how: Any) -> SegmentInfo:
        return super().write(array, keys, number, (np.nan_to_num(slab) for slab in slabs), *more, **how)


class Blind(UnitStore):
    """Finds nothing wrong with a unit that is not there."""

    def _checked(self, info: SegmentInfo, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.clip(chosen, 0, info.shape[0] - 1)


@pytest.mark.parametrize(
    ("faulty", "test", "arguments"),
    [
        (Unsorted, "test_written_units_are_on_disk_by_the_order_of_their_keys", ()),
        (Unsorted, "test_columns_hold_what_was_said", ("f32",)),
        (InItsOwnOrder, "test_columns_hold_what_was_said", ("f16",)),
        (InItsOwnOrder, "test_several_segments_are_one_array", ("u8",)),
        (Off, "test_columns_hold_what_was_said", ("u8",)),
        (Off, "test_zero_of_a_unit_that_is_never_negative_is_exact", ()),
        (Off, "test_what_is_left_without_some_keys_is_sound", ("u8",)),
        (Silent, "test_scales_are_the_ends_and_what_is_not_finite_is_counted", ()),
        (Uncounted, "test_scales_are_the_ends_and_what_is_not_finite_is_counted", ()),
        (Finite, "test_columns_hold_what_was_said", ("u8",)),
        (Blind, "test_what_cannot_be_stored_or_read_is_refused", ()),
    ],
)
@pytest.mark.usefixtures("unshrunk")
def test_the_kit_finds_the_fault(
    faulty: type[UnitStore], test: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    class Kit(TestLocalUnits):
        def open(self, path: Path) -> ArrayStore:
            store = super().open(path)
            store.units.__class__ = faulty
            return store

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(Kit(), test)(tmp_path, *arguments)
