"""Model and checkpoint records, where two writers meet and where something is missing."""

from __future__ import annotations

import threading

import pytest
import torch

from odin_graph.catalog.models.checkpoints import add_checkpoint, checkpoint_of, load_weights, of_model
from odin_graph.catalog.models.models import ModelRecord, add_model, model_ids, model_of
from odin_graph.catalog.records.files import StoredFiles
from odin_graph.errors import ConflictError, DataWarning, MetadataError, ModelError, UnknownNameError
from odin_graph.runtime.models.describe import describe
from odin_graph.runtime.models.model import Runnable
from odin_graph.stores import Stores
from tests.runtime.networks import SmallNet


def record(stores: Stores, id_: str = "small", **other: object) -> ModelRecord:
    return describe(stores, id_, SmallNet, classes=tuple("abcdefghij"), input_shape=(1, 28, 28), **other)


def test_a_record_comes_back_whole(stores: Stores) -> None:
    held = record(stores, preprocess=["to-float"])
    assert add_model(stores, held, {"paper": "LeCun", "year": 1998})
    assert not add_model(stores, held)
    assert model_of(stores, "small") == held
    assert model_ids(stores) == ["small"]
    (row,) = stores.graph.read("MATCH (m:Model {paper: 'LeCun'}) RETURN m.year AS year, m.digest AS digest")
    assert row == {"year": 1998, "digest": held.digest}


def test_a_digest_is_of_what_decides_the_outputs(stores: Stores) -> None:
    assert record(stores, "a").digest == record(stores, "b").digest
    assert record(stores).digest != record(stores, preprocess=["to-float"]).digest
    assert record(stores).digest != record(stores, kwargs={"width": 4}).digest


def test_writers_of_one_id_meet(stores: Stores) -> None:
    """Eight threads add the same model: one makes it, the others find it."""
    held = record(stores)
    made: list[bool] = []
    threads = [threading.Thread(target=lambda: made.append(add_model(stores, held))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]


def test_our_names_are_refused_as_metadata(stores: Stores) -> None:
    with pytest.raises(MetadataError, match="digest"):
        add_model(stores, record(stores), {"digest": "mine"})
    assert model_ids(stores) == []


def test_checkpoints_are_numbered_and_keep_what_was_said(stores: Stores) -> None:
    add_model(stores, record(stores))
    first = add_checkpoint(stores, "small", SmallNet(), epoch=3, step=120, best=True)
    second = add_checkpoint(stores, "small", SmallNet())
    assert of_model(stores, "small") == [first, second] == ["small/1", "small/2"]
    held = checkpoint_of(stores, first)
    assert (held.epoch, held.step, held.best, held.model, held.experiment) == (3, 120, True, "small", None)
    assert load_weights(StoredFiles(stores), held).keys() == SmallNet().state_dict().keys()


def test_weights_that_are_not_finite_are_told_of_and_kept(stores: Stores) -> None:
    add_model(stores, record(stores))
    module = SmallNet()
    assert checkpoint_of(stores, add_checkpoint(stores, "small", module)).not_finite == ()
    names = [name for name, _ in module.named_parameters()][:2]
    for name, value in zip(names, (float("nan"), float("-inf")), strict=True):
        module.get_parameter(name).data.view(-1)[-1] = value
    with pytest.warns(DataWarning, match=f"'small/2' contains NaN or infinity in {names[0]}, {names[1]}: ") as told:
        id_ = add_checkpoint(stores, "small", module)
    assert len(told) == 1
    held = checkpoint_of(stores, id_)
    assert held.not_finite == tuple(names)
    assert torch.isnan(load_weights(StoredFiles(stores), held)[names[0]]).sum() == 1, "stored as they are"


def test_the_same_weights_are_one_file(stores: Stores) -> None:
    add_model(stores, record(stores))
    module = SmallNet()
    held = [checkpoint_of(stores, add_checkpoint(stores, "small", module, id=id_)) for id_ in ("a", "b")]
    assert held[0].weights == held[1].weights
    assert len(stores.arrays.raw.list("weights")) == 1
    with pytest.raises(ConflictError, match="a checkpoint 'a' already, with other weights"):
        add_checkpoint(stores, "small", SmallNet(), id="a")


def test_weights_of_no_model_are_kept_and_not_run(stores: Stores) -> None:
    lonely = add_checkpoint(stores, None, SmallNet(), id="lonely")
    assert load_weights(StoredFiles(stores), checkpoint_of(stores, lonely))
    with pytest.raises(ModelError, match="'lonely' belongs to no model"):
        Runnable.load(stores, lonely)


def test_an_unknown_model_lists_them_and_says_what_to_do(stores: Stores) -> None:
    with pytest.raises(UnknownNameError, match=r"no model 'x'. There is: none yet. db.models.add"):
        model_of(stores, "x")
