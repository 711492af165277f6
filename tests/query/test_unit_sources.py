"""Store or run again: what is chosen, what is learnt from it, and within which room."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import example
from odin_graph.catalog.activations.storage import set_budget, stored_sets
from odin_graph.catalog.activations.unit_sets import UnitSet, unit_sets, units_array
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import SpaceError
from odin_graph.neurons.costs import MachineSpeeds, Option, best
from odin_graph.objects.layers.units import Units
from odin_graph.query.expressions.nodes import UnitGroup
from odin_graph.query.units import unit_source
from odin_graph.query.units.calibration import Calibration, Layer, Seen
from odin_graph.query.units.unit_source import Sources
from odin_graph.runtime.models import loaded
from odin_graph.runtime.models.model import Runnable
from tests.kept import kept
from tests.stored import filled

from .unit_world import answering

pytestmark = pytest.mark.one_engine  # stored units and models, which no graph has

GROUP = [3, 17, 40]


@kept
def retina(db: og.Workspace) -> og.Workspace:
    shutil.rmtree(db._stores.cache / "speeds", ignore_errors=True)  # one folder of the tests of an engine
    filled(db, example.build, experiments=1)
    return db


def units(db: og.Workspace) -> Units:
    return db.experiment("small-cnn/1").layer("features").units[GROUP]


def sources(db: og.Workspace) -> Sources:
    return Sources(db._stores, units(db).node, np.unique(db.images("retina-test").keys()))


def calibrate(db: og.Workspace, image: float) -> None:
    """Let the model be so slow, and the machine as it comes."""
    calibration, width = Calibration(db._stores), len(db.experiment("small-cnn/1").layer("features").units)
    calibration.keep(units(db).node, Layer.timed(image, 0.0, 0.01, width))
    calibration.keep_machine(Seen())


def test_a_model_that_nobody_knows_is_timed_first(retina: og.Workspace) -> None:
    held = Calibration(retina._stores)
    assert held.layer(units(retina).node) is None
    question, given = sources(retina).options("first")
    layer = held.layer(units(retina).node)
    assert layer is not None
    assert layer.speeds().image > 0
    assert layer.speeds().load > 0
    assert layer.width == len(retina.experiment("small-cnn/1").layer("features").units)
    assert question.later == 1
    assert {one.way for one in given} == {"run", "store"}
    assert unit_sets(retina._stores) == []


def test_a_fast_model_is_run_and_a_slow_one_is_stored(retina: og.Workspace) -> None:
    """The same question gives the same answer, and says why it was answered that way."""
    query = retina.images("retina-test").order_by(units(retina).mean().desc()).limit(5)
    calibrate(retina, 1e-6)
    fast = query.to_arrow("id")
    said = str(query.explain(run=True))
    assert "the model was run on " in said
    assert "(to run the model takes about " in said
    assert unit_sets(retina._stores) == []
    calibrate(retina, 10.0)
    slow = str(query.explain(run=True))
    assert "to store " in slow
    (record,) = unit_sets(retina._stores)
    assert not len(UnitSet(retina._stores, record).missing(query.keys()))
    assert query.to_arrow("id").equals(fast)


def test_what_was_stored_is_read_from_then_on_and_that_is_counted(retina: og.Workspace) -> None:
    from odin_graph.catalog.activations.usage import usage_of

    calibrate(retina, 10.0)
    query = retina.images("retina-test").order_by(units(retina).mean().desc()).limit(5)
    query.explain(run=True)
    (record,) = unit_sets(retina._stores)
    before = usage_of(retina._stores, record.id)
    calibrate(retina, 10.0)
    assert "to read " in str(query.explain(run=True))
    after = usage_of(retina._stores, record.id)
    assert after.asked == before.asked + 1
    assert after.saved > before.saved
    assert len(unit_sets(retina._stores)) == 1


def test_questions_are_expected_as_they_came() -> None:
    layer = Layer.timed(1e-3, 0.0, 0.0, 7)
    for _ in range(6):
        layer = layer.asked(1_000)
    assert (layer.asks, layer.images) == (6, 6_000)
    assert layer.later(1_000) == 6
    assert layer.later(3_000) == 2
    assert layer.later(10) == 6  # and not six hundred of ten images
    assert layer.later(10**6) == 1


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "{",
        "[]",
        '{"seen": []}',
        '{"seen": {"image": ["fast"]}}',
        '{"seen": {"image": [-1]}}',
        '{"seen": {"image": [1.0], "call": 3}, "asks": "x"}',
    ],
)
def test_a_broken_file_of_speeds_costs_no_answer(retina: og.Workspace, broken: str) -> None:
    query = retina.images("retina-test").order_by(units(retina).mean().desc()).limit(5)
    expected = query.keys().tolist()
    files = list((retina._stores.cache / "speeds").glob("*.json"))
    assert files
    for file in files:
        file.write_text(broken)
    again = retina.images("retina-test").order_by(units(retina).mean().desc()).limit(6)
    assert again.keys().tolist()[:5] == expected


def test_a_speed_is_the_median_of_the_latest() -> None:
    """One that something else made long changes little, and a machine that became slower is known soon."""
    seen = Seen()
    assert seen.get("make") == 0
    for value in (1.0, 1.1, 50.0, 1.2):
        seen = seen.and_("make", value)
    assert seen.get("make") == pytest.approx(1.15)
    for _ in range(3):
        seen = seen.and_("make", 2.0)
    assert seen.get("make") == 2.0
    assert seen.of["make"] == (50.0, 1.2, 2.0, 2.0, 2.0)


def test_speeds_follow_what_is_seen() -> None:
    seen = Seen().took("read", 0.8, 0.1)
    assert seen.ratio("read") == 1  # once is not enough
    for _ in range(2):
        seen = seen.took("read", 0.8, 0.1).took("store", 1.0, 2.0)
    assert seen.ratio("read") == pytest.approx(8)
    assert seen.ratio("store") == pytest.approx(0.75)
    assert Seen().took("run", 1e6, 0.1).of == {"run": (8.0,)}  # it waited for something
    assert Seen().took("run", 0.0, 0.1).of == {"run": (0.125,)}
    layer = Layer.timed(1e-3, 0.0, 0.0, 7)
    assert layer.machine(seen) == MachineSpeeds(reading=seen.ratio("read"), storing=0.75)
    other = replace(layer, seen=layer.seen.took("read", 0.2, 0.1).took("read", 0.2, 0.1).took("read", 0.2, 0.1))
    assert other.machine(seen).reading == pytest.approx(2)  # a layer may differ from the machine's others
    for _ in range(3):
        layer = layer.ran(1_000, 5.0, load=None)
    assert layer.speeds().running(200) == pytest.approx(1.0)
    assert layer.machine(seen).reading == seen.ratio("read")  # of the model, and not of the machine
    assert layer.ran(10, 0.1, load=2.0).speeds().load == 2.0
    assert layer.speeds().left == {}
    left = layer.bounded("u8", "first", 100, 1_000)
    assert left.speeds().left == {"u8 first": 100}
    assert left.bounded("u8", "first", 20, 21) == left


def test_what_reading_took_is_known_of_layer_and_machine(retina: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the model, for what codes leave open, is not taken for reading, and it is loaded once."""
    load, times, keep, took = Runnable.load, 0, Calibration.took, list[float]()

    def noted(self: Calibration, group: UnitGroup, name: str, seconds: float, predicted: float) -> None:
        took.append(seconds)
        keep(self, group, name, seconds, predicted)

    monkeypatch.setattr(Calibration, "took", noted)

    def slow(*args: Any, **kwargs: Any) -> Runnable:
        nonlocal times
        times += 1
        time.sleep(2.0)
        return load(*args, **kwargs)

    mean, most, least = (
        retina.images("retina-test").order_by(order.desc()).limit(5)
        for order in (units(retina).mean(), units(retina).max(), units(retina).min())
    )
    retina.experiment("small-cnn/1").layer("features").materialize(retina.images("retina-test"), codec="u8")
    calibrate(retina, 1e-6)
    loaded._entries.clear()
    monkeypatch.setattr(Runnable, "load", slow)
    with answering("run"):
        mean.keys()
    with answering("read", "u8"):
        most.keys()
    assert times == 1
    loaded._entries.clear()
    with answering("read", "u8"):
        least.keys()
    held = Calibration(retina._stores)
    layer = held.layer(units(retina).node)
    assert layer is not None
    assert held.machine.of["read"] == layer.seen.of["read"]
    assert len(took) == len(layer.seen.of["read"]) == times == 2
    assert layer.seen.of["load"][-1] > 2
    assert max(took) < 1


