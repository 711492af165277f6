"""Measures against scikit-learn's own functions, whatever the labels and predictions."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB

from odin_graph.schema.tasks import scores
from odin_graph.schema.tasks.confusion_counts import ConfusionCounts

NAMES = ["adult", "drusen", "edema", "normal", "other"]
"""Sorted, as scikit-learn sorts what it is given."""


def same(found: float, expected: float, name: str) -> None:
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), name


@st.composite
def judged(draw: Any, most: int = 5) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """Labels and predictions of a few classes, of which any may be absent, and probabilities with many ties."""
    size = draw(st.integers(1, most))
    n = draw(st.integers(1, 30))
    numbers = np.random.default_rng(draw(st.integers(0, 2**32)))
    truth, said = numbers.integers(0, size, (2, n))
    if draw(st.booleans()):  # mostly right
        said = np.where(numbers.random(n) < 0.8, truth, said)
    rows = numbers.integers(0, 5, (n, size)) + 0.5
    return truth, said, size, (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)


@given(judged())
def test_multi_class_is_scikit_learns(case: tuple[np.ndarray, np.ndarray, int, np.ndarray]) -> None:
    """Accuracy, balanced accuracy, precision, recall and F1 by class and by every mean, kappa, confusion."""
    truth, said, size, _ = case
    held = scores.multi_class(truth, said, NAMES[:size])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        same(held.overall["accuracy"], metrics.accuracy_score(truth, said), "accuracy")
        same(held.overall["balanced-accuracy"], metrics.balanced_accuracy_score(truth, said), "balanced accuracy")
        same(held.overall["kappa"], metrics.cohen_kappa_score(truth, said), "kappa")
        for average, suffix in (("macro", ""), ("micro", "-micro"), ("weighted", "-weighted")):
            expected = metrics.precision_recall_fscore_support(truth, said, average=average, zero_division=0)
            for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
                same(held.overall[name + suffix], value, name + suffix)
        occurring = np.unique(np.concatenate([truth, said]))
        expected = metrics.precision_recall_fscore_support(truth, said, labels=occurring, zero_division=0)
    shown = held.per_class.iloc[occurring]
    for name, values in zip(("precision", "recall", "f1", "n"), expected, strict=True):
        np.testing.assert_allclose(shown[name], values, err_msg=name)
    absent = held.per_class.drop(index=shown.index)
    assert absent[["precision", "recall", "f1"]].isna().to_numpy().all(), "a class that does not occur has no measure"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected_matrix = metrics.confusion_matrix(truth, said, labels=range(size))
    np.testing.assert_array_equal(held.confusion.dense(), expected_matrix)
    np.testing.assert_array_equal(held.confusion.matrix(NAMES[:size]).to_numpy(), expected_matrix)


@given(judged())
def test_ranking_is_scikit_learns(case: tuple[np.ndarray, np.ndarray, int, np.ndarray]) -> None:
    """AUROC and average precision of each class against the others, with ties; log loss; the mean."""
    truth, said, size, rows = case
    held = scores.multi_class(truth, said, NAMES[:size], rows)
    for c, name in enumerate(NAMES[:size]):
        is_c = truth == c
        if is_c.all() or not is_c.any():
            assert np.isnan(held.per_class["auroc"][name])
            assert name in held.undefined["auroc"]
            continue
        same(held.per_class["auroc"][name], metrics.roc_auc_score(is_c, rows[:, c]), "auroc")
        same(held.per_class["average-precision"][name], metrics.average_precision_score(is_c, rows[:, c]), "average")
    if size > 1:
        loss = metrics.log_loss(truth, rows, labels=range(size))
        assert held.overall["log-loss"] == pytest.approx(loss, rel=1e-5)
    if size > 2 and len(np.unique(truth)) == size:
        mean = metrics.roc_auc_score(truth, rows, multi_class="ovr", average="macro")
        same(held.overall["auroc"], mean, "mean auroc")


def test_many_images_of_a_class_are_ranked_as_few_are() -> None:
    """Sorting and comparing give the same: classes of 3 and of 300 images, probabilities with ties."""
    draw = np.random.default_rng(3)
    truth = np.repeat([0, 1, 2], [3, 300, 20])
    rows = np.round(draw.random((len(truth), 3)), 1).astype(np.float32)
    held = scores.multi_class(truth, truth, ["a", "b", "c"], rows)
    for c, name in enumerate("abc"):
        same(held.per_class["auroc"][name], metrics.roc_auc_score(truth == c, rows[:, c]), name)
        same(held.per_class["average-precision"][name], metrics.average_precision_score(truth == c, rows[:, c]), name)


@given(judged())
def test_ordinal_is_scikit_learns(case: tuple[np.ndarray, np.ndarray, int, np.ndarray]) -> None:
    """Quadratic weighted kappa and the mean distance in grades, beside what a multi-class task has."""
    truth, said, size, rows = case
    held = scores.ordinal(truth, said, list(range(size)), rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kappa = metrics.cohen_kappa_score(truth, said, weights="quadratic", labels=range(max(size, 2)))
    same(held.overall["quadratic-kappa"], kappa, "quadratic kappa")
    same(held.overall["mean-absolute-error"], metrics.mean_absolute_error(truth, said), "mean absolute error")
    same(held.overall["within-one"], float((np.abs(truth - said) <= 1).mean()), "within one")
    plain = scores.multi_class(truth, said, list(range(size)), rows)
    assert "quadratic-kappa" not in plain.overall, "only grades have an order"
    for name, value in plain.overall.items():
        same(held.overall[name], value, name)


def test_how_far_off_needs_every_label_to_be_a_grade() -> None:
    """A label that is no grade of the model is wrong, and no number of grades away."""
    held = scores.ordinal(np.array([0, 1, 3]), np.array([0, 2, 2]), ["none", "mild", "severe", "newt"], grades=3)
    assert held.overall["accuracy"] == pytest.approx(1 / 3)
    for name in ("quadratic-kappa", "mean-absolute-error", "within-one"):
        assert math.isnan(held.overall[name])
        assert held.undefined[name] == "no grade of the model: newt"


@given(st.integers(1, 4), st.integers(1, 12), st.integers(0, 2**32), st.sampled_from([0.1, 0.5, 0.9]))
def test_multi_label_is_scikit_learns(size: int, n: int, seed: int, frequent: float) -> None:
    """All classes count in a mean, as columns of an indicator matrix do."""
    numbers = np.random.default_rng(seed)
    true, said = numbers.random((2, n, size)) < frequent
    rows = numbers.integers(0, 4, (n, size)) / 3
    names = NAMES[:size]
    lists = [[[name for name, on in zip(names, row, strict=True) if on] for row in marked] for marked in (true, said)]
    held = scores.multi_label(lists[0], lists[1], names, rows.astype(np.float32))
    # One column alone would be taken for a two-class task.
    labels = list(range(size))
    for average, suffix in (("macro", ""), ("micro", "-micro"), ("weighted", "-weighted")):
        both = (true, said) if size > 1 else (true[:, 0], said[:, 0])
        how = {"average": average, "labels": labels} if size > 1 else {"average": "binary"}
        if size == 1 and average == "weighted" and not true.any():
            continue
        expected = metrics.precision_recall_fscore_support(*both, zero_division=0, **how)
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            same(held.overall[name + suffix], value, name + suffix)
    same(held.overall["exact-match"], metrics.accuracy_score(true, said), "exact match")
    same(held.overall["hamming-loss"], metrics.hamming_loss(true, said), "hamming loss")
    for c, name in enumerate(names):
        if true[:, c].any() and not true[:, c].all():
            same(held.per_class["auroc"][name], metrics.roc_auc_score(true[:, c], rows[:, c]), "auroc")
        else:
            assert np.isnan(held.per_class["auroc"][name])
    assert held.confusion is None


@given(st.lists(st.tuples(*[st.floats(-1e6, 1e6, width=32)] * 2), min_size=1, max_size=20))
def test_regression_is_scikit_learns(pairs: list[tuple[float, float]]) -> None:
    truth, said = (np.array(column) for column in zip(*pairs, strict=True))
    held = scores.regression(truth, said, [True, False, None])
    assert held.overall["mean-absolute-error"] == pytest.approx(metrics.mean_absolute_error(truth, said))
    assert held.overall["root-mean-squared-error"] == pytest.approx(metrics.root_mean_squared_error(truth, said))
    if truth.min() < truth.max() and truth.var() > 0:
        assert held.overall["r2"] == pytest.approx(metrics.r2_score(truth, said), rel=1e-6)
    else:
        assert math.isnan(held.overall["r2"])
    assert held.overall["within-tolerance"] == pytest.approx(0.5)


def test_infinite_labels_have_an_infinite_error_and_no_r2() -> None:
    held = scores.regression(np.array([math.inf, 1.0]), np.array([2.0, 1.0]), [None, None])
    assert held.overall["mean-absolute-error"] == math.inf
    assert math.isnan(held.overall["r2"])
    assert held.undefined["r2"] == "a label or a prediction is infinite"
    assert held.numbers is not None
    assert (held.numbers.labels[0], held.numbers.predicted[0]) == (math.inf, 2.0)


def test_a_real_classifier() -> None:
    """One that is bad enough to have every kind of error."""
    digits = load_digits()
    model = GaussianNB().fit(digits.data[:300, ::3], digits.target[:300])
    rows = model.predict_proba(digits.data[300:, ::3])
    truth, said = digits.target[300:], rows.argmax(axis=1)
    held = scores.multi_class(truth, said, list(range(10)), rows)
    for c in range(10):
        assert held.per_class["auroc"][c] == pytest.approx(metrics.roc_auc_score(truth == c, rows[:, c]))
        not_said = sum(t != c and p != c for t, p in zip(truth, said, strict=True))
        assert held.per_class["specificity"][c] == pytest.approx(not_said / (truth != c).sum())
    assert held.overall["auroc"] == pytest.approx(metrics.roc_auc_score(truth, rows, multi_class="ovr"))


def test_what_divides_by_zero_is_said() -> None:
    """Never predicted and no image of it: 0, as scikit-learn's zero_division=0, with the classes by name."""
    held = scores.multi_class(np.array([0, 1]), np.array([0, 2]), ["a", "b", "c", "d"])
    assert held.undefined["precision"] == "never predicted, so 0, as scikit-learn's zero_division=0 (b)"
    assert held.undefined["recall"] == "no image of it, so 0, as scikit-learn's zero_division=0 (c)"
    assert held.per_class["precision"]["b"] == 0


