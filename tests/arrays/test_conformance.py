"""Our store passes the kit, locally and by the way of object stores; stores with one fault each do not."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiledb
from numpy.typing import NDArray

from odin_graph.arrays import ArrayStore, SegmentInfo
from odin_graph.arrays.s3 import of_tiledb
from odin_graph.config import Budget
from odin_graph.testing import SegmentStoreConformance
from tests.engines.s3 import S3Server, in_s3

BUDGET = Budget(memory=256 << 20, threads=2)


class TestLocal(SegmentStoreConformance):
    def open(self, path: Path) -> ArrayStore:
        return ArrayStore(str(path / "arrays"), BUDGET)

    def raw(self, path: Path, info: SegmentInfo, position: int) -> NDArray[Any]:
        with tiledb.open(str(path / "arrays" / info.uri), ctx=tiledb.Ctx()) as array:
            return array[position]["value"].reshape(info.shape)


class TestLocalWithCache(TestLocal):
    def open(self, path: Path) -> ArrayStore:
        return ArrayStore(str(path / "arrays"), BUDGET, path / "decoded")


class TestByAddress(SegmentStoreConformance):
    """An address with a scheme goes the way of S3, through TileDB alone: no rename, no dates."""

    def open(self, path: Path) -> ArrayStore:
        for folder in ("segments", "keys"):  # an object store has no folders to make
            (path / folder).mkdir(exist_ok=True)
        return ArrayStore(path.as_uri(), BUDGET)

    def raw(self, path: Path, info: SegmentInfo, position: int) -> NDArray[Any]:
        with tiledb.open(str(path / info.uri), ctx=tiledb.Ctx()) as array:
            return array[position]["value"].reshape(info.shape)


@pytest.mark.soak
class TestS3(SegmentStoreConformance):
    @pytest.fixture(autouse=True)
    def service(self, s3: S3Server) -> None:
        """In the environment."""

    def open(self, path: Path) -> ArrayStore:
        return ArrayStore(in_s3(path), BUDGET)

    def raw(self, path: Path, info: SegmentInfo, position: int) -> NDArray[Any]:
        with tiledb.open(f"{in_s3(path)}/{info.uri}", ctx=tiledb.Ctx(of_tiledb())) as array:
            return array[position]["value"].reshape(info.shape)


class Unsorted(ArrayStore):
    """Sorts the keys, and forgets the rows."""

    def write_dense(self, array: str, keys: Any, rows: Any) -> SegmentInfo:
        return super().write_dense(array, np.sort(keys), rows)


class InItsOwnOrder(ArrayStore):
    """Gives rows as they are stored, not as they were asked for."""

    def read(self, info: SegmentInfo, positions: Any) -> NDArray[Any]:
        return super().read(info, positions if isinstance(positions, slice) else np.sort(positions))


class Flattening(ArrayStore):
    """Loses the shapes of rows."""

    def read_list(self, info: SegmentInfo, positions: Any) -> list[NDArray[Any]]:
        return [row.reshape(-1) for row in super().read_list(info, positions)]


class ThroughEightBits(ArrayStore):
    """Keeps what passes through a byte."""

    def read(self, info: SegmentInfo, positions: Any) -> NDArray[Any]:
        found = super().read(info, positions)
        return found.astype(np.uint8).astype(found.dtype) if found.dtype.kind in "iu" else found


class Sorting(ArrayStore):
    """Sorts tables by key."""

    def read_table(self, info: SegmentInfo) -> pa.Table:
        return super().read_table(info).sort_by("key")


class Blind(ArrayStore):
    """Finds nothing wrong."""

    def check(self, info: SegmentInfo, *, deep: bool = False) -> list[str]:
        return []


@pytest.mark.parametrize(
    ("faulty", "test", "arguments"),
    [
        (Unsorted, "test_written_rows_are_on_disk_by_the_order_of_their_keys", ()),
        (Unsorted, "test_a_second_store_reads_what_the_first_wrote", ()),
        (InItsOwnOrder, "test_rows_come_back_bit_by_bit_in_any_order", ("uint16",)),
        (InItsOwnOrder, "test_several_segments_are_one_array", ()),
        (Flattening, "test_rows_of_any_shape_come_back", ()),
        (ThroughEightBits, "test_rows_come_back_bit_by_bit_in_any_order", ("uint16",)),
        (Sorting, "test_a_table_keeps_its_order_and_types", ()),
        (Blind, "test_check_says_what_is_gone", ()),
    ],
)
@pytest.mark.usefixtures("unshrunk")
def test_the_kit_finds_the_fault(
    faulty: type[ArrayStore], test: str, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    class Kit(TestLocal):
        def open(self, path: Path) -> ArrayStore:
            return faulty(str(path / "arrays"), BUDGET)

    with pytest.raises((AssertionError, ValueError)):
        getattr(Kit(), test)(tmp_path, *arguments)
