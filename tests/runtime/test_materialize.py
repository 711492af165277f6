"""Materializing: what is stored is what the layer said, once, whatever codec, pooling, batch, break or budget."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from odin_graph.address import Address
from odin_graph.catalog.activations.activations import LayerRef
from odin_graph.catalog.activations.unit_sets import UnitSet, unit_set_of, unit_sets, units_array
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.purge.purge import purge
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import QueryError, SpaceError, UnknownNameError
from odin_graph.runtime.passes import spill, unit_plan
from odin_graph.runtime.passes import unit_writer as module
from odin_graph.runtime.passes.embed import embeddings
from odin_graph.runtime.passes.materialize import materialize, plan_units
from odin_graph.runtime.passes.unit_plan import Want
from odin_graph.stores import Stores
from tests.runtime.digits import add_digits, add_trained, as_inputs, digits, trained
from tests.test_bad_input import small_disk

pytestmark = pytest.mark.one_engine

CHECKPOINT = "small/trained"


@pytest.fixture
def stores(stores: Stores) -> Stores:
    """Without what interrupted jobs of other tests left: those of an embedded engine share its folder."""
    shutil.rmtree(stores.cache / "spill", ignore_errors=True)
    return stores


def by_hand() -> dict[str, NDArray[np.float32]]:
    held: nn.Module = trained()
    with torch.no_grad():
        first = held.first(as_inputs(digits()[0]))
        second = held.norm(held.second(first.relu())).relu()
        said = held.head(second.mean((2, 3)))
    return {name: value.numpy() for name, value in {"first": first, "relu#2": second, "head": said}.items()}


def flat(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values.reshape(len(values), -1)


def assert_holds(held: UnitSet, keys: NDArray[np.int64], expected: NDArray[np.float32]) -> None:
    """Every interval of every unit contains what the layer said, for these keys and no others."""
    assert held.coverage().tolist() == sorted(keys.tolist())
    place = {key: row for row, key in enumerate(keys.tolist())}
    group = np.random.default_rng(0).permutation(held.record.units)[:50]
    noise = held.noise(group)[:, None]
    for block in held.blocks(group):
        low, high = block.tables()
        said = expected[[place[key] for key in block.keys.tolist()]][:, group].T
        codes = block.values.astype(np.int64)
        assert (np.take_along_axis(low, codes, 1) - noise <= said).all()
        assert (said <= np.take_along_axis(high, codes, 1) + noise).all()


def test_one_pass_stores_several_layers_in_several_ways(stores: Stores) -> None:
    keys, _ = add_digits(stores), add_trained(stores)
    wants = [
        Want("relu#2"),
        Want("relu#2", codec="f32"),
        Want("first", codec="f16"),
        Want("relu#2", "channels-max", "f32"),
        Want("relu#2", "channels-mean", "f32"),
        Want("relu#2", "channels-argmax", "f32"),
        Want("head", codec="f32"),
    ]
    rows = LayerRef(CHECKPOINT, "relu#2")
    ids = materialize(stores, CHECKPOINT, wants, keys, rows=[rows], batch=32)
    said = by_hand()
    second = said["relu#2"]
    assert_holds(UnitSet.open(stores, ids[0]), keys, flat(second))
    some = np.array([5, 3, 3, 299, 0])
    every = np.arange(flat(second).shape[1])
    maps = second.reshape(300, 16, -1)
    expected = {1: flat(second), 3: maps.max(2), 4: maps.mean(2), 5: maps.argmax(2), 6: said["head"]}
    for place, values in expected.items():
        held = UnitSet.open(stores, ids[place])
        found = held.values(np.arange(held.record.units), keys[some])
        np.testing.assert_allclose(found, values[some], atol=1e-5)
        assert (held.record.pooling, held.record.units) == (wants[place].pooling, values.shape[1])
    half = UnitSet.open(stores, ids[2])
    assert half.record.shape == (8, 28, 28)
    group = np.array([0, 784, 6271])
    off = np.abs(half.values(group, keys) - flat(said["first"])[:, group]).max(axis=0)
    assert (off <= half.error(group) + half.noise(group)).all()
    np.testing.assert_allclose(embeddings(stores, rows, keys), maps.mean(2), atol=1e-5)
    assert len(unit_sets(stores, CHECKPOINT)) == 7
    assert {held.pooling for held in unit_sets(stores, CHECKPOINT, "relu#2", "units")} == {"units"}
    assert len(every) == UnitSet.open(stores, ids[0]).record.units
    assert examine(stores, deep=True).sound
    assert not any(path.is_dir() for path in (stores.cache / "spill").glob("*"))


def test_only_what_is_missing_is_computed(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, _ = add_digits(stores), add_trained(stores)
    ran: list[int] = []
    real = module.pixel_blocks

    def counted(stores: Stores, asked: NDArray[np.int64], **how: int) -> object:
        ran.extend(asked.tolist())
        return real(stores, asked, **how)

    monkeypatch.setattr(module, "pixel_blocks", counted)
    codes, exact = Want("relu#2"), Want("relu#2", codec="f32")
    (first,) = materialize(stores, CHECKPOINT, [codes], keys[:100])
    materialize(stores, CHECKPOINT, [codes], keys[50:200])
    materialize(stores, CHECKPOINT, [codes], keys[:200])
    assert sorted(ran) == sorted(keys[:200])
    assert [held.rows for held in segments_of(stores, units_array(first))] == [100, 100]
    assert_holds(UnitSet.open(stores, first), keys[:200], flat(by_hand()["relu#2"])[:200])
    ran.clear()
    _, second = materialize(stores, CHECKPOINT, [codes, exact], keys[150:])  # 150..199 for one of them alone
    assert sorted(ran) == sorted(keys[150:])
    assert UnitSet.open(stores, first).coverage().tolist() == sorted(keys.tolist())
    assert UnitSet.open(stores, second).coverage().tolist() == sorted(keys[150:].tolist())


@pytest.mark.parametrize("memory", [0, spill.IN_MEMORY])
def test_segments_hold_so_many_images(stores: Stores, monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    """Through files and through memory, in blocks of a few units."""
    monkeypatch.setattr(spill, "IN_MEMORY", memory)
    monkeypatch.setattr(spill, "ROOM", 100_000)
    keys, _ = add_digits(stores), add_trained(stores)
    shuffled = np.random.default_rng(3).permutation(keys)
    (made,) = materialize(stores, CHECKPOINT, [Want("relu#2")], np.concatenate([shuffled, keys[:5]]), positions=128)
    assert [held.rows for held in segments_of(stores, units_array(made))] == [128, 128, 44]
    assert_holds(UnitSet.open(stores, made), keys, flat(by_hand()["relu#2"]))
    assert not any(path.is_dir() for path in (stores.cache / "spill").glob("*"))


def test_a_break_keeps_the_segments_that_were_written(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, _ = add_digits(stores), add_trained(stores)
    real, written = spill.Spill.write, list[int]()

    def breaking(self: spill.Spill, first: int, rows: NDArray[np.float32]) -> None:
        written.append(len(rows))
        if sum(written) > 200:
            raise KeyboardInterrupt
        real(self, first, rows)

    monkeypatch.setattr(spill.Spill, "write", breaking)
    with pytest.raises(KeyboardInterrupt):
        materialize(stores, CHECKPOINT, [Want("relu#2")], keys, batch=50, positions=120)
    (row,) = stores.graph.read("MATCH (s:ActivationSet) RETURN s.id AS id, s.state AS state, s.lease_owner AS owner")
    assert (row["state"], row["owner"]) == ("building", None)
    assert unit_sets(stores) == []
    assert [held.rows for held in segments_of(stores, units_array(row["id"]))] == [120]
    monkeypatch.setattr(spill.Spill, "write", real)
    (made,) = materialize(stores, CHECKPOINT, [Want("relu#2")], keys, batch=50, positions=120)
    assert [held.rows for held in segments_of(stores, units_array(made))] == [120, 120, 60]
    assert_holds(UnitSet.open(stores, made), keys, flat(by_hand()["relu#2"]))


def test_what_a_removal_left_goes(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process was killed while it removed a finished job's files, file by file."""
    monkeypatch.setattr(spill, "IN_MEMORY", 0)
    keys, _ = add_digits(stores), add_trained(stores)
    real = shutil.rmtree

    def torn(folder: Path, **how: Any) -> None:
        if (Path(folder) / "sets.json").exists():
            (Path(folder) / "sets.json").unlink()
            raise KeyboardInterrupt
        real(folder, **how)

    monkeypatch.setattr(shutil, "rmtree", torn)
    with pytest.raises(KeyboardInterrupt):
        materialize(stores, CHECKPOINT, [Want("relu#2")], keys)
    monkeypatch.undo()
    materialize(stores, CHECKPOINT, [Want("relu#2"), Want("first")], keys)
    assert not any(path.is_dir() for path in (stores.cache / "spill").glob("*"))