def test_what_cannot_be_said_is_nan_and_no_warning() -> None:
    """One class alone, a class that nobody has, one image, none at all, no probabilities."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        zeros = np.zeros(2, np.int64)
        alone = scores.multi_class(zeros, zeros, ["a", "b"], np.array([[0.9, 0.1], [0.8, 0.2]]))
        assert alone.overall["accuracy"] == 1
        assert math.isnan(alone.overall["kappa"])
        assert math.isnan(alone.per_class["recall"]["b"])
        assert math.isnan(alone.per_class["auroc"]["a"])
        assert math.isnan(scores.multi_class(np.array([0, 1]), zeros + 1, ["a", "b"]).overall["auroc"])
        assert math.isnan(scores.regression(np.array([1.0]), np.array([2.0]), [None]).overall["r2"])
        none = np.empty(0, np.int64)
        empty = [
            scores.multi_class(none, none, ["a", "b"], np.empty((0, 2), np.float32)),
            scores.ordinal(none, none, ["a", "b"]),
            scores.multi_label([], [], ["a", "b"]),
            scores.regression(np.empty(0), np.empty(0), []),
        ]
        for held in empty:
            assert held.n == 0
            assert all(math.isnan(value) for value in held.overall.values())


@given(judged(), st.integers(2, 4))
def test_gathered_classes_keep_every_image(case: tuple[np.ndarray, np.ndarray, int, np.ndarray], most: int) -> None:
    """Of many classes some stay, the others are one: no image is lost, and what stays is as it was."""
    truth, said, size, _ = case
    counts = ConfusionCounts.of(truth, said, size)
    held, kept = counts.gathered(most)
    assert held.counts.sum() == len(truth)
    assert held.size <= most
    np.testing.assert_array_equal(held.dense()[: len(kept), : len(kept)], counts.dense()[np.ix_(kept, kept)])


@given(judged())
def test_confused_pairs_are_those_of_the_matrix(case: tuple[np.ndarray, np.ndarray, int, np.ndarray]) -> None:
    """The most frequent first; each with its share of the images of its truth."""
    truth, said, size, _ = case
    counts = ConfusionCounts.of(truth, said, size)
    table, matrix = counts.table(NAMES[:size]), counts.dense()
    assert table["n"].tolist() == sorted(table["n"], reverse=True)
    assert table["n"].sum() == (truth != said).sum()
    for row in table.itertuples():
        at = NAMES.index(row.truth), NAMES.index(row.predicted)
        assert matrix[at] == row.n
        assert row.share == pytest.approx(row.n / matrix[at[0]].sum())


def test_ten_thousand_classes_take_no_matrix_of_all_pairs() -> None:
    """What is kept and what is given is as large as what occurred."""
    draw = np.random.default_rng(0)
    truth, said = draw.integers(0, 12_000, (2, 20_000))
    held = scores.multi_class(truth, said, [f"class {c}" for c in range(12_000)])
    assert held.overall["f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro"))
    frame = held.confusion.matrix(held.classes)
    assert frame.shape == (12_000, 12_000)
    assert int(frame.memory_usage().sum()) < 50_000_000, "a dense matrix takes 1.2 GB"
    first = held.confusion.table(held.classes).iloc[0]
    assert frame.loc[first.truth, first.predicted] == first.n
