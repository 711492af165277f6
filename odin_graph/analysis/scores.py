"""Measures of predictions against labels, by scikit-learn. What cannot be said is NaN, never a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import nan
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.exceptions import UndefinedMetricWarning


@dataclass(frozen=True)
class Scores:
    """The measures of one group of images."""

    n: int
    overall: dict[str, float]
    per_class: pd.DataFrame = field(default_factory=pd.DataFrame)
    """One row a class; empty for regression."""
    confusion: NDArray[np.int64] | None = None
    """(truth, predicted) in the order of the classes; None where an image has several or none."""


def multi_class(
    truth: Sequence[Any],
    predicted: Sequence[Any],
    classes: Sequence[Any],
    probabilities: NDArray[np.floating[Any]] | None = None,
) -> Scores:
    """One class an image.

    Args:
        truth: (n,) labels.
        predicted: (n,) classes.
        classes: Their order.
        probabilities: (n, classes); without them AUROC and average precision are NaN.
    """
    index = {name: position for position, name in enumerate(classes)}
    true = np.array([index[label] for label in truth], np.int64)
    said = np.array([index[label] for label in predicted], np.int64)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (true, said), 1)
    onehot = np.eye(len(classes), dtype=bool)
    per_class = _per_class(onehot[true], onehot[said], classes, probabilities)
    overall = {
        "accuracy": float((true == said).mean()) if len(true) else nan,
        **_macro(per_class),
        "quadratic-kappa": _kappa(true, said, len(classes)),
    }
    return Scores(len(true), overall, per_class, confusion)


def multi_label(
    truth: Sequence[Sequence[Any]],
    predicted: Sequence[Sequence[Any]],
    classes: Sequence[Any],
    probabilities: NDArray[np.floating[Any]] | None = None,
) -> Scores:
    """Any number of classes an image; arguments as of `multi_class`."""
    true, said = _indicator(truth, classes), _indicator(predicted, classes)
    per_class = _per_class(true, said, classes, probabilities)
    overall = {
        "exact-match": float((true == said).all(axis=1).mean()) if len(true) else nan,
        "hamming-loss": float((true != said).mean()) if true.size else nan,
        **_macro(per_class),
    }
    return Scores(len(true), overall, per_class)


def regression(truth: Sequence[float], predicted: Sequence[float], wrong: Sequence[bool | None]) -> Scores:
    """A number an image; ``wrong`` is beyond the task's tolerance."""
    true, said = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    known = [value for value in wrong if value is not None]
    overall = {
        "mean-absolute-error": float(np.abs(true - said).mean()) if len(true) else nan,
        "root-mean-squared-error": float(np.sqrt(((true - said) ** 2).mean())) if len(true) else nan,
        "r2": _quietly(lambda: metrics.r2_score(true, said)) if len(true) > 1 else nan,
        "within-tolerance": 1 - sum(known) / len(known) if known else nan,
    }
    return Scores(len(true), overall)


def _per_class(
    true: NDArray[np.bool_],
    said: NDArray[np.bool_],
    classes: Sequence[Any],
    probabilities: NDArray[np.floating[Any]] | None,
) -> pd.DataFrame:
    both, only_true, only_said = (true & said).sum(0), (true & ~said).sum(0), (~true & said).sum(0)
    neither = (~true & ~said).sum(0)
    precision, recall = _ratio(both, both + only_said), _ratio(both, both + only_true)
    columns: dict[str, Any] = {
        "n": true.sum(0),
        "precision": precision,
        "recall": recall,
        "f1": _ratio(2 * both, 2 * both + only_said + only_true),
        "sensitivity": recall,
        "specificity": _ratio(neither, neither + only_said),
        "auroc": [_ranked(metrics.roc_auc_score, true, probabilities, c) for c in range(len(classes))],
        "average-precision": [
            _ranked(metrics.average_precision_score, true, probabilities, c) for c in range(len(classes))
        ],
    }
    return pd.DataFrame(columns, index=pd.Index(list(classes), name="class"))


def _macro(per_class: pd.DataFrame) -> dict[str, float]:
    """Means over the classes that have a value; a class without images has none."""
    named = ("precision", "recall", "f1", "sensitivity", "specificity", "auroc", "average-precision")
    return {name: float(per_class[name].mean()) for name in named}


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), nan)


def _ranked(
    measure: Callable[..., float], true: NDArray[np.bool_], probabilities: NDArray[np.floating[Any]] | None, c: int
) -> float:
    if probabilities is None or true[:, c].all() or not true[:, c].any():
        return nan  # ranking needs both kinds
    return _quietly(lambda: measure(true[:, c], probabilities[:, c]))


def _kappa(true: NDArray[np.int64], said: NDArray[np.int64], classes: int) -> float:
    if len({*true.tolist(), *said.tolist()}) < 2:
        return nan  # agreement beyond chance needs two classes
    return _quietly(lambda: metrics.cohen_kappa_score(true, said, labels=range(classes), weights="quadratic"))


def _quietly(measure: Callable[[], float]) -> float:
    with _undefined_is_nan():
        return float(measure())


@contextmanager
def _undefined_is_nan() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        yield


def _indicator(labels: Sequence[Sequence[Any]], classes: Sequence[Any]) -> NDArray[np.bool_]:
    index = {name: position for position, name in enumerate(classes)}
    held = np.zeros((len(labels), len(classes)), bool)
    for row, names in enumerate(labels):
        held[row, [index[name] for name in names]] = True
    return held