def test_speeds_are_kept(retina: og.Workspace) -> None:
    held, node = Calibration(retina._stores), units(retina).node
    seen = Seen({"store": (0.5, 0.25), "read": (1e-3,)})
    held.keep_machine(seen)
    layer = Layer.timed(0.5, 0.25, 2.0, 12).asked(4)
    held.keep(node, layer)
    again = Calibration(retina._stores)
    assert again.machine == seen
    assert again.layer(node) == layer


def test_nothing_is_stored_beyond_the_budget(retina: og.Workspace) -> None:
    """The model is run instead, as long as that is possible; whoever asks to store is told."""
    calibrate(retina, 10.0)
    set_budget(retina._stores, 1_000)
    query = retina.images("retina-test").order_by(units(retina).mean().desc()).limit(5)
    assert "the model was run on " in str(query.explain(run=True))
    assert unit_sets(retina._stores) == []
    with pytest.raises(SpaceError, match=r"budget of 1\.0 kB"):
        retina.experiment("small-cnn/1").layer("features").materialize(retina.images("retina-test"))
    assert stored_sets(retina._stores) == []
    set_budget(retina._stores, None)
    calibrate(retina, 10.0)
    query = retina.images("retina-test").order_by(units(retina).mean().desc()).limit(6)
    assert "to store " in str(query.explain(run=True))


