"""`odin doctor`: graph, arrays and indexes checked against each other. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import get_args

from odin_graph.catalog import leases
from odin_graph.catalog.checks.datasets import check_datasets
from odin_graph.catalog.checks.fault import Fault
from odin_graph.catalog.checks.files import check_files
from odin_graph.catalog.checks.images import check_digests, live_images, tombstones
from odin_graph.catalog.checks.metadata import check_metadata
from odin_graph.catalog.checks.predictions import check_predictions
from odin_graph.catalog.checks.segments import all_segments, check_pixels, check_segments
from odin_graph.catalog.checks.stacks import check_stacks
from odin_graph.catalog.gc import collect_garbage
from odin_graph.catalog.purge import unfinished_purges
from odin_graph.catalog.stacks import Kind
from odin_graph.catalog.unfinished import PARENTS
from odin_graph.stores import Stores

_COUNTED = ("Image", "Dataset", "Experiment", "PredictionSet", "Prediction")


@dataclass(frozen=True)
class Report:
    """What was checked and what was found."""

    workspace: str
    checked: dict[str, int]
    """How many of each there are."""
    faults: tuple[Fault, ...]
    unfinished: tuple[str, ...]
    """Builds that a process is at work on, or left; no fault: the same call goes on with them."""
    garbage: int
    """Files that nothing names; no fault: `odin gc` removes them."""

    @property
    def sound(self) -> bool:
        """Whether no fault was found."""
        return not self.faults

    def __str__(self) -> str:
        """The report, in lines."""
        counts = ", ".join(f"{number:,} {name}" for name, number in self.checked.items())
        lines = [f"{self.workspace}: {'sound' if self.sound else f'{len(self.faults)} faults'} ({counts})."]
        lines += [f"- {fault}" for fault in self.faults]
        if self.unfinished:
            lines.append(f"Unfinished, to be gone on with by the same call: {', '.join(self.unfinished)}.")
        if self.garbage:
            lines.append(f"{self.garbage:,} files that nothing names: odin gc removes those that are old enough.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def examine(stores: Stores, *, deep: bool = False) -> Report:
    """Check the workspace.

    Args:
        stores: The open workspace.
        deep: Also read every pixel again and compare digests.
    """
    images = live_images(stores)
    faults = [
        *check_segments(stores),
        *check_pixels(stores, images, tombstones(stores)),
        *check_datasets(stores),
        *check_stacks(stores),
        *check_predictions(stores),
        *check_metadata(stores),
        *check_files(stores),
    ]
    if deep:
        faults += check_digests(stores, images)
    counts = {label: stores.graph.read(f"MATCH (n:{label}) RETURN count(n) AS n")[0]["n"] for label in _COUNTED}
    return Report(
        workspace=str(stores.address),
        checked={
            **{f"{label} nodes": number for label, number in counts.items()},
            "segments": len(all_segments(stores)),
        },
        faults=tuple(faults),
        unfinished=tuple(_unfinished(stores)),
        garbage=len(collect_garbage(stores, dry_run=True, grace=0.0).files),
    )


def _unfinished(stores: Stores) -> list[str]:
    found: list[str] = []
    for label in (*PARENTS, *get_args(Kind)):
        rows = stores.graph.read(f"MATCH (n:{label} {{state: 'building'}}) RETURN n.id AS id, {leases.FIELDS}")
        for row in rows:
            holder = leases.of_row(row)
            found.append(f"{label} {row['id']}" + (f" ({holder})" if holder is not None and holder.live else ""))
    return found + [f"the purge {id_} (any next purge goes on with it)" for id_ in unfinished_purges(stores)]
