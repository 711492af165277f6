"""Units of what has gone, of what another process writes, and for whoever may only read."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import odin_graph as og
from odin_graph import example
from odin_graph.catalog.activations.unit_sets import unit_sets
from odin_graph.catalog.records.leases import acquire
from odin_graph.errors import ReadOnlyError, ShapeError, TimeLimitError, UnknownNameError
from odin_graph.graph.read_only import read_only
from odin_graph.query.units import unit_source
from tests.kept import kept
from tests.stored import filled

from .unit_world import answering


@kept
def retina(db: og.Workspace) -> og.Workspace:
    filled(db, example.build, experiments=1)
    return db


def test_a_checkpoint_that_has_gone(retina: og.Workspace) -> None:
    exp = retina.experiment("small-cnn/1")
    units, test = exp.layer("features").units[[3, 17]], retina.images("retina-test")
    top = test.order_by(units.mean().desc()).limit(3)
    near = test.nearest(test[0], by=units, k=3)
    top.run()
    assert exp.best_checkpoint() is not None
    exp.best_checkpoint().delete(force=True)
    for ask in (
        top.run,
        near.run,
        lambda: og.Query.from_json(top.address, top.to_json()),
        lambda: test.where(units.max() > 1),
        lambda: units.values(test),
    ):
        with pytest.raises(UnknownNameError) as caught:
            ask()
        assert str(caught.value).splitlines()[0].startswith("There is no checkpoint 'small-cnn/1/1'")


def test_a_layer_that_has_gone_is_named(retina: og.Workspace) -> None:
    exp, test = retina.experiment("small-cnn/1"), retina.images("retina-test")
    data = test.order_by(exp.layer("features").units[[3, 17]].mean()).to_json()
    data["steps"][0]["keys"][0]["value"]["units"]["layer"] = "featurs"
    with pytest.raises(UnknownNameError) as caught:
        og.Query.from_json(test.address, data)
    assert "There is no layer of the model 'small-cnn': 'featurs'. Did you mean 'features'?" in str(caught.value)


def test_images_that_the_model_refuses(retina: og.Workspace) -> None:
    """Nothing is stored, and those that it takes are asked for as before."""
    retina.images.add(images=np.zeros((2, 8, 8, 3), np.uint8), prefix="color")
    units = retina.experiment("small-cnn/1").layer("features").units[[3, 17]]
    with pytest.raises(ShapeError) as caught:
        retina.images().order_by(units.mean().desc()).limit(2).run()
    assert str(caught.value).startswith(
        "The model 'small-cnn' refuses images of shape (3, 8, 8) (bands, height, width) after its preprocessing, and "
        "was added with input_shape=(1, 8, 8): "
    )
    assert len(retina.images("retina-test").order_by(units.mean().desc()).limit(2)) == 2


def test_whoever_may_only_read_is_told_what_is_not_stored(
    retina: og.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a few images the model says it again; of many somebody who may write has to store it."""
    layer, test = retina.experiment("small-cnn/1").layer("features"), retina.images("retina-test")
    query = test.order_by(layer.units[[3, 17]].mean().desc()).limit(3)
    monkeypatch.setattr(unit_source, "READ_ONLY_MOST", 20)
    with read_only(), pytest.raises(ReadOnlyError) as caught:
        query.run()
    assert str(caught.value) == (
        "The answer needs something that is not stored yet (vectors or units of a layer, an index), but you may only "
        "read: use a token with the scope write, or have it computed where the workspace is."
    )
    monkeypatch.setattr(unit_source, "READ_ONLY_MOST", 10_000)
    with read_only():
        expected = query.keys().tolist()
    assert unit_sets(retina._stores) == []
    layer.materialize(test)
    with (
        read_only(),
        answering("read"),
    ):  # codes that cannot decide are looked into by the model, and nothing is stored for that
        assert test.order_by(layer.units[[3, 17]].mean().desc()).limit(3).keys().tolist() == expected


def test_a_set_that_another_process_writes_is_waited_for(retina: og.Workspace) -> None:
    """And is given up at the end of the time that was given."""
    stores, test = retina._stores, retina.images("retina-test")
    layer = retina.experiment("small-cnn/1").layer("features")
    units = layer.units[[3, 17]]
    layer.materialize(test[:10])
    (record,) = unit_sets(stores)
    query = test.order_by(units.mean().desc()).limit(3)
    found: list[list[int]] = []

    def asked(timeout: float | None = None) -> list[int]:
        with answering("store", "u8"):
            return query.keys(timeout=timeout).tolist()

    asking = threading.Thread(target=lambda: found.append(asked()))
    with acquire(stores.graph, "ActivationSet", record.id):
        with pytest.raises(TimeLimitError):
            asked(timeout=1)
        asking.start()
        asking.join(1)
        assert asking.is_alive()
    asking.join(60)
    assert found == [query.keys().tolist()]
