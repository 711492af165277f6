"""Measures against scikit-learn's own functions, called on their own."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from sklearn import metrics
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB

from odin_graph.analysis import scores


@pytest.fixture(scope="module")
def judged() -> tuple[list[int], list[int], np.ndarray]:
    """A real classifier that is bad enough to have every kind of error."""
    digits = load_digits()
    model = GaussianNB().fit(digits.data[:300, ::3], digits.target[:300])
    probabilities = model.predict_proba(digits.data[300:, ::3])
    return digits.target[300:].tolist(), probabilities.argmax(axis=1).tolist(), probabilities


def test_multi_class(judged: tuple[list[int], list[int], np.ndarray]) -> None:
    truth, predicted, probabilities = judged
    held = scores.multi_class(truth, predicted, list(range(10)), probabilities)
    precision, recall, f1, n = metrics.precision_recall_fscore_support(truth, predicted)
    for name, expected in {"precision": precision, "recall": recall, "f1": f1, "n": n, "sensitivity": recall}.items():
        np.testing.assert_allclose(held.per_class[name], expected, err_msg=name)
    np.testing.assert_array_equal(held.confusion, metrics.confusion_matrix(truth, predicted))
    assert held.overall["accuracy"] == pytest.approx(metrics.accuracy_score(truth, predicted))
    kappa = metrics.cohen_kappa_score(truth, predicted, weights="quadratic")
    assert held.overall["quadratic-kappa"] == pytest.approx(kappa)
    for c in range(10):
        is_c = np.array(truth) == c
        assert held.per_class["auroc"][c] == pytest.approx(metrics.roc_auc_score(is_c, probabilities[:, c]))
        average = metrics.average_precision_score(is_c, probabilities[:, c])
        assert held.per_class["average-precision"][c] == pytest.approx(average)
        not_said = sum(t != c and p != c for t, p in zip(truth, predicted, strict=True))
        assert held.per_class["specificity"][c] == pytest.approx(not_said / sum(t != c for t in truth))


def test_multi_label() -> None:
    draw = np.random.default_rng(0)
    true, said = draw.random((200, 4)) > 0.6, draw.random((200, 4)) > 0.5
    names = ["a", "b", "c", "d"]
    lists = [[[name for name, on in zip(names, row, strict=True) if on] for row in rows] for rows in (true, said)]
    held = scores.multi_label(lists[0], lists[1], names)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(true, said)
    np.testing.assert_allclose(held.per_class["precision"], precision)
    np.testing.assert_allclose(held.per_class["recall"], recall)
    np.testing.assert_allclose(held.per_class["f1"], f1)
    assert held.overall["exact-match"] == pytest.approx(metrics.accuracy_score(true, said))
    assert held.overall["hamming-loss"] == pytest.approx(metrics.hamming_loss(true, said))
    assert held.confusion is None


def test_regression() -> None:
    draw = np.random.default_rng(1)
    truth, said = draw.normal(size=50), draw.normal(size=50)
    held = scores.regression(truth.tolist(), said.tolist(), [True] * 10 + [False] * 30 + [None] * 10)
    assert held.overall["mean-absolute-error"] == pytest.approx(metrics.mean_absolute_error(truth, said))
    assert held.overall["root-mean-squared-error"] == pytest.approx(metrics.root_mean_squared_error(truth, said))
    assert held.overall["r2"] == pytest.approx(metrics.r2_score(truth, said))
    assert held.overall["within-tolerance"] == pytest.approx(0.75)


def test_what_cannot_be_said_is_nan_and_no_warning() -> None:
    """One class alone, a class that nobody has, one image, no probabilities."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = scores.multi_class(["a", "a"], ["a", "a"], ["a", "b"], np.array([[0.9, 0.1], [0.8, 0.2]]))
        assert alone.overall["accuracy"] == 1
        assert math.isnan(alone.overall["quadratic-kappa"])
        assert math.isnan(alone.per_class["recall"]["b"])
        assert math.isnan(alone.per_class["auroc"]["a"])
        assert math.isnan(scores.multi_class(["a", "b"], ["b", "b"], ["a", "b"]).overall["auroc"])
        assert math.isnan(scores.regression([1.0], [2.0], [None]).overall["r2"])
