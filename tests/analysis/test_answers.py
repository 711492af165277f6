"""Results and comparisons of experiments in a real workspace, on both engines, against counting by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB

import odin_graph as og
from odin_graph.errors import QueryError, UnknownNameError
from tests.kept import kept

N = 240


@kept
def world(db: og.Workspace) -> dict[str, Any]:
    """Two classifiers from elsewhere, on digits of three writers, one digit without a label."""
    digits = load_digits()
    images = digits.images[-N:].astype(np.uint8)
    labels: list[int | None] = digits.target[-N:].tolist()
    labels[7] = None
    writers = [f"writer {position % 3}" for position in range(N)]
    db.images.add(images=images, labels=labels, metadata={"writer": writers})
    dataset = db.datasets.add("digits", db.images().where(~og.F("label").is_null()), label="label")
    held: dict[str, Any] = {"dataset": dataset, "labels": np.array(dataset.labels)}
    rows = np.array([position for position in range(N) if position != 7])
    held["writers"] = np.array(writers)[rows]
    for name, step in (("a", 2), ("b", 5)):
        model = GaussianNB().fit(digits.data[:400, ::step], digits.target[:400])
        probabilities = model.predict_proba(digits.data[-N:, ::step])[rows]
        with db.run(id=name, test=dataset) as run:
            run.log_predictions(dataset, probabilities=probabilities, classes=list(range(10)))
        held[name] = probabilities.argmax(axis=1)
        held[f"p{name}"] = probabilities
    return held


def test_results_are_those_of_counting(db: og.Workspace, world: dict[str, Any]) -> None:
    held = db.experiment("b").results("digits")
    truth, said = world["labels"], world["b"]
    assert held.scores.n == N - 1
    assert held.accuracy == pytest.approx((truth == said).mean())
    np.testing.assert_array_equal(held.confusion.to_numpy(), metrics.confusion_matrix(truth, said, labels=range(10)))
    stored = world["pb"].astype(np.float32)  # as probabilities are kept: what is equal so is a tie
    expected = [metrics.roc_auc_score(truth == c, stored[:, c]) for c in range(10)]
    np.testing.assert_allclose(held.per_class["auroc"], expected, rtol=1e-5)
    assert "accuracy" in str(held)
    assert "<table" in held._repr_html_()
    assert held.to_json()["overall"]["accuracy"] == pytest.approx(held.accuracy)


def test_results_by_a_field(db: og.Workspace, world: dict[str, Any]) -> None:
    held = db.experiment("b").results("digits", group_by="writer")
    assert held.groups is not None
    assert sorted(held.groups) == ["writer 0", "writer 1", "writer 2"]
    for writer, part in held.groups.items():
        of = world["writers"] == writer
        assert part.n == of.sum()
        assert part.overall["accuracy"] == pytest.approx((world["labels"] == world["b"])[of].mean())
    assert held.to_pandas()["writer"].tolist() == sorted(held.groups)


def test_comparison_counts_every_image_once(db: og.Workspace, world: dict[str, Any]) -> None:
    held = db.compare("a", "b", on="digits")
    right_a, right_b = world["labels"] == world["a"], world["labels"] == world["b"]
    counts = [len(held.both_right), len(held.only_a), len(held.only_b), len(held.both_wrong)]
    assert counts == [
        int(part.sum()) for part in (right_a & right_b, right_a & ~right_b, ~right_a & right_b, ~right_a & ~right_b)
    ]
    assert sum(counts) == N - 1
    assert held.p_value == pytest.approx(binomtest(counts[1], counts[1] + counts[2]).pvalue)
    assert held.table()["images"].tolist() == counts
    assert "McNemar" in str(held)
    assert repr(held) == (
        f"Comparison(a against b on digits@1: {N - 1} images, both right {counts[0]}, only a {counts[1]}, "
        f"only b {counts[2]}, both wrong {counts[3]})"
    )


def test_what_cannot_be_answered_says_why(db: og.Workspace, world: dict[str, Any]) -> None:
    with pytest.raises(UnknownNameError, match="writer"):
        db.experiment("a").results("digits", group_by="writter")
    db.datasets.add("few", db.images().limit(5), label="label")
    with pytest.raises(QueryError, match="few@1"):
        db.compare("a", "b", on="few")
    with pytest.raises(UnknownNameError, match="nobody"):
        db.compare("a", "nobody", on="digits")