def test_what_an_interrupted_job_wrote_is_not_run_again(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "IN_MEMORY", 0)
    keys, _ = add_digits(stores), add_trained(stores)
    ran: list[int] = []
    wrote, blocks = spill.Job.wrote, module.pixel_blocks

    def breaking(self: spill.Job, images: int) -> None:
        wrote(self, images)
        if images == 200:
            raise KeyboardInterrupt

    def counted(stores: Stores, asked: NDArray[np.int64], **how: int) -> object:
        ran.append(len(asked))
        return blocks(stores, asked, **how)

    monkeypatch.setattr(module, "pixel_blocks", counted)
    monkeypatch.setattr(spill.Job, "wrote", breaking)
    with pytest.raises(KeyboardInterrupt):
        materialize(stores, CHECKPOINT, [Want("relu#2"), Want("first")], keys, batch=50)
    assert unit_sets(stores) == []
    monkeypatch.setattr(spill.Job, "wrote", wrote)
    made, _ = materialize(stores, CHECKPOINT, [Want("relu#2"), Want("first")], keys, batch=50)
    assert ran == [300, 100]
    assert_holds(UnitSet.open(stores, made), keys, flat(by_hand()["relu#2"]))
    assert not any(path.is_dir() for path in (stores.cache / "spill").glob("*"))


