"""Which units tell classes apart: class selectivity index, mutual information, AUC of each class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis.units.labels import Classes
from odin_graph.analysis.units.ranks import packed, payloads, ties
from odin_graph.analysis.units.slab import Slabs, over_blocks
from odin_graph.analysis.units.stats import not_finite
from odin_graph.analysis.units.table import UnitTable, counted
from odin_graph.arguments import whole
from odin_graph.errors import DataError, QueryError
from odin_graph.served import travels

BINS: Final = 10
_LEAST: Final = 3
"""Images with a label."""


@travels
@dataclass(frozen=True, eq=False, repr=False)
class Selectivity(UnitTable):
    """How much units depend on the class, a row a unit. Values that are no finite number are left out.

    Columns: ``unit``; ``selectivity``, the class selectivity index of Morcos et al. (2018), (a - b) / (a + b) where a
    is the highest mean of a class and b the mean of the means of the others: 0 where all are alike, 1 where the unit
    is active for one class alone. It is meant for units that are never negative, and NaN where a class has a negative
    mean or all are 0; ``class``, the one of the highest mean, the first of equals; ``mutual_information`` of the unit
    and the label in nats, the plug-in estimate (relative frequencies, no correction: of independent ones it is about
    (bins - 1)(classes - 1) / 2n, not 0) over bins of the unit by quantiles: a value lies in bin floor(bins * r / n)
    where r values are less, so that equal values are never parted; ``auc=CLASS``, the probability that an image of
    the class has a higher value than one of another, where equal ones count half: NaN for a class without an image.
    """

    classes: tuple[Any, ...]
    unlabeled: int
    """Images without a label, which are left out."""
    bins: int
    label_entropy: float
    """The entropy of the labels in nats, which bounds the mutual information of a unit."""

    def auc(self, of: Any) -> NDArray[np.float64]:
        """The AUC of each row's unit for a class against the rest.

        Raises:
            UnknownNameError: There is no such class.
        """
        return self[f"auc={of}"]

    def _head(self) -> str:
        without = f", {self.unlabeled:,} more without a label" if self.unlabeled else ""
        return (
            f"{counted(len(self), 'unit')} and {len(self.classes):,} classes over {counted(self.images, 'image')}"
            f"{without}; the label has {self.label_entropy:.3g} nats"
        )

    def _notes(self) -> list[str]:
        without = int(np.isnan(self["selectivity"]).sum())
        note = f"- {counted(without, 'unit')} without a selectivity: dead, or the mean of a class is negative"
        return super()._notes() + ([note] if without else [])


def selectivity(slabs: Slabs, labels: Any, *, bins: int = BINS) -> Selectivity:
    """How much each unit depends on the class.

    Args:
        slabs: Units over all images.
        labels: (n,) a class an image, in the order of the images; None, NaN or null without one.
        bins: Of the mutual information.

    Raises:
        QueryError: There is no unit or no image, or fewer than 2 bins.
        ShapeError: Not as many labels as images.
        DataError: Fewer than two classes, or as many as there are images; an image has several.
    """
    if (number := whole(bins)) is None or number < 2:
        raise QueryError(f"A mutual information takes bins, at least 2, not bins={bins!r}.")
    classes = Classes.of(labels, "the label")
    known = np.flatnonzero(classes.codes >= 0)
    _check(classes, len(known))
    # Images in the order of their classes: the values of a class lie side by side, and none without a label is there.
    by_class = known[np.argsort(classes.codes[known], kind="stable")]
    codes, sizes = classes.codes[by_class], np.bincount(classes.codes[known])
    parts = over_blocks(slabs, partial(_of_rows, by_class, codes, sizes, bins), len(classes.codes))
    unit, index, best, information, auc = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    columns = {
        "unit": unit,
        "selectivity": index,
        "class": pa.DictionaryArray.from_arrays(pa.array(best, pa.int32(), mask=best < 0), classes.values),
        "mutual_information": information,
        **{f"auc={name}": np.ascontiguousarray(auc[:, place]) for place, name in enumerate(classes.names)},
    }
    share = sizes / sizes.sum()
    return Selectivity(
        pa.table(columns),
        len(known),
        classes=classes.names,
        unlabeled=len(classes.codes) - len(known),
        bins=bins,
        label_entropy=float(-(share * np.log(share)).sum()),
    )


def _check(classes: Classes, known: int) -> None:
    if known < _LEAST:
        raise DataError(
            f"{known} of {len(classes.codes):,} images have a label, and selectivity needs {_LEAST} at least: set "
            "labels, or give another field, group_by=..."
        )
    if len(classes.names) < 2:
        raise DataError(
            f"All {known:,} images that have a label are of the class {classes.names[0]!r}, so no unit can tell "
            "classes apart: ask about images of two classes at least."
        )
    if len(classes.names) == known:
        raise DataError(
            f"Each of {known:,} images is of a class of its own, so the label groups nothing: give a field with "
            "fewer values, or ask for the affinity to a number."
        )


def _of_rows(
    by_class: NDArray[np.int64],
    codes: NDArray[np.int64],
    sizes: NDArray[np.int64],
    bins: int,
    units: NDArray[np.int64],
    values: NDArray[np.float32],
) -> tuple[NDArray[Any], ...]:
    values = values[:, by_class]
    finite = not_finite(values)
    starts = np.cumsum(sizes) - sizes
    rows = np.broadcast_to(sizes, (len(units), len(sizes)))
    wide = values.astype(np.float64)
    if finite is not None:
        wide[~finite] = 0
        rows = np.add.reduceat(finite, starts, axis=1, dtype=np.int64)
    means = np.divide(np.add.reduceat(wide, starts, axis=1), rows, out=np.full(rows.shape, np.nan), where=rows > 0)
    best, index = _index(means)
    information, auc = _by_ranks(values, codes, rows, bins)
    return units, index, best, information, auc


def _index(means: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The class of the highest mean (u,), -1 without any; and the class selectivity index."""
    some = ~np.isnan(means)
    best = np.where(some, means, -np.inf).argmax(axis=1)
    highest = means[np.arange(len(means)), best]
    others = some.sum(axis=1) - 1
    without = np.where(some, means, 0)
    without[np.arange(len(means)), best] = 0
    rest = without.sum(axis=1) / np.maximum(others, 1)
    sense = (others > 0) & ~(means < 0).any(axis=1) & (highest > 0)
    index = np.divide(highest - rest, highest + rest, out=np.full(len(means), np.nan), where=sense)
    best[~some.any(axis=1)] = -1
    return best, index


