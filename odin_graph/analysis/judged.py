"""The predictions to measure: those of an experiment for the labeled members that are not deleted.

Results, comparisons, leaderboards and tables all begin here, so that all of them count the same images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.catalog.images.stale_labels import stale_labels
from odin_graph.errors import CoverageWarning
from odin_graph.query.names.prediction_sets import choose
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
                f"{self.measured:,} of {self.labeled:,} labeled images {what} "
                f"(coverage {_percent(self.share)}): the others count neither as right nor as wrong"
            )
        if self.deleted:
            notes.append(f"{self.deleted:,} of {self.members:,} members were deleted since, and are left out")
        if self.unlabeled:
            notes.append(f"{self.unlabeled:,} images have no label, and are left out")
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
            part = f"{self.measured:,} of {self.labeled:,} labeled images (coverage {_percent(self.share)})"
            text = f"{who} over {part}: the figures are of these alone. Predict the rest to compare them with others."
            warn(text, CoverageWarning)


@dataclass(frozen=True, eq=False)
class Judged:
    """The predictions of an experiment over the labeled members of a version, in the version's order."""

    set_id: str
    """The prediction set that speaks for it."""
    table: pa.Table
    """``key``, ``label``, ``predicted`` and ``wrong``, a row an image with both."""
    unpredicted: pa.Table
    """``key`` and ``label`` of the labeled images without a prediction."""
    coverage: Coverage


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
    set_id = choose(stores.graph, experiment, dataset).id
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
    return Judged(set_id, table, labeled.filter(pc.invert(predicted)), coverage)


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
