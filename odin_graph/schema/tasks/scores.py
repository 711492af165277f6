"""Measures of predictions against labels, as scikit-learn has them; what cannot be said is NaN with a reason.

They are counted here, since scikit-learn makes matrices of all pairs of classes: of 12,000 classes these are gigabytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.schema.tasks.confusion_counts import ConfusionCounts
from odin_graph.schema.tasks.ranking import rank_classes
from odin_graph.served import travels

if TYPE_CHECKING:
    import pandas as pd

Codes = NDArray[np.int64]
Rows = NDArray[np.floating[Any]]

PER_CLASS: Final = ("precision", "recall", "f1", "sensitivity", "specificity", "auroc", "average-precision")
"""The measures that each class has."""
_AVERAGED: Final = tuple(f"{name}-{how}" for how in ("micro", "weighted") for name in ("precision", "recall", "f1"))
MULTI_CLASS: Final = ("accuracy", "balanced-accuracy", *PER_CLASS, *_AVERAGED, "kappa", "log-loss")
ORDINAL: Final = ("accuracy", "within-one", "mean-absolute-error", "quadratic-kappa", *MULTI_CLASS[1:])
MULTI_LABEL: Final = ("exact-match", "hamming-loss", *PER_CLASS, *_AVERAGED)
REGRESSION: Final = ("mean-absolute-error", "root-mean-squared-error", "r2", "within-tolerance")
_ZERO: Final = "so 0, as scikit-learn's zero_division=0"
_LISTED: Final = 5


@travels
@dataclass(frozen=True, eq=False)
class Numbers:
    """Labels and predictions that are numbers; by name, so that neither is taken for the other."""

    labels: NDArray[np.float64]
    """(n, ...)"""
    predicted: NDArray[np.float64]
    """(n, ...)"""

    def __len__(self) -> int:
        return len(self.labels)


@travels
@dataclass(frozen=True, eq=False, repr=False)
class Scores:
    """The measures of one group of images."""

    n: int
    """Images with a label and a prediction."""
    overall: dict[str, float]
    """By name. Those that each class has are their mean over the classes (macro)."""
    classes: tuple[Any, ...] = ()
    """Those that have a row: all, but of a part of the images those that occur there."""
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Of the measures of each class, in their order."""
    confusion: ConfusionCounts | None = None
    """None where an image has several classes or none, or nobody counts them."""
    numbers: Numbers | None = None
    """`Pairs.numbers`, for a picture that draws them."""
    undefined: Mapping[str, str] = field(default_factory=dict)
    """Why a measure is NaN, or stands for a division by zero, overall or for some class; by its name."""
    missing: int = 0
    """Labeled images of the group without a prediction."""

    @property
    def coverage(self) -> float:
        """The share of the labeled images that has a prediction; NaN of none."""
        return self.n / (self.n + self.missing) if self.n + self.missing else nan

    def __repr__(self) -> str:
        """One line: the first measure."""
        first = next(iter(self.overall.items()), ("no measure", nan))
        return f"Scores({self.n:,} images, {first[0]} {first[1]:.3f}, {len(self.classes):,} classes)"

    @cached_property
    def per_class(self) -> pd.DataFrame:
        """One row a class; empty for regression."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns), index=pd.Index(list(self.classes), name="class"))


def positions_of(values: Any, classes: Sequence[Any]) -> Codes:
    """The position of each value among the classes, which hold all of them."""
    column = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values)
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not len(column):
        return np.empty(0, np.int64)
    encoded = column.dictionary_encode()
    index = {name: place for place, name in enumerate(classes)}
    known = np.array([index[name] for name in encoded.dictionary.to_pylist()], np.int64)
    places: Codes = known[encoded.indices.to_numpy()]
    return places


def multi_class(truth: Codes, predicted: Codes, classes: Sequence[Any], probabilities: Rows | None = None,
                *, every: bool = True) -> Scores:  # fmt: skip
    """One class an image.

    Means over classes are over those that occur among labels or predictions, as scikit-learn's are.

    Args:
        truth: (n,) positions of the labels among the classes.
        predicted: (n,) positions of what was predicted.
        classes: All that occur, in the order of the probabilities; those that the model does not know come last.
        probabilities: (n, classes that the model knows); without them nothing is ranked.
        every: Whether classes that do not occur have a row, too.
    """
    n, number = len(truth), len(classes)
    actual, predicted_counts = (np.bincount(codes, minlength=number) for codes in (truth, predicted))
    right = truth == predicted
    counts = _Counts(np.bincount(truth[right], minlength=number), actual, predicted_counts, n)
    occurs = (actual > 0) | (predicted_counts > 0)
    undefined: dict[str, str] = {}
    columns = _columns(counts, classes, occurs, undefined)
    shown = np.arange(number) if every else np.flatnonzero(occurs)
    _rank(columns, undefined, classes, shown, (np.arange(n), truth), probabilities)
    overall = {
        "accuracy": float(right.mean()) if n else nan,
        "balanced-accuracy": float((counts.right[actual > 0] / actual[actual > 0]).mean()) if n else nan,
        **_macro(columns, occurs),
        **_averaged(columns, counts, occurs),
        "kappa": _kappa(float(right.mean()), actual, predicted_counts, undefined) if n else nan,
        "log-loss": _log_loss(truth, probabilities, undefined),
    }
    rows = {name: column[shown] for name, column in columns.items()}
    confusion = ConfusionCounts.of(truth, predicted, number)
    return Scores(n, overall, tuple(classes[c] for c in shown.tolist()), rows, confusion, undefined=undefined)


def ordinal(
    truth: Codes,
    predicted: Codes,
    classes: Sequence[Any],
    probabilities: Rows | None = None,
    *,
    every: bool = True,
    grades: int | None = None,
) -> Scores:
    """One grade an image, of classes in their order.

    Args:
        truth: As of `multi_class`.
        predicted: As of `multi_class`.
        classes: The grades in their order, then those that the model does not know.
        probabilities: As of `multi_class`.
        every: As of `multi_class`.
        grades: So many of the classes are grades, by default all. How far off a prediction is cannot be said of a label
            that is none of them.
    """
    grades = len(classes) if grades is None else grades
    plain = multi_class(truth, predicted, classes, probabilities, every=every)
    undefined = dict(plain.undefined)
    far = np.abs(truth - predicted).astype(np.float64)
    unknown = [str(classes[c]) for c in np.unique(np.concatenate([truth, predicted])).tolist() if c >= grades]
    if unknown:
        why = f"no grade of the model: {', '.join(unknown[:_LISTED])}"
        undefined |= dict.fromkeys(("within-one", "mean-absolute-error", "quadratic-kappa"), why)
    known = bool(len(truth)) and not unknown
    own = {
        "accuracy": plain.overall["accuracy"],
        "within-one": float((far <= 1).mean()) if known else nan,
        "mean-absolute-error": float(far.mean()) if known else nan,
        "quadratic-kappa": _quadratic_kappa(truth, predicted, undefined) if known else nan,
    }
    return Scores(plain.n, {**own, **plain.overall}, plain.classes, plain.columns, plain.confusion, undefined=undefined)


def multi_label(
    truth: Sequence[Sequence[Any]] | pa.ChunkedArray,
    predicted: Sequence[Sequence[Any]] | pa.ChunkedArray,
    classes: Sequence[Any],
    probabilities: Rows | None = None,
) -> Scores:
    """Any number of classes an image. Means over classes are over all of them, as scikit-learn's are.

    Args:
        truth: (n,) lists of labels.
        predicted: (n,) lists of what was predicted.
        classes: As of `multi_class`.
        probabilities: As of `multi_class`.
    """
    n, number = len(truth), len(classes)
    true_marks, predicted_marks = (_marks(lists, classes) for lists in (truth, predicted))
    both = np.intersect1d(true_marks, predicted_marks, assume_unique=True)
    differ = np.setxor1d(true_marks, predicted_marks, assume_unique=True)
    both_counts, true_counts, predicted_counts = (
        np.bincount(at % max(number, 1), minlength=number) for at in (both, true_marks, predicted_marks)
    )
    counts = _Counts(both_counts, true_counts, predicted_counts, n)
    undefined: dict[str, str] = {}
    every = np.ones(number, bool)
    columns = _columns(counts, classes, every, undefined)
    marks = (true_marks // max(number, 1), true_marks % max(number, 1))
    _rank(columns, undefined, classes, np.arange(number), marks, probabilities)
    overall = {
        "exact-match": 1 - len(np.unique(differ // max(number, 1))) / n if n else nan,
        "hamming-loss": len(differ) / (n * number) if n and number else nan,
        **_macro(columns, every if n else ~every),
        **_averaged(columns, counts, every if n else ~every),
    }
    return Scores(n, overall, tuple(classes), columns, undefined=undefined)


def regression(
    truth: NDArray[np.float64], predicted: NDArray[np.float64], wrong: Sequence[bool | None] | NDArray[np.object_]
) -> Scores:
    """A number an image; ``wrong`` is beyond the task's tolerance, None where it has none."""
    true, estimated = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    n = len(true)
    known = [value for value in wrong if value is not None]
    undefined = {}
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where(true == estimated, 0.0, true - estimated)  # equal infinities have no error
        squares = float((error**2).mean()) if n else nan
        around = float(((true - true.mean()) ** 2).mean()) if n else nan
    r2 = nan
    if not n or true.min() == true.max():
        undefined["r2"] = "it needs two different labels"
    elif not np.isfinite([squares, around]).all():
        undefined["r2"] = "a label or a prediction is infinite"
    else:
        r2 = 1 - squares / around
    if not known:
        undefined["within-tolerance"] = "the task has no tolerance: task='regression {\"tolerance\": 5.0}'"
    overall = {
        "mean-absolute-error": float(np.abs(error).mean()) if n else nan,
        "root-mean-squared-error": float(np.sqrt(squares)),
        "r2": r2,
        "within-tolerance": 1 - sum(known) / len(known) if known else nan,
    }
    return Scores(n, overall, numbers=Numbers(true, estimated), undefined=undefined)


