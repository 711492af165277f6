"""Results of every task as users meet them: imported, with strange classes, without probabilities, undefined."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sklearn import metrics
from sklearn.datasets import load_digits

import odin_graph as og
from odin_graph.errors import QueryError, UnknownNameError

pytestmark = pytest.mark.one_engine

N = 60
PIXELS = load_digits().images[:N].astype(np.uint8)


def dataset_of(db: og.Workspace, labels: list[Any], **metadata: list[Any]) -> og.Dataset:
    db.images.add(images=PIXELS[: len(labels)], labels=labels, metadata=metadata)
    return db.datasets.add("set", db.images(), label="label")


def logged(db: og.Workspace, dataset: og.Dataset, predicted: list[Any] | None = None, **how: Any) -> og.Experiment:
    with db.run(id="elsewhere", test=dataset) as run:
        run.log_predictions(dataset, predicted, **how)
    return run.experiment


def printed(thing: Any) -> str:
    console = Console(width=120, file=io.StringIO())
    with console.capture() as captured:
        console.print(thing)
    return captured.get()


def test_a_class_that_the_model_does_not_know_counts_as_wrong(db: og.Workspace) -> None:
    dataset = dataset_of(db, ["cat", "dog", "newt", "cat"])
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    held = logged(db, dataset, probabilities=probabilities, classes=["dog", "cat"]).results(dataset)
    assert held.classes == ("dog", "cat", "newt"), "the model's own order, then what it does not know"
    assert held.confusion.loc["newt", "dog"] == 1
    assert held.confusion.to_numpy().sum() == 4
    assert held.accuracy == pytest.approx(1 / 4)
    dog = np.array([False, True, False, False])
    assert held.per_class["auroc"]["dog"] == pytest.approx(metrics.roc_auc_score(dog, probabilities[:, 0]))
    assert np.isnan(held.per_class["auroc"]["newt"])
    assert held.undefined["auroc"].endswith("unknown to the model (newt)")
    assert held.undefined["precision"] == "never predicted, so 0, as scikit-learn's zero_division=0 (newt)"


def test_predictions_without_probabilities_have_no_auroc_and_say_why(db: og.Workspace) -> None:
    dataset = dataset_of(db, ["a", "b", "b"])
    held = logged(db, dataset, ["a", "a", "b"], classes=["a", "b"]).results(dataset)
    assert held.accuracy == pytest.approx(2 / 3)
    assert np.isnan(held["auroc"])
    assert held.undefined == dict.fromkeys(("auroc", "average-precision", "log-loss"), "no probabilities were stored")
    for text in (str(held), printed(held), held._repr_html_()):
        assert "no probabilities were stored" in text
        assert "nan" not in text.lower()
    plain = held.to_json()
    assert plain["overall"]["auroc"] is None
    assert plain["undefined"]["auroc"] == "no probabilities were stored"
    assert plain["per_class"]["b"]["recall"] == pytest.approx(0.5)
    with pytest.raises(UnknownNameError, match=r"measure of multi-class 'acuracy'\. Did you mean 'accuracy'\?"):
        held["acuracy"]


def test_several_labels_an_image(db: og.Workspace) -> None:
    labels = [["DME"], ["DME", "drusen"], [], ["drusen"]]
    predicted = [["DME"], ["drusen", "DME"], ["drusen"], []]
    dataset = dataset_of(db, labels)
    held = logged(db, dataset, predicted, classes=["DME", "drusen"], task="multi-label").results(dataset)
    assert held.task == "multi-label"
    assert held["exact-match"] == pytest.approx(2 / 4)
    assert held["hamming-loss"] == pytest.approx(2 / 8)
    assert held.per_class["recall"].to_dict() == {"DME": 1.0, "drusen": 0.5}
    with pytest.raises(QueryError, match="multi-label has no confusion matrix"):
        held.confusion  # noqa: B018 - a property that refuses
    with pytest.raises(QueryError, match="several values for each image"):
        db.experiment("elsewhere").results(dataset, group_by="label")


def test_a_number_an_image(db: og.Workspace) -> None:
    ages = [20.0, 31.5, 44.0, 60.0]
    dataset = dataset_of(db, ages)
    said = [22.0, 30.0, 50.0, 60.0]
    held = logged(db, dataset, said, task='regression {"tolerance": 3.0}').results(dataset)
    assert held["mean-absolute-error"] == pytest.approx(metrics.mean_absolute_error(ages, said))
    assert held["within-tolerance"] == pytest.approx(3 / 4)
    assert held["r2"] == pytest.approx(metrics.r2_score(ages, said))
    assert "mean-absolute-error 2.375" in printed(held)
    assert held.to_json()["per_class"] == {}


def test_a_number_without_a_tolerance_is_neither_right_nor_wrong(db: og.Workspace) -> None:
    dataset = dataset_of(db, [20.0, 20.0])
    exp = logged(db, dataset, [22.0, 20.0], task="regression")
    held = exp.results(dataset)
    assert np.isnan(held["within-tolerance"])
    assert set(held.undefined) == {"r2", "within-tolerance"}, "equal labels vary in nothing that could be explained"
    with pytest.raises(QueryError, match="right or wrong only with a tolerance"):
        db.compare(exp, exp, on=dataset)


def test_groups_are_sorted_and_those_without_a_value_are_last(db: og.Workspace) -> None:
    dataset = dataset_of(db, ["a", "b", "b", "a"], patient=[12, 7, None, 7])
    held = logged(db, dataset, ["a", "b", "a", "b"], classes=["a", "b"]).results(dataset, group_by="patient")
    assert held.groups is not None
    assert list(held.groups) == [7, 12, None]
    assert [part.overall["accuracy"] for part in held.groups.values()] == [0.5, 1.0, 0.0]
    assert held.to_pandas()["n"].tolist() == [2, 1, 1]
    assert "patient" in printed(held)
    assert held.to_json()["groups"]["7"]["n"] == 2
    by_label = db.experiment("elsewhere").results(dataset, group_by="label")
    assert by_label.groups is not None
    assert list(by_label.groups) == ["a", "b"]


def test_a_comparison_selects_its_images(db: og.Workspace) -> None:
    dataset = dataset_of(db, ["a", "b", "b", "a"])
    for name, said in {"m": ["a", "b", "a", "b"], "n": ["a", "a", "b", "b"]}.items():
        with db.run(id=name, test=dataset) as run:
            run.log_predictions(dataset, said, classes=["a", "b"])
    held = db.compare("m", "n", on="set")
    m, n = db.experiment("m"), db.experiment("n")
    for part, query in {
        "both_right": ~m.wrong & ~n.wrong,
        "only_a": ~m.wrong & n.wrong,
        "only_b": m.wrong & ~n.wrong,
        "both_wrong": m.wrong & n.wrong,
    }.items():
        assert db.images(getattr(held, part)).keys().tolist() == db.images(dataset).where(query).keys().tolist()
        assert len(getattr(held, part)) == 1
    assert held.p_value == 1.0
    for text in (str(held), printed(held), held._repr_html_()):
        assert "only m" in text
        assert "25.0%" in text
        assert "McNemar's exact p = 1" in text