def test_the_peak_of_disk_is_told_and_refused(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_plan, "IN_MEMORY", 0)
    keys, _ = add_digits(stores), add_trained(stores)
    wants = [Want("first"), Want("first", codec="f32"), Want("head", codec="f16")]
    plan = plan_units(stores, CHECKPOINT, wants, keys, positions=200)
    assert (plan.images, plan.jobs) == (300, 2)
    assert plan.spill == 4 * 200 * (8 * 28 * 28 + 10), "two codecs of a layer share their bytes on the way"
    least = 300 * (5 * 8 * 28 * 28 + 2 * 10)
    assert least < plan.stored < 1.3 * least
    assert stores.graph.read("MATCH (s:ActivationSet) RETURN count(s) AS n") == [{"n": 0}]
    full = type(unit_plan.shutil.disk_usage("/"))(10**9, 10**9 - 4096, 4096)
    monkeypatch.setattr(unit_plan.shutil, "disk_usage", lambda _: full)
    with pytest.raises(SpaceError, match=r"takes up to .* MiB of disk .* Nothing was run. Make room"):
        materialize(stores, CHECKPOINT, wants, keys)
    assert stores.graph.read("MATCH (s:ActivationSet) RETURN count(s) AS n") == [{"n": 0}]


def test_a_purged_image_is_in_no_segment(stores: Stores) -> None:
    keys, _ = add_digits(stores), add_trained(stores)
    made, exact = materialize(stores, CHECKPOINT, [Want("relu#2"), Want("relu#2", codec="f32")], keys)
    said = UnitSet.open(stores, exact).values(np.arange(2000), keys)
    unit = int(np.ptp(np.sort(said, axis=0)[-2:], axis=0).argmax())
    gone = np.array([3, int(said[:, unit].argmax())])  # which alone says the most of this unit
    ends = said.max(axis=0)
    purge(stores, keys[gone], force=True)
    left = np.setdiff1d(np.arange(300), gone)
    assert_holds(UnitSet.open(stores, made), keys[left], flat(by_hand()["relu#2"])[left])
    np.testing.assert_allclose(
        UnitSet.open(stores, exact).values(np.array([7]), keys[left]),
        flat(by_hand()["relu#2"])[left][:, [7]],
        atol=1e-5,
    )
    went = ends != said[left].max(axis=0)
    assert went[unit]
    for set_id in (made, exact):
        (segment,) = segments_of(stores, units_array(set_id))
        assert not (stores.arrays.units.scales(segment)[: len(ends), 1] == ends)[went].any()
    assert examine(stores, deep=True).sound


def test_bad_names_are_refused_before_anything_runs(stores: Stores) -> None:
    keys, _ = add_digits(stores, 5), add_trained(stores)
    with pytest.raises(UnknownNameError, match=r"no layer of the model 'small': 'haed'. Did you mean 'head'"):
        materialize(stores, CHECKPOINT, [Want("haed")], keys)
    with pytest.raises(QueryError, match="say which call you mean, relu#1, relu#2"):
        materialize(stores, CHECKPOINT, [Want("relu")], keys)
    with pytest.raises(UnknownNameError, match="no pooling of units 'median'"):
        Want("head", "median")
    with pytest.raises(UnknownNameError, match="no codec of units 'u4'"):
        Want("head", codec="u4")  # type: ignore[arg-type]
    with pytest.raises(QueryError, match="No layer was asked for"):
        materialize(stores, CHECKPOINT, [], keys)
    with pytest.raises(QueryError, match="There are no images to run"):
        materialize(stores, CHECKPOINT, [Want("head")], keys[:0])