@dataclass(frozen=True, eq=False)
class _Counts:
    """Numbers of images by class."""

    right: Codes
    """Images for which the class is true, and predicted."""
    actual: Codes
    """Images for which it is true."""
    predicted: Codes
    """Images for which it was predicted."""
    n: int


def _columns(
    counts: _Counts, classes: Sequence[Any], occurs: NDArray[np.bool_], undefined: dict[str, str]
) -> dict[str, NDArray[Any]]:
    others = counts.n - counts.actual
    recall = _ratio(counts.right, counts.actual, occurs)
    columns: dict[str, NDArray[Any]] = {
        "n": counts.actual,
        "precision": _ratio(counts.right, counts.predicted, occurs),
        "recall": recall,
        "f1": _ratio(2 * counts.right, counts.predicted + counts.actual, occurs),
        "sensitivity": recall,
        "specificity": np.where(
            others > 0, (others - (counts.predicted - counts.right)) / np.maximum(others, 1), nan
        ),
    }  # fmt: skip
    no_image, never = (counts.actual == 0) & occurs, (counts.predicted == 0) & occurs
    for name, where, why in (
        ("precision", never, f"never predicted, {_ZERO}"),
        ("recall", no_image, f"no image of it, {_ZERO}"),
        ("f1", no_image & never, f"neither predicted nor true of an image, {_ZERO}"),
        ("sensitivity", no_image, f"no image of it, {_ZERO}"),
        ("specificity", others == 0, "every image is of it"),
    ):
        if where.any() and counts.n:
            undefined[name] = f"{why} ({_listed(classes, np.flatnonzero(where))})"
    return columns


