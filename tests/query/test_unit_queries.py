"""What queries by units share with all others: text, JSON, pickles, views, explanations; and what is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.errors import DataError, ExpressionError, QueryError, ShapeError, UnknownNameError

from . import unit_oracle
from .unit_world import IMAGES, Captured, answering

pytestmark = pytest.mark.filterwarnings("ignore::odin_graph.errors.NotFiniteWarning")
GROUP = [31, 62, 93]
Quarters = tuple[og.Workspace, Captured]


def units(db: og.Workspace, layer: str = "conv", experiment: str = "quarters/1") -> Any:
    return db.experiment(experiment).layer(layer).units


def queries(db: og.Workspace) -> list[Any]:
    group, images = units(db)[GROUP], db.images("small")
    return [
        images.order_by(group.mean().desc(), F("age")).limit(7),
        images.where((units(db)[31] > 2.5) | ~(group.weighted([1, 0.5, -2]) <= F("age"))),
        images.nearest("small003.png", by=group, k=4, metric="l1", weights=[0, 1, 0.5]),
        images.nearest([1.0, 2.5, -3.0], by=group[[2, 0, 1]], k=4, metric="linf"),
        images.group_by("label").agg(n=og.count(), some=group.l2().mean()),
        images.select("id", where=db.experiment("quarters/1").layer("conv").channels.argmax()[2].value()),
        images.representative(3, by=group),
        images.cluster(by=group, k=3).where(F("cluster") == 0),
    ]


def test_queries_travel(quarters: Quarters) -> None:
    """By pickle and as JSON they are the same plan, and as a view the same answer."""
    db, _ = quarters
    for place, query in enumerate(queries(db)):
        expected = query.to_arrow()
        again = type(query).from_json(query.address, json.loads(json.dumps(query.to_json())))
        assert again.plan == query.plan
        assert again.to_arrow().equals(expected)
        assert pickle.loads(pickle.dumps(query)).plan == query.plan
        db.views.add(f"units {place}", query)
        held: Any = db.views[f"units {place}"]
        assert held.to_arrow().equals(expected)
        with pytest.raises(QueryError, match="has no form in Cypher"):
            query.to_cypher()


def test_what_a_query_says_of_itself(quarters: Quarters) -> None:
    db, _ = quarters
    top = db.images("small").order_by(units(db)[GROUP].mean().desc()).limit(3)
    assert repr(top) == 'Query(images("small@1").order_by(quarters/1:conv.units[[31, 62, 93]].mean().desc())[:3])'
    with answering("read", "u8"):
        ran = str(top.explain(run=True))
    assert "and the model is run on the undecided; or it is run on all: to " in str(top.explain())
    assert "[units] codes bound 90 images and left " in ran
    assert ", of which the model was run again on " in ran
    kept = db.images("small").order_by(units(db, experiment="quarters/2")[GROUP].mean().desc()).limit(3)
    assert "[units] the values of 90 images are stored" in str(kept.explain(run=True))
    halves = db.images("small").where(units(db, experiment="quarters/3")[GROUP].mean() > 2)
    with answering("read", "f16"):
        assert "of units values of half precision bound 90 images and left" in str(halves.explain(run=True))
    with answering("run"):
        said = str(halves.explain(run=True))
    assert "of units the model was run on 90 images (to run the model takes about " in said
    assert "to read f16 " in said
    assert repr(units(db)[GROUP][1]) == "Units(quarters/1:conv.units[62])"


def test_a_search_says_how_it_searches(quarters: Quarters) -> None:
    """What is not as it is without a word: the metric, the share that is enough, and the weights."""
    db, _ = quarters
    said = [repr(query) for query in queries(db)]
    group = "quarters/1:conv.units[[31, 62, 93]]"
    assert '.weighted([1, 0.5, -2]) <= F("age")' in said[1]
    assert f'.nearest(an image, by={group}, k=4, metric="l1", weights=[0, 1, 0.5]))' in said[2]
    assert '.nearest(a vector, by=quarters/1:conv.units[[93, 31, 62]], k=4, metric="linf"))' in said[3]
    alone = db.images("small").nearest([1, 2, 3], by=units(db)[GROUP], k=4, metric="cosine")
    assert repr(alone).endswith(f".nearest(a vector, by={group}, k=4))")
    many = db.images("small").order_by(units(db)[range(100)].weighted(range(100)))
    assert ".weighted([0, 1, 2, 3, 4, ... 95 more])" in repr(many)
    layer = db.experiment("quarters/1").layer("conv")
    rough = db.images("small").nearest([1.0] * 4, by=layer, k=2, metric="l2", recall=0.9)
    assert repr(rough).endswith('.nearest(a vector, by=quarters/1:conv, k=2, metric="l2", recall=0.9))')
    apart = db.images("small").outliers(by=units(db)[GROUP], metric="l2")
    assert repr(apart).endswith(f'.outliers(by={group}, k=20, metric="l2"))')


def test_images_that_came_later_are_captured_when_they_are_asked_for(quarters: Quarters) -> None:
    db, world = quarters
    group = units(db, "relu")[GROUP]
    values = unit_oracle.aggregate("mean", world.values("quarters/1", "relu")[:, GROUP])
    order = unit_oracle.in_order(world.keys, values, largest=True)
    assert db.images().order_by(group.mean().desc()).limit(50).keys().tolist() == world.keys[order[:50]].tolist()
    np.testing.assert_array_equal(group.values(db.images()), world.values("quarters/1", "relu")[:, GROUP])


def test_positions_of_channels_and_of_groups(quarters: Quarters) -> None:
    db, world = quarters
    layer = db.experiment("quarters/1").layer("conv")
    where = world.said["quarters/1", "conv"].reshape(len(world.keys), 4, -1).argmax(axis=2)
    np.testing.assert_array_equal(layer.channels.argmax()[[3, 1]].values(db.images("small")), where[:IMAGES, [3, 1]])
    assert layer.units[10:14].numbers == (10, 11, 12, 13)
    assert layer.units[GROUP][-1].numbers == (93,)
    assert (len(layer.units), len(layer.channels)) == (100, 4)


def test_nothing_is_near_to_zeros_by_angle(quarters: Quarters) -> None:
    db, _ = quarters
    near = db.images("small").nearest([0.0, 0.0, 0.0], by=units(db)[GROUP], k=3)
    assert near.to_arrow("id").to_pylist() == []
    assert len(db.images("small").where(F("age") > 900).order_by(units(db)[GROUP].sum()).limit(3)) == 0


def test_several_examples_and_pixels(quarters: Quarters) -> None:
    """The mean of what is like, moved from what is unlike; a new image is run through the model."""
    db, world = quarters
    group, said = units(db)[GROUP], world.values("quarters/1", "conv")[:, GROUP].astype(np.float64)
    images = db.images("small")
    pixels = db.image("small017.png").pixels
    found = images.nearest(pixels, by=group, k=1, metric="l2")
    same = np.flatnonzero((said[:IMAGES] == said[17]).all(axis=1))
    assert found.to_arrow("id").to_pylist() == [
        {"key": world.keys[same[0]], "id": images[int(same[0])].id, "distance": 0}
    ]
    found = images.nearest(["small004.png", "small009.png"], by=group, k=9, metric="l1")
    away = unit_oracle.distance("l1", said[:IMAGES].astype(np.float32), said[[4, 9]].mean(axis=0))
    order = [n for n in unit_oracle.in_order(world.keys[:IMAGES], away, largest=False) if n not in (4, 9)][:9]
    assert found.keys().tolist() == world.keys[order].tolist()


REFUSED: dict[str, tuple[Callable[[og.Workspace], Any], type[Exception], str]] = {
    "a unit": (
        lambda db: units(db)[100],
        QueryError,
        "There is no unit 100: the layer 'conv' has 100, numbered from 0 to 99.",
    ),
    "a channel": (
        lambda db: db.experiment("quarters/1").layer("conv").channels[4],
        QueryError,
        "There is no channel 4: the layer 'conv' has 4, numbered from 0 to 3.",
    ),
    "a place": (
        lambda db: units(db)[GROUP][3],
        QueryError,
        "There is no unit at position 3: the group has 3.",
    ),
    "no number": (lambda db: units(db)["a"], QueryError, "A unit is given by its number, not by 'a'."),
    "none": (
        lambda db: db.images().where(units(db)[[]].mean() > 1),
        QueryError,
        "No unit of 'conv' was named: say which, as in units[[3, 17, 88]].",
    ),
    "a layer": (
        lambda db: db.experiment("quarters/1").layer("relv"),
        UnknownNameError,
        "There is no layer of the model 'quarters': 'relv'. Did you mean 'relu'? There is: conv, head, odd, relu.",
    ),
    "an aggregate": (
        lambda db: db.images().order_by(units(db)[GROUP].aggregated("meen")),
        UnknownNameError,
        "There is no aggregate of units 'meen'. Did you mean 'mean'? There is: l1, l2, max, mean, min, sum, weighted.",
    ),
    "a distance": (
        lambda db: db.images().nearest([1, 2, 3], by=units(db)[GROUP], k=2, metric="inner-product"),
        UnknownNameError,
        "There is no distance of units 'inner-product'. There is: cosine, l1, l2, linf.",
    ),
    "too few weights": (
        lambda db: db.images().order_by(units(db)[GROUP].weighted([1, 2])),
        QueryError,
        "There are 3 units, and 2 weights: give one each.",
    ),
    "weights of text": (
        lambda db: db.images().order_by(units(db)[GROUP].weighted(["a", 1, 2])),
        QueryError,
        "Weights are numbers, one a unit, not ['a', 1, 2].",
    ),
    "negative weights": (
        lambda db: db.images().nearest([1, 2, 3], by=units(db)[GROUP], k=2, weights=[1, -2, 1]),
        QueryError,
        "Weights are 0 or of a size of 1.18e-38 to 3.4e+38 and not below 0: that of unit 1 of the group is -2.0.",
    ),
    "weights of a layer": (
        lambda db: db.images().nearest(
            [1.0] * 4, by=db.experiment("quarters/1").layer("conv"), k=2, weights=[1, 1, 1, 1]
        ),
        QueryError,
        "weights= are of units: nearest(image, by=layer.units[[3, 17]], weights=[1, 2], k=20).",
    ),
    "a part of them": (
        lambda db: db.images().nearest([1, 2, 3], by=units(db)[GROUP], k=2, recall=0.5),
        QueryError,
        "recall= is of whole vectors: the nearest by units are always found exactly.",
    ),
    "a short vector": (
        lambda db: db.images().nearest([1, 2], by=units(db)[GROUP], k=2).run(),
        QueryError,
        "The vector has 2 numbers, those of 'quarters/1:conv.units[[31, 62, 93]]' have 3.",
    ),
    "several compared": (
        lambda db: db.images().where(units(db)[GROUP] > 1),
        QueryError,
        "Several units have no value: say mean(), sum(), max() or another aggregate of them.",
    ),
    "several ordered by": (
        lambda db: db.images().order_by(units(db)[GROUP]),
        QueryError,
        "Several units have no value: say mean(), sum(), max() or another aggregate of them.",
    ),
    "several as a column": (
        lambda db: db.images().with_columns(said=units(db)[GROUP]),
        QueryError,
        "Several units have no value: say mean(), sum(), max() or another aggregate of them.",
    ),
    "a unit as a condition": (
        lambda db: db.images().where(units(db)[31]),
        ExpressionError,
        'where() takes expressions, as in F("label") == "DME", not Units(quarters/1:conv.units[31]).',
    ),
    "half a unit": (
        lambda db: units(db)[1.5],
        QueryError,
        "A unit is given by its number, not by 1.5.",
    ),
    "a unit by name": (
        lambda db: units(db)["eye"],
        QueryError,
        "A unit is given by its number, not by 'eye'.",
    ),
    "a layer by number": (
        lambda db: db.experiment("quarters/1").layer(3),
        QueryError,
        "A layer is known by its name, as Model.layers() lists them, not by 3.",
    ),
    "too few weights of a search": (
        lambda db: db.images().nearest([1, 2, 3], by=units(db)[GROUP], k=2, weights=[1, 2]),
        QueryError,
        "There are 3 units, and 2 weights: give one each.",
    ),
    "no image": (
        lambda db: units(db)[GROUP].values(None),
        QueryError,
        (
            "None is not an image, id, or query of images: images are a query, a data set or its id, an image, its id "
            "or key, or several of them."
        ),
    ),
    "half an image": (
        lambda db: units(db)[GROUP].values([1.5]),
        DataError,
        "An image is given as itself, by its id or by its key, not as 1.5.",
    ),
    "an image of another size": (
        lambda db: db.images().nearest(np.zeros((4, 5), np.uint8), by=units(db)[GROUP], k=2),
        ShapeError,
        (
            "The layer 'conv' gives 80 numbers for an image of shape (4, 5, 1), but 100 for the images to compare it "
            "with: resize it, or use a model whose preprocess= resizes."
        ),
    ),
    "a batch of none": (
        lambda db: db.experiment("quarters/1").layer("conv").materialize(db.images(), codec="f32", batch=0),
        QueryError,
        "batch= is how many images run at once, at least 1, not 0.",
    ),
    "another precision": (
        lambda db: db.experiment("quarters/1").layer("conv").materialize(db.images(), autocast="half"),
        QueryError,
        "autocast= is torch.bfloat16 or torch.float16, not 'half'.",
    ),
    "hypotheses without names": (
        lambda db: db.experiment("quarters/1").layer("conv").affinity([F("age")], db.images()),
        QueryError,
        'Hypotheses need names: give a dict, as in {"age": F("age")}.',
    ),
    "a number as a hypothesis": (
        lambda db: db.experiment("quarters/1").layer("conv").affinity({"age": 3}, db.images("small")),
        QueryError,
        "The hypothesis 'age' must be an expression, one value for each image, or masks, not 3.",
    ),
    "units of no layer": (
        lambda db: db.images()[3].top_units("conv", 3),
        QueryError,
        "Units are those of a layer, as in exp.layer(\"features\"), not of 'conv'.",
    ),
    "half a bin": (
        lambda db: db.experiment("quarters/1").layer("conv").selectivity(db.images("small"), bins=2.5),
        QueryError,
        "A mutual information takes bins, at least 2, not bins=2.5.",
    ),
    "a threshold of text": (
        lambda db: db.experiment("quarters/1").layer("conv").similar_units(db.images("small"), threshold="a"),
        QueryError,
        "Correlations are compared with a threshold above 0, at most 1, not 'a'.",
    ),
    "an estimate of half an image": (
        lambda db: units(db)[GROUP].estimate(db.images("small")).highest(2.5),
        QueryError,
        "k is the number of images, at least 1, not 2.5.",
    ),
    "an estimate beside text": (
        lambda db: units(db)[GROUP].estimate(db.images("small")).compare("max", ">", "a"),
        QueryError,
        "What units say is compared with a number, not with 'a'.",
    ),
    "an estimate of a short vector": (
        lambda db: units(db)[GROUP].estimate(db.images("small")).nearest([1.0, 2.0], 3),
        QueryError,
        "The vector has shape (2,), but there are 3 units: give one number for each.",
    ),
    "an estimate of text": (
        lambda db: units(db)[GROUP].estimate(db.images("small")).nearest(["a", "b", "c"], 3),
        QueryError,
        "A search needs a stored image or a vector of numbers, not ['a', 'b', 'c'].",
    ),
    "NaN": (
        lambda db: db.images().where(units(db)[31] > float("nan")),
        ExpressionError,
        "Nothing compares with nan: a missing value is found by .is_null().",
    ),
    "text": (
        lambda db: db.images().where(units(db)[GROUP].mean() > "a"),
        ExpressionError,
        "quarters/1:conv.units[[31, 62, 93]].mean() > 'a' compares a float with a string: give a float.",
    ),
    "of experiments": (
        lambda db: db.experiments.where(units(db)[31] > 1),
        QueryError,
        ("quarters/1:conv.units[31] is for images, not for a Experiment: give its own fields, or using(images)."),
    ),
    "pixels": (
        lambda db: db.images().nearest(np.zeros((9, 9, 3), np.uint8), by=units(db)[GROUP], k=2),
        ShapeError,
        (
            "The model 'quarters' refuses images of shape (3, 9, 9) (bands, height, width) after its preprocessing, "
            "and was added with input_shape=(1, 5, 5): Given groups=1, weight of size [4, 1, 3, 3], expected "
            "input[1, 3, 9, 9] to have 1 channels, but got 3 channels instead. Add the model with a preprocess= that "
            "gives what it takes."
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_is_refused(quarters: Quarters, name: str) -> None:
    ask, kind, message = REFUSED[name]
    with pytest.raises(kind) as caught:
        ask(quarters[0])
    assert str(caught.value).splitlines()[0].partition(" A package that registers it")[0] == message


def test_one_unit_is_an_expression_by_itself(quarters: Quarters) -> None:
    """Wherever an expression stands."""
    db, world = quarters
    images, one, other = db.images("small"), units(db)[31], units(db)[62]
    said = world.values("quarters/1", "conv")[:IMAGES].astype(np.float64)
    keys, first, second = world.keys[:IMAGES], said[:, 31], said[:, 62]
    assert images.order_by(one.desc()).limit(7).keys().tolist() == keys[np.lexsort((keys, -first))[:7]].tolist()
    assert images.order_by(one).limit(7).keys().tolist() == keys[np.lexsort((keys, first))[:7]].tolist()
    assert images.where(one > other).keys().tolist() == keys[first > second].tolist()
    assert images.where(one.between(-1, 2.5)).keys().tolist() == keys[(first >= -1) & (first <= 2.5)].tolist()
    assert images.where(one.isin([first[3]])).keys().tolist() == keys[first == first[3]].tolist()
    assert not len(images.where(one.is_null()))
    assert images.to_arrow("id", said=one)["said"].to_pylist() == first.tolist()
    assert [each.node.numbers for each in units(db)[GROUP]] == [(31,), (62,), (93,)]
    assert units(db)[GROUP].values("small003.png").tolist() == units(db)[GROUP].values(images[3]).tolist()
    some = units(db)[GROUP].estimate(images)
    assert some.nearest("small003.png", 5, metric="l1").equals(some.nearest(images[3], 5, metric="l1"))


def test_an_image_of_which_units_said_nan_is_near_to_nothing(quarters: Quarters) -> None:
    db, world = quarters
    odd = world.values("quarters/1", "odd")[:IMAGES]
    image, unit = (int(found[0]) for found in np.nonzero(np.isnan(odd)))
    with pytest.raises(ShapeError) as caught:
        db.images("small").nearest(f"small{image:03}.png", by=units(db, "odd")[unit], k=2).run()
    assert str(caught.value) == (
        "The value to search with is nan at unit 0 of the group, and nothing is near to that: leave out the unit, or "
        "search with another image."
    )