def test_embeddings_are_read_where_they_are_the_same_numbers(retina: og.Workspace) -> None:
    experiment, images = retina.experiment("small-cnn/1"), retina.images("retina-test")
    for pooling, every in [
        ("flatten", experiment.layer("features").units),
        ("max", experiment.layer("features").channels.max()),
        ("mean", experiment.layer("features").channels.mean()),
    ]:
        group = every[[3, 1]]
        expected = group.values(images)
        experiment.layer("features", pooling=pooling).embeddings(images)
        with answering("read", "rows"):
            found = images.select("id", said=group.max()).explain(run=True)
            np.testing.assert_allclose(group.values(images), expected, rtol=1e-6)
        assert f"the values of {len(images)} images are stored (to read rows takes" in str(found)


def test_a_set_that_goes_between_look_and_reading_is_looked_for_again(
    retina: og.Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(given: Sequence[Option], later: float) -> Option:  # nothing is stored, and no column is in a cache
        return best([one for one in given if one.way == "run"], later)

    monkeypatch.setattr(unit_source, "best", run)
    query = retina.images("retina-test").order_by(units(retina).mean().desc()).limit(5)
    layer = retina.experiment("small-cnn/1").layer("features")
    expected = query.keys().tolist()
    held = layer.materialize(retina.images("retina-test"), codec="f32")
    times = 0

    def taken(given: Sequence[Option], later: float) -> Option:
        nonlocal times
        times += 1
        if times == 1:
            files = [info.uri for info in segments_of(retina._stores, units_array(held.id))]
            held.delete()
            for uri in files:
                retina._stores.arrays.remove(uri)
        reads = [one for one in given if (one.way, one.codec) == ("read", "f32")]
        return best(reads or given, later)

    monkeypatch.setattr(unit_source, "best", taken)
    again = retina.images("retina-test").order_by(units(retina).mean().desc()).limit(6)
    assert again.keys().tolist()[:5] == expected
    assert times == 2


def test_two_checkpoints_that_say_the_same_share_what_is_stored(retina: og.Workspace) -> None:
    model = retina.model("small-cnn")
    first = retina.experiment("small-cnn/1")
    assert first.best_checkpoint() is not None
    with retina.run(model) as run:
        same = run.add_checkpoint(first.best_checkpoint().load(), best=True)
    first.layer("features").materialize(retina.images("retina-test"), codec="f32")
    assert same.experiment is not None
    other = retina.experiment(same.experiment).layer("features").units[GROUP]
    query = retina.images("retina-test").order_by(other.mean().desc()).limit(5)
    assert "are stored (to read f32" in str(query.explain(run=True))
    assert len(unit_sets(retina._stores)) == 1


def test_every_option_that_is_open_can_be_taken(retina: og.Workspace) -> None:
    calibrate(retina, 1e-3)
    images, layer = retina.images("retina-test"), retina.experiment("small-cnn/1").layer("features")
    layer.materialize(images[:20], codec="u8")
    layer.materialize(images[:20], codec="f16")
    query = images.order_by(units(retina).mean().desc()).limit(5)
    expected = None
    for way, codec in [
        ("run", None),
        ("read", "u8"),
        ("store", "u8"),
        ("read", "u8"),
        ("read", "f16"),
        ("store", "f16"),
        ("read", "f16"),
        ("store", "f32"),
        ("read", "f32"),
    ]:
        with answering(way, codec):
            said = str(query.explain(run=True))
        with answering("run"):
            found = query.keys().tolist()
        assert f"(to {'run the model' if way == 'run' else f'{way} {codec}'} takes" in said
        expected = expected or found
        assert found == expected