def _rank(
    columns: dict[str, NDArray[Any]],
    undefined: dict[str, str],
    classes: Sequence[Any],
    shown: Codes,
    marks: tuple[Codes, Codes],
    probabilities: Rows | None,
) -> None:
    """Add AUROC and average precision, of images and the classes that are true of them."""
    names = ("auroc", "average-precision")
    if probabilities is None:
        for name in names:
            columns[name] = np.full(len(classes), nan)
            undefined[name] = "no probabilities were stored"
        return
    ranked = rank_classes(*marks, np.asarray(probabilities), len(classes))
    for name, values in zip(names, ranked, strict=True):
        columns[name] = values
        if (absent := np.isnan(values[shown])).any():
            listed = _listed(classes, shown[absent])
            undefined[name] = f"no image of it, none of another, or unknown to the model ({listed})"


def _macro(columns: Mapping[str, NDArray[Any]], counted: NDArray[np.bool_]) -> dict[str, float]:
    """The mean over classes; of what some classes cannot have, over those that do."""
    found = {}
    for name in PER_CLASS:
        values = columns[name][counted]
        values = values[~np.isnan(values)]
        found[name] = float(values.mean()) if len(values) else nan
    return found


def _averaged(columns: Mapping[str, NDArray[Any]], counts: _Counts, counted: NDArray[np.bool_]) -> dict[str, float]:
    """Micro: of all decisions together. Weighted: the mean by the images of each class."""
    if not counted.any():
        return dict.fromkeys(_AVERAGED, nan)
    right, actual, predicted = (float(part.sum()) for part in (counts.right, counts.actual, counts.predicted))
    micro = {"precision": (right, predicted), "recall": (right, actual), "f1": (2 * right, actual + predicted)}
    found = {f"{name}-micro": part / whole if whole else 0.0 for name, (part, whole) in micro.items()}
    weights = counts.actual[counted]
    for name in micro:
        values = columns[name][counted]
        found[f"{name}-weighted"] = float((values * weights).sum() / weights.sum()) if weights.sum() else 0.0
    return found


