"""Units of a layer from far away: values, bounds, and hypotheses."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

import odin_graph as og
from odin_graph import F
from odin_graph.analysis.units.kinds import Hypothesis
from tests.server.serving import features

pytestmark = pytest.mark.one_engine  # far and near ask one graph: what is near is asked of both engines elsewhere


def test_estimates_far_away(retina: og.Workspace, far: og.Workspace) -> None:
    images = retina.images("retina-test")
    features(retina).materialize(images)
    half = images.order_by(F("age")).limit(40)
    here, there = (features(db).units[[3, 17, 28]].estimate(half.keys()) for db in (retina, far))
    assert repr(there) == repr(here)
    assert there.uncovered.tolist() == here.uncovered.tolist()
    near = far.images(["scan003.png"])[0]
    asked: list[Callable[[Any], Any]] = [
        lambda said: said.bounds(),
        lambda said: said.bounds("weighted", [1, -0.5, 2]),
        lambda said: said.highest(np.int64(5), "l2", largest=False),
        lambda said: said.nearest("scan003.png", 5),
        lambda said: said.nearest(near, 5, metric="l1", weights=[1, 0.5, 2]),
        lambda said: said.nearest(np.array([1, 2, -3]), 5, metric="l2"),
        lambda said: said.compare("max", ">=", 0.25),
    ]
    for ask in asked:
        assert ask(there).equals(ask(here))
    wrong: list[Callable[[Any], Any]] = [
        lambda said: said.bounds("mena"),
        lambda said: said.bounds("weighted", [1, 2]),
        lambda said: said.highest(0),
        lambda said: said.nearest([1, 2], 5),
        lambda said: said.nearest("nobody.png", 5),
        lambda said: said.nearest([1, 2, 3], 5, metric="cosin"),
    ]
    for ask in wrong:
        with pytest.raises(og.OdinError) as mine:
            ask(here)
        with pytest.raises(type(mine.value)) as theirs:
            ask(there)
        assert str(theirs.value) == str(mine.value)


def test_affinity_far_away(retina: og.Workspace, far: og.Workspace) -> None:
    here, there = features(retina), features(far)
    images = retina.images("retina-test").order_by(F("id").desc()).limit(40)
    keys = images.keys().tolist()
    here.materialize(images, codec="f32")
    here.materialize(images, codec="f32", view="channels-max")
    pixels = np.stack([image.pixels[..., 0] for image in images])
    ages = pd.Series([float(number) if number % 7 else None for number in range(40)])
    cases: list[dict[str, Any]] = [
        {"age": F("age"), "DME": F("label") == "DME", "site": F("site")},
        {"list": [None, *range(39)], "series": ages, "truth": [number % 3 == 0 for number in range(40)]},
        {"array": np.arange(40) % 5, "column": pa.array(["a", None, "b", "b"] * 10)},
        {"by": Hypothesis(np.arange(40) % 4, measures=("spearman", "kruskal-wallis"))},
        {"bright": pixels > pixels.mean()},
    ]
    for case in cases:
        found = there.affinity(case, keys)
        assert str(found) == str(here.affinity(case, keys))
        assert found.to_pandas().equals(here.affinity(case, keys).to_pandas())
        assert len(found)
    masks = [None, *(pixels[1:] > pixels.mean())]
    for wrong in (
        {"x": masks},
        {"x": [1, 2]},
        {"x": "age"},
        {"x": 5},
        {"x": [1] * 40},
        {"x": Hypothesis([1] * 40, measures="no")},
        {},
    ):
        with pytest.raises(og.OdinError) as mine:
            here.affinity(wrong, keys)
        with pytest.raises(type(mine.value)) as theirs:
            there.affinity(wrong, keys)
        assert str(theirs.value) == str(mine.value)

    class Own:
        name, effect, maps = "own", "own", False

    with pytest.raises(og.RemoteError, match="'own' of the hypothesis 'x' is code of yours"):
        there.affinity({"x": Hypothesis([1, 2], measures=Own())}, keys)  # type: ignore[arg-type]


def test_hypotheses_of_others_are_read_strictly(client: TestClient) -> None:
    of = {"experiment": "small-cnn/1", "layer": "features"}
    pickled = base64.b64encode(pickle.dumps(np.array([object()], object))).decode()
    for given in ({"array": pickled}, {"array": "?"}, {"column": {"name": "a"}}, {"values": 3}, {}, 7):
        body = {"arguments": {"of": of, "images": None, "hypotheses": {"x": given}, "view": "units"}}
        answer = client.post("/v1/ask/unit_questions.affinity_of", json=body)
        assert (answer.status_code, "well formed" in answer.text) == (422, True), answer.text


def test_units_far_away(retina: og.Workspace, far: og.Workspace) -> None:
    here, there = features(retina), features(far)
    assert (there.shape, there.type, len(there.units), len(there.channels)) == (
        here.shape,
        here.type,
        len(here.units),
        len(here.channels),
    )
    assert there.units[:3].node == here.units[:3].node
    images = retina.images("retina-test")
    expected = here.units[[3, 17]].values(images)  # first: what is missing is stored here
    np.testing.assert_array_equal(there.units[[3, 17]].values(far.images("retina-test")), expected)
    with pytest.raises(og.QueryError, match="A unit is given by its number, not by 'a'"):
        there.units["a"]
