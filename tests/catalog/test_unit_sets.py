"""Unit sets as records: made once, grown under a lease, read over all segments, dropped, rid of purged images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from odin_graph.catalog.activations import activations
from odin_graph.catalog.activations.unit_sets import (
    UnitGrowth,
    UnitRef,
    UnitSet,
    drop,
    growing_units,
    unit_set_of,
    unit_sets,
)
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.images.batch import ImageBatch
from odin_graph.catalog.images.images import add_images, keys_of
from odin_graph.catalog.models.checkpoints import add_checkpoint
from odin_graph.catalog.purge.gc import collect_garbage
from odin_graph.catalog.purge.purge import purge
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import ConflictError, UnknownNameError
from odin_graph.stores import Stores
from tests.kept import kept

REF = UnitRef("ab" * 32, codec="f32")
SHAPE = (2, 3)


def images(stores: Stores, number: int = 12) -> NDArray[np.int64]:
    ids = [f"i{place}" for place in range(number)]
    pixels = np.random.default_rng(0).integers(0, 255, (number, 4, 4, 1), np.uint8)
    add_images(stores, ImageBatch(ids, list(pixels)))
    return keys_of(stores, ids)


def said(keys: NDArray[np.int64], factor: float = 1) -> NDArray[np.float32]:
    """(6, n): unit u says u + factor * key."""
    return (np.arange(6)[:, None] + factor * keys[None]).astype(np.float32)


def add(growth: UnitGrowth, keys: NDArray[np.int64], factor: float = 1) -> None:
    written = growth.stores.arrays.units.write(growth.array, keys, 6, iter([said(keys, factor)]), growth.ref.codec)
    growth.add(written)


def grow(stores: Stores, keys: NDArray[np.int64], checkpoint: str = "c", ref: UnitRef = REF, factor: float = 1) -> None:
    with growing_units(stores, ref, checkpoint=checkpoint, layer="relu", shape=SHAPE, device="cpu") as growth:
        add(growth, keys, factor)


@kept
def keys(stores: Stores) -> NDArray[np.int64]:
    for name in ("c", "d"):
        add_checkpoint(stores, None, {}, id=name)
    return images(stores)


def test_a_set_grows_and_is_read_over_all_segments(stores: Stores, keys: NDArray[np.int64]) -> None:
    grow(stores, keys[:5])
    grow(stores, keys[5:9], "d")
    (record,) = unit_sets(stores)
    assert (record.id, record.shape, record.units, record.codec) == (REF.set_id, SHAPE, 6, "f32")
    assert (record.pooling, record.layer, record.device, record.digest) == ("units", "relu", "cpu", "ab" * 32)
    held = UnitSet.open(stores, record.id)
    assert held.missing(keys).tolist() == keys[9:].tolist()
    group = np.array([4, 0])
    np.testing.assert_array_equal(held.values(group, keys[[8, 0, 0]]), said(keys[[8, 0, 0]])[group].T)
    blocks = list(held.blocks(group))
    assert [len(block.keys) for block in blocks] == [5, 4]
    np.testing.assert_array_equal(blocks[1].decoded(), said(keys[5:9])[group])
    assert held.bytes() > 0
    assert held.error(group).tolist() == [0, 0]
    for checkpoint in ("c", "d"):
        assert [found.id for found in unit_sets(stores, checkpoint, "relu", "units")] == [REF.set_id]
    assert unit_sets(stores, "c", "norm") == unit_sets(stores, pooling="channels-max") == []
    assert examine(stores, deep=True).sound


def test_a_set_is_not_seen_before_it_is_ready(stores: Stores, keys: NDArray[np.int64]) -> None:
    with growing_units(stores, REF, checkpoint="c", layer="relu", shape=SHAPE, device="cpu") as growth:
        add(growth, keys)
        assert unit_sets(stores) == []
        with pytest.raises(UnknownNameError, match="There is no unit set"):
            UnitSet.open(stores, REF.set_id)
        record = unit_set_of(stores, REF.set_id)
        assert record is not None
        assert record.state == "building"
        with pytest.raises(ConflictError, match="is being written by"):
            purge(stores, keys[:1])
        with pytest.raises(ConflictError, match="is being written by"):
            drop(stores, REF.set_id)
    assert [held.state for held in unit_sets(stores)] == ["ready"]


def test_a_ready_set_is_read_while_it_grows(stores: Stores, keys: NDArray[np.int64]) -> None:
    grow(stores, keys[:5])
    with growing_units(stores, REF, checkpoint="c", layer="relu", shape=SHAPE, device="cpu") as growth:
        assert len(UnitSet.open(stores, REF.set_id).coverage()) == 5
        add(growth, keys[5:])
        assert len(UnitSet.open(stores, REF.set_id).coverage()) == 12


def test_whoever_lost_the_lease_adds_nothing(stores: Stores, keys: NDArray[np.int64]) -> None:
    taken = "MATCH (s:ActivationSet {id: $id}) SET s.lease_owner = 'another:1:2:3'"

    def lose() -> None:
        with growing_units(stores, REF, checkpoint="c", layer="relu", shape=SHAPE, device="cpu") as growth:
            stores.graph.write(taken, {"id": REF.set_id})
            add(growth, keys)

    with pytest.raises(ConflictError, match="was taken over by another process"):
        lose()
    assert segments_of(stores, f"ActivationSet/{REF.set_id}/units") == []


def test_what_was_purged_meanwhile_is_not_named(stores: Stores, keys: NDArray[np.int64]) -> None:
    grow(stores, keys[:5])
    with growing_units(stores, REF, checkpoint="c", layer="relu", shape=SHAPE, device="cpu") as growth:
        purge(stores, keys[7:8])
        with pytest.raises(ConflictError, match="Images were purged while their activations were computed"):
            add(growth, keys[5:])
        add(growth, np.setdiff1d(keys[5:], keys[7:8]))
    assert UnitSet.open(stores, REF.set_id).missing(keys).tolist() == [keys[7]]
    assert examine(stores, deep=True).sound


def test_later_segments_count(stores: Stores, keys: NDArray[np.int64]) -> None:
    grow(stores, keys[:6])
    grow(stores, keys[3:9], factor=2)
    held = UnitSet.open(stores, REF.set_id)
    group = np.arange(6)
    expected = np.concatenate([said(keys[:3]), said(keys[3:9], 2)], axis=1)
    np.testing.assert_array_equal(held.values(group, keys[:9]), expected.T)
    found = dict[int, NDArray[np.float32]]()
    for block in held.blocks(group):
        found |= dict(zip(block.keys.tolist(), block.decoded().T, strict=True))
    np.testing.assert_array_equal(np.stack([found[key] for key in keys[:9].tolist()]), expected.T)


def test_a_dropped_set_comes_back_to_life(stores: Stores, keys: NDArray[np.int64]) -> None:
    grow(stores, keys)
    drop(stores, REF.set_id, why="room")
    assert unit_sets(stores) == []
    collect_garbage(stores, grace=0)
    assert not any("ActivationSet" in file.uri for file in stores.arrays.files())
    grow(stores, keys[:2])
    assert UnitSet.open(stores, REF.set_id).coverage().tolist() == sorted(keys[:2].tolist())
    assert examine(stores).sound


def test_ids_tell_codecs_and_poolings_apart() -> None:
    refs = [UnitRef("ab" * 32, pooling, codec) for pooling in ("units", "channels-max") for codec in ("u8", "f32")]  # type: ignore[arg-type]
    assert len({ref.set_id for ref in refs}) == 4


def test_a_set_that_another_process_holds_is_waited_for(
    stores: Stores, keys: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    grow(stores, keys[:2])
    held = activations.leases.acquire(stores.graph, "ActivationSet", REF.set_id)
    monkeypatch.setattr(activations.time, "sleep", lambda _: held.release())
    grow(stores, keys[2:])
    assert "Waiting: ActivationSet" in caplog.text