def test_a_dropped_set_is_computed_again(stores: Stores) -> None:
    from odin_graph.catalog.activations.unit_sets import drop

    keys, _ = add_digits(stores, 20), add_trained(stores)
    (made,) = materialize(stores, CHECKPOINT, [Want("head")], keys)
    assert UnitSet.open(stores, made).bytes() > 0
    drop(stores, made, why="room")
    assert unit_set_of(stores, made) is None
    with pytest.raises(UnknownNameError, match="There is no unit set"):
        UnitSet.open(stores, made)
    assert materialize(stores, CHECKPOINT, [Want("head")], keys) == [made]
    assert UnitSet.open(stores, made).coverage().tolist() == sorted(keys.tolist())


def test_what_interrupted_jobs_left_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "IN_MEMORY", 0)
    keys = np.arange(5)

    def broken(name: str) -> None:
        with spill.job(tmp_path, [name], [3], keys, [name]) as held:
            held.spills[0].write(0, np.ones((5, 3), np.float32))
            held.wrote(4)
            raise KeyboardInterrupt

    for name in ("old", "young"):
        with pytest.raises(KeyboardInterrupt):
            broken(name)
    first, second = sorted(
        (path for path in tmp_path.iterdir() if path.is_dir()), key=lambda path: path.stat().st_ctime
    )
    os.utime(first, (1, 1))
    with spill.job(tmp_path, ["young"], [3], keys, ["young"]) as held:
        assert held.done == 4
        spill.sweep(tmp_path, all_unused=True)
        assert second.exists(), "never what a live process uses"
        assert not first.exists()
        assert held.spills[0].rows().tolist() == [[1.0] * 3] * 5
    assert not any(path.is_dir() for path in tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        broken("young")
    spill.forget(tmp_path, {"other": lambda keys: keys[:0]})
    spill.forget(tmp_path, {"young": lambda keys: keys[:1]})
    assert second.exists()
    spill.forget(tmp_path, {"young": lambda keys: keys[:0]})
    assert not second.exists()


def test_a_full_disk_is_said_and_what_was_stored_stays(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, _ = add_digits(stores), add_trained(stores)
    (made,) = materialize(stores, CHECKPOINT, [Want("relu#2")], keys[:100])
    with small_disk(tmp_path / "small", 1 << 20) as folder:
        if not folder.is_mount():
            pytest.skip("a small file system cannot be mounted here")
        narrow = replace(stores, cache=folder / "cache")
        monkeypatch.setattr(unit_plan, "IN_MEMORY", 0)
        monkeypatch.setattr(spill, "IN_MEMORY", 0)
        with pytest.raises(SpaceError, match="Nothing was run"):
            materialize(narrow, CHECKPOINT, [Want("relu#2")], keys)
        monkeypatch.setattr(unit_plan.UnitPlan, "check", lambda self: None)  # others fill the disk later
        with pytest.raises(SpaceError, match="on their way to the store"):
            materialize(narrow, CHECKPOINT, [Want("relu#2")], keys)
        assert not any(path.is_dir() for path in (folder / "cache" / "spill").glob("*"))
    assert UnitSet.open(stores, made).coverage().tolist() == sorted(keys[:100].tolist())
    assert examine(stores).unfinished == ()
    materialize(stores, CHECKPOINT, [Want("relu#2")], keys)
    assert_holds(UnitSet.open(stores, made), keys, flat(by_hand()["relu#2"]))


def test_the_arrays_disk_fills_in_the_middle(address: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with small_disk(tmp_path / "small", 1_500_000) as folder:
        if not folder.is_mount():
            pytest.skip("a small file system cannot be mounted here")
        stores = Stores.open(replace(address, arrays=str(folder / "arrays")))
        stores.keep()
        keys, _ = add_digits(stores), add_trained(stores)
        monkeypatch.setattr(unit_plan.UnitPlan, "check", lambda self: None)  # others fill the disk later
        with pytest.raises(SpaceError, match="odin gc"):
            materialize(stores, CHECKPOINT, [Want("first", codec="f32")], keys, positions=60)
        (row,) = stores.graph.read("MATCH (s:ActivationSet) RETURN s.state AS state, s.id AS id")
        assert row["state"] == "ready"  # what is stored is whole: the set goes on with what is missing
        assert all(info.rows == 60 for info in segments_of(stores, units_array(row["id"])))
        assert examine(stores, deep=True).sound
        stores.close()
