"""Approximate answers hold what was captured between their bounds, and are certain only where they are right."""

from __future__ import annotations

import numpy as np
import pytest

import odin_graph as og
from odin_graph.errors import QueryError
from odin_graph.neurons.compare import OPS

from . import unit_oracle
from .unit_world import CODECS, IMAGES, LAYERS, Captured

pytestmark = pytest.mark.one_engine

GROUP = [31, 62, 93]
HOLDS = {"<": np.less, "<=": np.less_equal, "==": np.equal, "!=": np.not_equal, ">=": np.greater_equal, ">": np.greater}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("codec", CODECS)
def test_bounds_hold_what_was_captured(quarters: tuple[og.Workspace, Captured], codec: str, layer: str) -> None:
    db, world = quarters
    name = CODECS[codec]  # type: ignore[index]
    captured = world.values(name, layer)[:IMAGES, GROUP]
    keys = world.keys[:IMAGES]
    said = db.experiment(name).layer(layer).units[GROUP].estimate(db.images("small"))
    for aggregate in unit_oracle.AGGREGATES:
        weights = [1, -0.5, 2] if aggregate == "weighted" else None
        values = unit_oracle.aggregate(aggregate, captured, weights)
        found = said.bounds(aggregate, weights)
        assert found.column("key").to_pylist() == keys.tolist()
        low, high = (np.array(found.column(end).to_numpy(), float) for end in ("low", "high"))
        there = ~np.isnan(values)
        assert (low[there] <= values[there]).all()
        assert (values[there] <= high[there]).all()
        assert ((low == -np.inf) | np.isnan(low))[~there].all()
        for largest in (True, False):
            best = keys[unit_oracle.in_order(keys, values, largest=largest)[:9]]
            top = said.highest(9, aggregate, largest=largest, weights=weights)
            assert set(top.filter(top.column("certain")).column("key").to_pylist()) <= set(best.tolist())
        for op in OPS:
            found = said.compare(aggregate, op, 2.25, weights=weights)
            holds = [None if np.isnan(value) else bool(HOLDS[op](value, 2.25)) for value in values]
            for row, expected in zip(found.to_pylist(), holds, strict=True):
                assert row["holds"] is expected if row["decided"] else row["holds"] is None
    for metric in unit_oracle.METRICS:
        away = unit_oracle.distance(metric, captured, np.array([1.0, 2.0, -3.0]), [1, 0.5, 2])
        near = said.nearest([1.0, 2.0, -3.0], 9, metric=metric, weights=[1, 0.5, 2])
        order = unit_oracle.in_order(keys, away, largest=False)
        best = keys[order[~np.isnan(away[order])][:9]]
        assert set(near.filter(near.column("certain")).column("key").to_pylist()) <= set(best.tolist())


def test_nothing_is_run_for_an_estimate(quarters: tuple[og.Workspace, Captured]) -> None:
    """Images of which nothing is stored are named; where nothing is stored at all, that is said."""
    db, world = quarters
    layer = db.experiment("quarters/2").layer("conv")
    said = layer.units[GROUP].estimate(db.images())
    assert said.uncovered.tolist() == world.keys[IMAGES:].tolist()
    assert repr(said) == "UnitEstimates(f32 of 90 of 120 images)"
    exact = db.images("small").order_by(layer.units[GROUP].mean().desc()).limit(5)
    assert said.highest(5).column("key").to_pylist() == exact.keys().tolist()
    assert len(db.activations) == 9
    with pytest.raises(QueryError) as caught:
        layer.channels.mean()[[0, 1]].estimate(db.images())
    assert str(caught.value) == (
        "No activations of 'conv' are stored, so there are no bounds: store them first with layer.materialize(images)."
    )
