"""Measures of predictions against labels, by scikit-learn. What cannot be said is NaN with a reason, not a warning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import metrics

PER_CLASS: Final = ("precision", "recall", "f1", "sensitivity", "specificity", "auroc", "average-precision")
"""The measures that each class has."""
MEASURES: Final = (
    "accuracy",
    *PER_CLASS,
    "quadratic-kappa",
    "exact-match",
    "hamming-loss",
    "mean-absolute-error",
    "root-mean-squared-error",
    "r2",
    "within-tolerance",
)
"""Every overall measure of any task."""


@dataclass(frozen=True)
class Scores:
    """The measures of one group of images."""

    n: int
    overall: dict[str, float]
    """By name. Those that each class has are the mean over the classes that have a value."""
    per_class: pd.DataFrame = field(default_factory=pd.DataFrame)
    """One row a class; empty for regression."""
    confusion: NDArray[np.int64] | None = None
    """(truth, predicted) in the order of the classes; None where an image has several or none."""
    undefined: Mapping[str, str] = field(default_factory=dict)
    """Why a measure is NaN, overall or for some class, by its name."""


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
        classes: All that occur, in the order of the probabilities; those that the model does not know come last.
        probabilities: (n, classes that the model knows); without them AUROC and average precision are NaN.
    """
    index = {name: position for position, name in enumerate(classes)}
    true = np.array([index[label] for label in truth], np.int64)
    said = np.array([index[label] for label in predicted], np.int64)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (true, said), 1)
    onehot = np.eye(len(classes), dtype=bool)
    per_class, undefined = _per_class(onehot[true], onehot[said], classes, probabilities)
    kappa = nan
    if len({*true.tolist(), *said.tolist()}) > 1:
        kappa = float(metrics.cohen_kappa_score(true, said, labels=range(len(classes)), weights="quadratic"))
    else:
        undefined["quadratic-kappa"] = "only one class occurs"
    overall = {
        "accuracy": float((true == said).mean()) if len(true) else nan,
        **_macro(per_class),
        "quadratic-kappa": kappa,
    }
    return Scores(len(true), overall, per_class, confusion, undefined)


def multi_label(
    truth: Sequence[Sequence[Any]],
    predicted: Sequence[Sequence[Any]],
    classes: Sequence[Any],
    probabilities: NDArray[np.floating[Any]] | None = None,
) -> Scores:
    """Any number of classes an image; arguments as of `multi_class`."""
    true, said = _indicator(truth, classes), _indicator(predicted, classes)
    per_class, undefined = _per_class(true, said, classes, probabilities)
    overall = {
        "exact-match": float((true == said).all(axis=1).mean()) if len(true) else nan,
        "hamming-loss": float((true != said).mean()) if true.size else nan,
        **_macro(per_class),
    }
    return Scores(len(true), overall, per_class, None, undefined)


def regression(truth: Sequence[float], predicted: Sequence[float], wrong: Sequence[bool | None]) -> Scores:
    """A number an image; ``wrong`` is beyond the task's tolerance, None where it has none."""
    true, said = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    known = [value for value in wrong if value is not None]
    undefined = {}
    if varied := len(np.unique(true)) > 1:
        r2 = float(metrics.r2_score(true, said))
    else:
        r2, undefined["r2"] = nan, "it needs two different labels"
    if not known:
        undefined["within-tolerance"] = "the task has no tolerance: task='regression {\"tolerance\": 5.0}'"
    overall = {
        "mean-absolute-error": float(metrics.mean_absolute_error(true, said)) if len(true) else nan,
        "root-mean-squared-error": float(np.sqrt(metrics.mean_squared_error(true, said))) if len(true) else nan,
        "r2": r2 if varied else nan,
        "within-tolerance": 1 - sum(known) / len(known) if known else nan,
    }
    return Scores(len(true), overall, undefined=undefined)


def _per_class(
    true: NDArray[np.bool_],
    said: NDArray[np.bool_],
    classes: Sequence[Any],
    probabilities: NDArray[np.floating[Any]] | None,
) -> tuple[pd.DataFrame, dict[str, str]]:
    both, only_true, only_said = (true & said).sum(0), (true & ~said).sum(0), (~true & said).sum(0)
    neither = (~true & ~said).sum(0)
    known = 0 if probabilities is None else probabilities.shape[1]
    # Ranking needs images of a class and others, and a probability of it.
    ranked = [c < known and bool(true[:, c].any()) and not bool(true[:, c].all()) for c in range(len(classes))]
    columns: dict[str, Any] = {
        "n": true.sum(0),
        "precision": _ratio(both, both + only_said),
        "recall": _ratio(both, both + only_true),
        "f1": _ratio(2 * both, 2 * both + only_said + only_true),
        "sensitivity": _ratio(both, both + only_true),
        "specificity": _ratio(neither, neither + only_said),
        "auroc": _ranked(metrics.roc_auc_score, true, probabilities, ranked),
        "average-precision": _ranked(metrics.average_precision_score, true, probabilities, ranked),
    }
    table = pd.DataFrame(columns, index=pd.Index(list(classes), name="class"))
    why = {
        "precision": "never predicted",
        "recall": "no image of it",
        "f1": "neither predicted nor true of an image",
        "sensitivity": "no image of it",
        "specificity": "every image is of it",
    }
    undefined = {name: _reason(why[name], table[name]) for name in why if table[name].isna().any()}
    if not all(ranked):
        absent = "no probabilities were stored"
        for name in ("auroc", "average-precision"):
            undefined[name] = _reason("no image of it, none of another, or unknown to the model", table[name])
            if probabilities is None:
                undefined[name] = absent
    return table, undefined


def _reason(why: str, column: pd.Series[float]) -> str:
    of = [str(name) for name in column.index[column.isna()]]
    listed = ", ".join(of[:5]) + (f" and {len(of) - 5} more" if len(of) > 5 else "")
    return f"{why} ({listed})"


def _macro(per_class: pd.DataFrame) -> dict[str, float]:
    return {name: float(per_class[name].mean()) for name in PER_CLASS}


def _ratio(part: NDArray[Any], whole: NDArray[Any]) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), nan)


def _ranked(
    measure: Callable[..., float],
    true: NDArray[np.bool_],
    probabilities: NDArray[np.floating[Any]] | None,
    ranked: Sequence[bool],
) -> list[float]:
    if probabilities is None:
        return [nan] * len(ranked)
    return [float(measure(true[:, c], probabilities[:, c])) if can else nan for c, can in enumerate(ranked)]


def _indicator(labels: Sequence[Sequence[Any]], classes: Sequence[Any]) -> NDArray[np.bool_]:
    index = {name: position for position, name in enumerate(classes)}
    held = np.zeros((len(labels), len(classes)), bool)
    for row, names in enumerate(labels):
        held[row, [index[name] for name in names]] = True
    return held
