"""The images that drive a unit, from lists that were kept while it was stored."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import odin_graph as og
from odin_graph import example
from odin_graph.catalog.activations.unit_sets import UnitSet, unit_sets
from odin_graph.query.units import unit_lists
from tests.stored import filled

from . import unit_oracle
from .unit_world import CHANNELS, IMAGES, Captured

pytestmark = [pytest.mark.one_engine, pytest.mark.filterwarnings("ignore::odin_graph.errors.NotFiniteWarning")]


@pytest.mark.parametrize("layer", ["conv", "odd"])
def test_kept_lists_answer_as_the_scan_does(
    quarters: tuple[og.Workspace, Captured], monkeypatch: pytest.MonkeyPatch, layer: str
) -> None:
    """Over two segments, as far as they reach; beyond that, and once they have gone, everything is scanned."""
    monkeypatch.setattr(unit_lists, "_SHARE", 2)
    monkeypatch.setattr(unit_lists, "_LEAST", 1)
    db, world = quarters
    asked = db.experiment("quarters/1").layer(layer)
    asked.materialize(db.images("small"), view="channels-max")
    asked.materialize(db.images(), view="channels-max")
    record = unit_sets(db._stores, "quarters/1/1", layer, "channels-max")[0]
    held = UnitSet(db._stores, record)
    assert len(held.array.segments) == 2
    values = world.values("quarters/1", layer, "channels-max").astype(np.float64)
    listed = 0
    for channel in range(CHANNELS):
        for largest in (True, False):
            order = unit_oracle.in_order(world.keys, values[:, channel], largest=largest)
            first = unit_lists.first_of(held, channel, largest=largest)
            assert first is not None
            assert first.tolist() == world.keys[order[: len(first)]].tolist()
            for k in (1, 9, 15, 100):
                top = asked.channels.max()[channel].top(k, largest=largest)
                assert top.keys().tolist() == world.keys[order[:k]].tolist()
                assert (top.plan.steps == ()) == (k <= len(first))
                listed += top.plan.steps == ()
    assert listed > 8
    image = db.image("small005.png")
    shutil.rmtree(db._stores.cache / "toplists")
    assert unit_lists.first_of(held, 0, largest=True) is None
    assert len(asked.channels.max()[0].top(3)) == 3
    assert image.key in world.keys[:IMAGES]


def test_deleted_images_are_no_answer(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit_lists, "_SHARE", 2)
    filled(db, example.build, experiments=1)
    db.images.add(images=np.random.default_rng(0).integers(0, 200, (40, 8, 8, 1)).astype(np.uint8), prefix="new")
    layer = db.experiment("small-cnn/1").layer("features")
    layer.materialize(db.images())
    # Of the data set no image may be deleted: a unit that the others drive.
    tops = ((unit, layer.units[unit].top(6)) for unit in range(len(layer.units)))
    unit, before = next((unit, top) for unit, top in tops if any(image.id.startswith("new") for image in top))
    assert before.plan.steps == ()
    held = before.keys().tolist()
    gone = next(image for image in before if image.id.startswith("new"))
    gone.delete()
    after = layer.units[unit].top(6)
    assert after.plan.steps == ()
    assert after.keys().tolist()[:5] == [key for key in held if key != gone.key]
    for file in (db._stores.cache / "toplists").glob("*/top_keys.npy"):
        file.write_bytes(file.read_bytes()[:50])
    again = layer.units[unit].top(6)
    assert len(again.plan.steps) == 2
    assert again.keys().tolist() == after.keys().tolist()
