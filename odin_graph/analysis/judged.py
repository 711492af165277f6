"""The predictions to measure: those of an experiment for the labeled members that are not deleted.

Results, comparisons, leaderboards and tables all begin here, so that all of them count the same images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.catalog.experiments.projection import predicted_inputs
from odin_graph.catalog.images.stale_labels import stale_labels
from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.inputs.inputs import groups_of
from odin_graph.catalog.inputs.labels import labels_of_inputs
from odin_graph.errors import CoverageWarning, OdinError
from odin_graph.query.names.prediction_sets import ReadySet, choose
from odin_graph.served import travels
from odin_graph.stores import Stores
from odin_graph.warned import warn


@travels
@dataclass(frozen=True)
class Coverage:
    """How much of a data set version something is measured on, and what was left out."""

    members: int
    """Images that the version froze."""
    deleted: int
    """Members that were deleted since. They are not counted."""
    unlabeled: int
    """Members that are not deleted and have no label."""
    missing: int
    """Labeled members without a prediction."""
    stale: int = 0
    """Labels of images that are there which differ from today's; what is frozen counts."""
    what: str = "images"
    """What is counted: images, or inputs of several images, which have one prediction each."""

    @property
    def labeled(self) -> int:
        """Images that are there and have a label: what could be measured."""
        return self.members - self.deleted - self.unlabeled

    @property
    def measured(self) -> int:
        """Labeled images with a prediction."""
        return self.labeled - self.missing

    @property
    def share(self) -> float:
        """The share of the labeled images that is measured; NaN of none."""
        return self.measured / self.labeled if self.labeled else float("nan")

    def notes(self, what: str = "have a prediction") -> tuple[str, ...]:
        """Sentences about what was left out; none if everything was measured."""
        notes = []
        if self.missing:
            notes.append(
                f"{self.measured:,} of {self.labeled:,} labeled {self.what} {what} "
                f"(coverage {_percent(self.share)}): the others count neither as right nor as wrong"
            )
        if self.deleted:
            of = "members were" if self.what == "images" else f"{self.what} have images that were"
            notes.append(f"{self.deleted:,} of {self.members:,} {of} deleted since, and are left out")
        if self.unlabeled:
            notes.append(f"{self.unlabeled:,} {self.what} have no label, and are left out")
        if self.stale:
            notes.append(
                f"{self.stale:,} {'label differs' if self.stale == 1 else 'labels differ'} from today's: measured "
                "against what was frozen (db.labels.stale() lists them, dataset.revise() freezes today's)"
            )
        return tuple(notes)

    def warn(self, who: str) -> None:
        """Warn where a part was measured.

        Args:
            who: Has predicted a part.
        """
        if self.missing:
            part = f"{self.measured:,} of {self.labeled:,} labeled {self.what} (coverage {_percent(self.share)})"
            text = f"{who} over {part}: the figures are of these alone. Predict the rest to compare them with others."
            warn(text, CoverageWarning)


@dataclass(frozen=True, eq=False)
class Judged:
    """The predictions of an experiment over the labeled members of a version, in the version's order."""

    set_id: str
    """The prediction set that speaks for it."""
    table: pa.Table
    """``key``, ``label``, ``predicted`` and ``wrong``, a row an image with both. Where a prediction is of several
    images, a row an input, with the key of its first image."""
    unpredicted: pa.Table
    """``key`` and ``label`` of the labeled images without a prediction."""
    coverage: Coverage
    input: Input
    """What a prediction is of."""


