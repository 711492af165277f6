"""Models, experiments, checkpoints, data sets and prediction sets are sources of queries, like images."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn import metrics

import odin_graph as og
from odin_graph import F, example
from odin_graph.errors import PositionError, QueryError, UnknownNameError
from odin_graph.objects.query.things import ThingQuery
from odin_graph.query.plan import wire
from odin_graph.schema.tasks import measures, scores
from tests.kept import kept
from tests.stored import filled


@kept
def lab(db: og.Workspace) -> og.Workspace:
    """Two experiments that ran here, and two from elsewhere, trained on halves of the digits."""
    filled(db, example.build, experiments=2)
    left = db.datasets.add("left", db.images()[:60])
    right = db.datasets.add("right", db.images()[60:])
    db.experiments.add("a", train=left, params={"lr": 1e-2, "optimizer": {"name": "adam"}}, metrics={"loss": 0.5})
    exp = db.experiments.add("b", train=right, test=left, params={"lr": 1}, metrics={"loss": 0.25}, site="Lima")
    truth = db.images(left).to_arrow("label").column("label").to_pylist()
    exp.log_predictions(left, ["DME" if n % 3 else label for n, label in enumerate(truth)])
    return db


def test_fields_of_every_sort(lab: og.Workspace) -> None:
    experiments = lab.experiments
    assert experiments().ids() == ["small-cnn/1", "small-cnn/2", "a", "b"]
    assert experiments.where(F("lr") < 0.1).ids() == ["a"]
    assert experiments.where(F("params.optimizer.name") == "adam").ids() == ["a"]
    assert experiments.where((F("metrics.loss") < 0.3) & (F("site") == "Lima")).ids() == ["b"]
    latest = experiments.where(model="small-cnn").order_by(F("seed").desc())
    assert latest.ids() == ["small-cnn/2", "small-cnn/1"]
    assert [found.id for found in experiments.where(F("lr").is_not_null())[:1]] == ["a"]
    made = lab.experiment("b").predictions()
    assert lab.predictions.where(F("dataset") == "left@1").ids() == [predicted.id for predicted in made]
    assert lab.checkpoints.where(F("best"), F("experiment") == "small-cnn/2").count() == 1
    assert lab.checkpoints()[0].experiment == "small-cnn/1"
    assert lab.datasets.where(F("size") == 60).order_by(F("id").desc()).ids() == ["right@1", "left@1"]
    assert lab.models().ids() == ["small-cnn"]


def test_results_are_those_of_scikit_learn(lab: og.Workspace) -> None:
    left = lab.dataset("left")
    truth = lab.images(left).to_arrow("label").column("label").to_pylist()
    said = ["DME" if n % 3 else label for n, label in enumerate(truth)]
    table = lab.experiments().to_arrow("id", "results.f1", "results.accuracy").to_pydict()
    at = table["id"].index("b")
    assert table["results.f1"][at] == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    assert table["results.accuracy"][at] == pytest.approx(np.mean([a == b for a, b in zip(truth, said, strict=True)]))
    assert table["results.f1"][table["id"].index("a")] is None  # it predicted nothing
    bound = metrics.f1_score(truth, said, average="macro")
    assert "b" in lab.experiments.where(F("results.f1") > bound - 1e-9).ids()
    assert "b" not in lab.experiments.where(F("results.f1") > bound + 1e-9).ids()


def test_every_measure_can_be_asked_for() -> None:
    """What the fields promise is what the scores give."""
    given = {
        *scores.multi_class(np.array([0, 1]), np.array([0, 0]), ["a", "b"]).overall,
        *scores.ordinal(np.array([0, 1]), np.array([0, 0]), ["a", "b"]).overall,
        *scores.multi_label([["a"], []], [["a"], ["a"]], ["a", "b"]).overall,
        *scores.regression(np.array([1.0, 2.0]), np.array([1.0, 3.0]), [False, True]).overall,
    }
    assert set(measures()) == given


def test_what_trained_on_an_image_is_found(lab: og.Workspace) -> None:
    first, last = lab.images()[:1], lab.images()[-1:]
    experiments = lab.experiments()
    assert experiments.using(first, role="train").ids() == ["a"]
    assert experiments.using(last, role="train").ids() == ["b"]
    assert experiments.using(first).ids() == ["small-cnn/1", "small-cnn/2", "a", "b"]
    assert experiments.difference(experiments.using(last)).ids() == ["a"]
    assert lab.datasets().using(last).ids() == ["retina-test@1", "right@1"]
    assert lab.models().using(last, role="test").ids() == ["small-cnn"]
    assert len(lab.checkpoints().using(first)) == 2
    assert lab.predictions().using(last).where(F("experiment") == "b").ids() == []
    nobody = lab.images().where(F("age") > 1000)
    assert experiments.using(nobody).ids() == []
    assert lab.experiments.where(F("site") == "Lima").using(lab.images().where(F("age") < 40)).ids() == ["b"]


def test_steps_groups_and_forms(lab: og.Workspace) -> None:
    query = lab.experiments.where(F("seed").is_not_null() | (F("params.lr") > 0)).using(lab.images(), role="train")
    again = ThingQuery.from_json(query.address, query.to_json())
    assert again.plan == query.plan == wire.from_json(query.to_json())
    assert pickle.loads(pickle.dumps(query)).ids() == query.ids() == ["a", "b"]
    per_model = lab.experiments().group_by("model").agg(n=og.count(), best=F("seed").max()).to_arrow().to_pylist()
    assert per_model == [{"model": "small-cnn", "n": 2, "best": 2}, {"model": None, "n": 2, "best": None}]
    assert lab.experiments().select("id", rate=F("params.lr") * 10).to_arrow().to_pylist()[2:] == [
        {"id": "a", "rate": 0.1},
        {"id": "b", "rate": 10.0},
    ]
    assert lab.experiments().sample(2, seed=1).count() == 2
    assert lab.datasets().distinct("size").ids() == ["left@1", "retina-test@1"]
    plain = lab.experiments.where(F("model") == "small-cnn").order_by(F("seed").desc())
    statement = plain.to_cypher()
    assert [row["id"] for row in lab.cypher(statement.text, **statement.parameters)] == plain.ids()
    assert "small-cnn" not in statement.text
    assert "using any of" in str(query.explain(run=True))
    assert "<table" in plain._repr_html_()


def test_what_does_not_fit_says_so(lab: og.Workspace) -> None:
    experiments = lab.experiments()
    with pytest.raises(
        UnknownNameError, match=r"no field of Experiment 'results.recal'. Did you mean 'results.recall'\?"
    ):
        experiments.where(F("results.recal") > 0.5)
    with pytest.raises(og.ExpressionError, match="compares a string with an int"):
        experiments.where(F("model") == 3)
    with pytest.raises(QueryError, match="is for images, not for a Model"):
        lab.models.where(lab.experiment("b").wrong)
    with pytest.raises(
        QueryError, match=r"union\(\) takes a query of experiments, and the other one's rows are models"
    ):
        experiments.union(lab.models())
    with pytest.raises(QueryError, match=r"using\(\) keeps what used images: Dataset, Model"):
        lab.volumes().using(lab.images())
    with pytest.raises(QueryError, match="has no form in Cypher: it is calculated"):
        experiments.where(F("params.lr") > 0).to_cypher()
    with pytest.raises(PositionError, match="There is no Experiment at position 9: the query has 4"):
        experiments[9]
    with pytest.raises(QueryError, match="of the same workspace"):
        experiments.using(["scan000.png"])  # type: ignore[arg-type]
    with pytest.raises(QueryError, match="from_json reads it"):
        og.Query.from_json(experiments.address, experiments.to_json())
