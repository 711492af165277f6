"""What a split did not reach: shares that groups forbid, classes that a part lacks, an order that is lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.datasets.sides import is_missing, value_key

OFF: Final = 0.05
"""A part's share of the images may be off by so much, or by half of what was asked if that is less ..."""
CLASS_OFF: Final = 0.1
"""... and its share of a class by so much, before it is worth a word. One image more or less never is."""
_SHOWN: Final = 5


def missed(
    parts: Mapping[str, NDArray[np.int64]],
    fractions: Mapping[str, float],
    *,
    stratify: tuple[str, Sequence[Any]] | None = None,
    labels: tuple[str, Sequence[Any]] | None = None,
    group_by: tuple[str, Sequence[Any]] | None = None,
    time: tuple[str, Sequence[Any]] | None = None,
    folds: bool = False,
) -> list[str]:
    """A sentence for each kind of thing that a split did not reach, with what it reached; [] where all is as asked.

    Args:
        parts: Positions by part.
        fractions: What was asked.
        stratify: The field whose values were to keep their shares, and its value of each image.
        labels: The field of the labels, and the label of each image.
        group_by: The field that was not torn apart.
        time: The field that ordered the images.
        folds: Whether each part is judged by what was learned from the others.
    """
    n = sum(map(len, parts.values()))
    part = np.empty(n, np.int64)
    for place, positions in enumerate(parts.values()):
        part[positions] = place
    found = []
    asked = np.array([fractions[name] for name in parts])
    counts = np.bincount(part, minlength=len(parts))
    if (_off(counts, asked) > np.minimum(OFF, asked / 2)).any():
        reached = ", ".join(
            f"{name} {count / n:.3g} (asked {fractions[name]:.3g})" for name, count in zip(parts, counts, strict=True)
        )
        found.append(f"The shares are {reached}{_why(group_by or time, n)}")
    if stratify is not None:
        found += _classes(*stratify, part, asked, list(parts), stratified=True, folds=folds)
    if labels is not None and (stratify is None or stratify[0] != labels[0]) and _are_classes(labels[1]):
        found += _classes(*labels, part, asked, list(parts), stratified=False, folds=folds)
    if time is not None:
        found += _order(time[1], part, list(parts))
    return found


def _off(counts: NDArray[np.int64], asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each share is from what was asked; 0 where it is less than an image."""
    total = max(1, counts.sum())
    return np.where(np.abs(counts - asked * total) < 1, 0, np.abs(counts / total - asked))


def _why(together: tuple[str, Sequence[Any]] | None, n: int) -> str:
    if together is None:
        return "."
    field, values = together
    keys = [value_key(value) for value in values if not is_missing(value)]
    if not keys:
        return "."
    known, counts = np.unique(np.array([f"{kind}\0{text}" for kind, text in keys]), return_counts=True)
    largest = str(known[np.argmax(counts)]).partition("\0")[2]
    return (
        f", because images with the same {field!r} stay together: its most frequent value, {largest!r}, has "
        f"{counts.max():,} of {n:,} images."
    )


def _are_classes(labels: Sequence[Any]) -> bool:
    """Whether labels are classes: no real numbers, lists, or names that hardly anybody shares."""
    known = {value for value in labels if not isinstance(value, float | list) and value is not None}
    return bool(known) and 2 * len(known) <= len(labels)


def _classes(
    field: str,
    values: Sequence[Any],
    part: NDArray[np.int64],
    asked: NDArray[np.float64],
    names: list[str],
    *,
    stratified: bool,
    folds: bool,
) -> list[str]:
    places: dict[tuple[str, str], list[int]] = {}
    for place, value in enumerate(values):
        if not is_missing(value):
            places.setdefault(value_key(value), []).append(place)
    lacking, absent, uneven = [], [], []
    for (_, text), members in sorted(places.items()):
        counts = np.bincount(part[members], minlength=len(names))
        unlearned = np.count_nonzero(counts) == 1 if folds else counts[np.argmax(asked)] == 0
        listed = ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True) if count)
        bare = (counts == 0) & (stratified or asked * len(members) >= (np.inf if folds else 1))
        if bare.any() and (stratified or not unlearned):
            absent.append(f"{text!r} ({listed} of {len(members):,})")
        elif unlearned:
            lacking.append(f"{text!r} ({listed} of {len(members):,})")
        elif stratified and (_off(counts, asked) > CLASS_OFF).any():
            uneven.append(f"{text!r} ({listed} of {len(members):,})")
    learned = "more than one fold" if folds else names[int(np.argmax(asked))]
    found = [
        f"{len(values):,} values of {field!r} are not in {where}: {_listed(values)}."
        for values, where in ((lacking, learned), (absent, "every part"))
        if values
    ]
    if uneven:
        found.append(f"{len(uneven):,} values of {field!r} do not keep their shares: {_listed(uneven)}.")
    return found


def _order(times: Sequence[Any], part: NDArray[np.int64], names: list[str]) -> list[str]:
    """Where images that kept their side are no longer in the order of the parts."""
    found = []
    of = [[times[at] for at in np.flatnonzero(part == place).tolist()] for place in range(len(names))]
    for place in range(len(names) - 1):
        before, after = of[place], min(of[place + 1])
        if number := sum(value >= after for value in before):
            found.append(
                f"{number:,} images of {names[place]} are as late as the first of {names[place + 1]}, or later: "
                "their times changed since they got their side."
            )
    return found


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - _SHOWN:,} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more