def judged(stores: Stores, experiment: str, dataset: str, *, stale: bool = True) -> Judged:
    """Find the predictions that speak for an experiment, and the images that they are measured on.

    Args:
        stores: The open workspace.
        experiment: Its id.
        dataset: The version's id.
        stale: Whether to count the labels that differ from today's.

    Raises:
        QueryError: It has no predictions over the version.
    """
    chosen = choose(stores.graph, experiment, dataset)
    set_id = chosen.id
    if chosen.input is not None:
        return _judged_inputs(stores, chosen, dataset, stale)
    frozen = stores.columns.members(dataset)
    present = stores.columns.present(frozen)
    labeled = present.filter(_has_label(present.column("label")))
    places = pc.index_in(labeled.column("key"), stores.columns.predictions(set_id).column("key").combine_chunks())
    predicted = pc.is_valid(places)
    # By hand, since Arrow's join takes no columns of lists, as several labels are.
    predictions = stores.columns.predictions(set_id).take(places.filter(predicted)).select(["predicted", "wrong"])
    table = labeled.filter(predicted)
    for name in predictions.column_names:
        table = table.append_column(name, predictions.column(name))
    coverage = Coverage(
        frozen.num_rows,
        frozen.num_rows - present.num_rows,
        present.num_rows - labeled.num_rows,
        labeled.num_rows - table.num_rows,
        stale_labels(stores, dataset).num_rows if stale else 0,
    )
    return Judged(set_id, table, labeled.filter(pc.invert(predicted)), coverage, Input())


def _judged_inputs(stores: Stores, chosen: ReadySet, dataset: str, stale: bool) -> Judged:
    """The same where a prediction is of several images: a row an input, without those that lost an image."""
    what = Input.from_text(chosen.input)
    frozen = stores.columns.members(dataset)
    keys, labels = keys_of(frozen), frozen.column("label").to_pylist()
    stored, inputs = predicted_inputs(stores, chosen.id)
    own = labels_of_inputs(what, inputs, keys, labels, chosen.classes)
    gone = stores.columns.deleted()
    lost = np.zeros(len(inputs), bool)
    np.logical_or.at(lost, np.repeat(np.arange(len(inputs)), inputs.sizes), np.isin(inputs.keys, gone))
    kept = np.flatnonzero(~lost)
    place = {key: at for at, key in enumerate(keys.tolist())}
    kept = np.array(sorted(kept.tolist(), key=lambda at: place.get(int(inputs.first[at]), 0)), np.int64)
    every = pa.table(
        {
            "key": pa.array(inputs.first[kept]),
            "label": pa.chunked_array([pa.array([own[at] for at in kept.tolist()], frozen.column("label").type)]),
            "predicted": stored.column("predicted").take(pa.array(kept)),
            "wrong": stored.column("wrong").take(pa.array(kept)),
        }
    )
    table = every.filter(_has_label(every.column("label")))
    others = _without_prediction(stores, what, stores.columns.present(frozen), inputs.keys)
    unpredicted = others.filter(_has_label(others.column("label")))
    coverage = Coverage(
        len(inputs) + others.num_rows,
        int(lost.sum()),
        every.num_rows - table.num_rows + others.num_rows - unpredicted.num_rows,
        unpredicted.num_rows,
        stale_labels(stores, dataset).num_rows if stale else 0,
        "inputs",
    )
    return Judged(chosen.id, table, unpredicted, coverage, what)


def _without_prediction(stores: Stores, what: Input, present: pa.Table, predicted: NDArray[np.int64]) -> pa.Table:
    """``key`` and ``label`` of one image of each group that has no prediction; a labeled one, if there is one.

    Groups are those of today: a set does not keep what it left out.
    """
    keys = keys_of(present)
    try:
        groups = groups_of(stores, what, keys, "")[0]
    except OdinError:  # a field is gone, or has no value for some
        return present.filter(pa.array(~np.isin(keys, predicted)))
    known = {group for group, has in zip(groups, np.isin(keys, predicted).tolist(), strict=True) if has}
    labeled = _has_label(present.column("label")).to_pylist()
    first: dict[Any, int] = {}
    for at, group in enumerate(groups):
        if group not in known and (group not in first or (labeled[at] and not labeled[first[group]])):
            first[group] = at
    return present.take(pa.array(list(first.values()), pa.int64()))


def _has_label(labels: pa.ChunkedArray) -> pa.ChunkedArray:
    """Which labels are there; NaN is missing."""
    valid = pc.is_valid(labels)
    return pc.and_(valid, pc.invert(pc.is_nan(labels))) if pa.types.is_floating(labels.type) else valid


def _percent(share: float) -> str:
    """Never rounded to all or nothing."""
    text = f"{share:.1%}"
    return f"{share:.2g}" if text in ("0.0%", "100.0%") else text


def keys_of(table: pa.Table) -> NDArray[np.int64]:
    """The keys of its rows."""
    keys: NDArray[np.int64] = table.column("key").to_numpy()
    return keys
