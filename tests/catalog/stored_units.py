"""Three sets of units, and how room is made for more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.activations.activations import LayerRef
from odin_graph.catalog.activations.storage import (
    set_budget,
    stored_sets,
)
from odin_graph.catalog.activations.unit_sets import UnitRef, growing_units, unit_sets
from odin_graph.catalog.models.checkpoints import add_checkpoint
from odin_graph.catalog.records.segments import segments_of
from odin_graph.stores import Stores
from tests.catalog.test_unit_sets import SHAPE, images, said
from tests.catalog.test_usage import forget
from tests.forking import Program
from tests.stored import filled

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A, B, C = (UnitRef(letter * 64, codec="f32") for letter in "abc")
ROWS = LayerRef("c", "relu")


def three_sets(stores: Stores) -> NDArray[np.int64]:
    """Three sets of units of twelve images, the oldest first, of which nothing was asked."""
    forget(stores)
    keys: NDArray[np.int64] = filled(stores, _three_sets)
    return keys


def _three_sets(stores: Stores) -> NDArray[np.int64]:
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