def _kappa(agreed: float, actual: Codes, predicted: Codes, undefined: dict[str, str]) -> float:
    n = float(actual.sum())
    by_chance = float((actual / n * (predicted / n)).sum())
    if by_chance >= 1:
        undefined["kappa"] = "only one class occurs"
        return nan
    return (agreed - by_chance) / (1 - by_chance)


def _quadratic_kappa(truth: Codes, predicted: Codes, undefined: dict[str, str]) -> float:
    """One less the mean squared distance over that of labels and predictions drawn apart from each other."""
    true, estimated = truth.astype(np.float64), predicted.astype(np.float64)
    by_chance = true.var() + estimated.var() + (true.mean() - estimated.mean()) ** 2
    if by_chance == 0:
        undefined["quadratic-kappa"] = "only one class occurs"
        return nan
    return float(1 - ((true - estimated) ** 2).mean() / by_chance)


def _log_loss(truth: Codes, probabilities: Rows | None, undefined: dict[str, str]) -> float:
    if probabilities is None or not len(truth):
        undefined["log-loss"] = "no probabilities were stored" if len(truth) else "no image"
        return nan
    if truth.max() >= probabilities.shape[1]:
        undefined["log-loss"] = "labels that are unknown to the model have no probability"
        return nan
    least = float(np.finfo(probabilities.dtype).eps)
    truth_probabilities = probabilities[np.arange(len(truth)), truth].astype(np.float64)
    return float(-np.log(np.clip(truth_probabilities, least, 1 - least)).mean())


def _ratio(part: Codes, whole: Codes, occurs: NDArray[np.bool_]) -> NDArray[np.float64]:
    """0 for a division by zero, as scikit-learn has it; NaN of a class that does not occur."""
    return np.where(occurs, part / np.maximum(whole, 1), nan)


def _marks(lists: Sequence[Sequence[Any]] | pa.ChunkedArray, classes: Sequence[Any]) -> Codes:
    """Image and class as one number, of every class that is marked, sorted."""
    column = lists if isinstance(lists, pa.ChunkedArray) else pa.chunked_array([pa.array(list(lists))])
    column = column.combine_chunks()
    if not len(column) or pa.types.is_null(column.type) or pa.types.is_null(column.type.value_type):
        return np.empty(0, np.int64)
    rows = pa.compute.list_parent_indices(column).to_numpy().astype(np.int64)
    return np.unique(rows * len(classes) + positions_of(pa.compute.list_flatten(column), classes))


def _listed(classes: Sequence[Any], places: Codes) -> str:
    names = [str(classes[c]) for c in places[:_LISTED].tolist()]
    return ", ".join(names) + (f" and {len(places) - _LISTED:,} more" if len(places) > _LISTED else "")
