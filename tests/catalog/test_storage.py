"""Room for activations: what is listed, what goes and what stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from odin_graph.catalog.activations import storage as module
from odin_graph.catalog.activations.activations import growing, rows_array
from odin_graph.catalog.activations.storage import (
    StoredSet,
    budget_of,
    make_room,
    pin,
    set_budget,
    stored_sets,
    to_drop,
    unpin,
)
from odin_graph.catalog.activations.unit_sets import UnitSet, growing_units
from odin_graph.catalog.activations.usage import Usage, record
from odin_graph.catalog.activations.vector_indexes import IndexRecord, Owner, name_index
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.stores import Stores
from odin_graph.vectors.approximate import KIND
from tests.catalog.stored_units import NOON, ROWS, A, B, C, fill, left, size, three_sets
from tests.catalog.test_unit_sets import SHAPE


@pytest.fixture
def keys(stores: Stores) -> NDArray[np.int64]:
    """The images of three sets of units, the oldest first, of which nothing was asked."""
    return three_sets(stores)


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