def _by_ranks(
    values: NDArray[np.float32], codes: NDArray[np.int64], sizes: NDArray[np.int64], bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mutual information (u,) and the AUC (u, c) of each class, of one sort of values that carry their class along."""
    (u, n), c = values.shape, sizes.shape[1]
    both = packed(values, codes.astype(np.uint32))
    starts, lengths = ties(both)
    row, place = np.divmod(starts, n)
    m = sizes.sum(axis=1)
    # What is no finite number was sorted to the end: as a bin and a rank of its own, which are left out.
    bin_ = np.where(place < m[row], place * bins // np.maximum(m, 1)[row], bins)
    cell = np.repeat((row * (bins + 1) + bin_) * c, lengths)
    cell += payloads(both).ravel()
    joint = np.bincount(cell, minlength=u * (bins + 1) * c).reshape(u, bins + 1, c)[:, :bins]
    cell = np.repeat(row * c, lengths)
    cell += payloads(both).ravel()
    midrank = np.where(place < m[row], place + (lengths + 1) / 2, 0)
    ranks = np.bincount(cell, np.repeat(midrank, lengths), minlength=u * c).reshape(u, c)
    pairs = sizes * (m[:, None] - sizes)
    above = ranks - sizes * (sizes + 1) / 2
    return _information(joint), np.divide(above, pairs, out=np.full((u, c), np.nan), where=pairs > 0)


def _information(joint: NDArray[np.int64]) -> NDArray[np.float64]:
    """In nats, of counts (u, bins, classes); NaN of none."""
    n = joint.sum(axis=(1, 2))
    nothing = n == 0
    share = joint / np.maximum(n, 1)[:, None, None]
    alone = share.sum(axis=2, keepdims=True) * share.sum(axis=1, keepdims=True)
    ratio = np.divide(share, alone, out=np.ones_like(share), where=share > 0)
    found: NDArray[np.float64] = np.maximum((share * np.log(ratio)).sum(axis=(1, 2)), 0)
    found[nothing] = np.nan
    return found
