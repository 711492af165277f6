"""`odin doctor`: check graph, arrays and indexes against each other. Only reads, unless it repairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from typing import TypeVar, get_args

from odin_graph.catalog.doctor.checks.counters import check_counters
from odin_graph.catalog.doctor.checks.creations import check_creations
from odin_graph.catalog.doctor.checks.datasets import check_datasets
from odin_graph.catalog.doctor.checks.fault import Fault, cleared
from odin_graph.catalog.doctor.checks.files import check_files
from odin_graph.catalog.doctor.checks.images import check_shapes, live_images, tombstones
from odin_graph.catalog.doctor.checks.labels import check_labels
from odin_graph.catalog.doctor.checks.metadata import check_metadata
from odin_graph.catalog.doctor.checks.nodes import check_nodes, check_parts, check_tombstones
from odin_graph.catalog.doctor.checks.origins import check_origins, check_roots, check_sets
from odin_graph.catalog.doctor.checks.owners import check_owners
from odin_graph.catalog.doctor.checks.predictions import check_predictions
from odin_graph.catalog.doctor.checks.properties import check_dates, check_operations, check_types, check_versions
from odin_graph.catalog.doctor.checks.segments import check_pixels, check_segments
from odin_graph.catalog.doctor.checks.sets import check_models, check_vector_sets
from odin_graph.catalog.doctor.checks.stacks import check_stacks
from odin_graph.catalog.doctor.deep import check_part, parts_of, read_again
from odin_graph.catalog.images.stacks import Kind
from odin_graph.catalog.purge.gc import collect_garbage
from odin_graph.catalog.purge.purge import unfinished_purges
from odin_graph.catalog.records import leases
from odin_graph.catalog.records.segments import all_segments
from odin_graph.catalog.records.unfinished import PARENTS
from odin_graph.errors import OdinError, TimeLimitError
from odin_graph.graph.kinds import added_kinds
from odin_graph.served import served_as, travels
from odin_graph.stores import Stores, hidden_texts

T = TypeVar("T")
_COUNTED = ("Image", "Dataset", "Experiment", "PredictionSet", "Prediction")


@travels
@dataclass(frozen=True)
class Report:
    """What was checked and what was found."""

    workspace: str
    checked: dict[str, int]
    """The number of things of each kind."""
    faults: tuple[Fault, ...]
    unfinished: tuple[str, ...]
    """Builds that a process is working on, or left. They are not faults: the same call continues them."""
    garbage: int
    """Files that nothing names. They are not faults: `odin gc` removes them."""
    repaired: tuple[str, ...] = ()
    """What was repaired before this check."""

    @property
    def sound(self) -> bool:
        """Whether no fault was found."""
        return not self.faults

    def __str__(self) -> str:
        """The report, in lines."""
        counts = ", ".join(f"{number:,} {name}" for name, number in self.checked.items())
        lines = [f"{self.workspace}: {'sound' if self.sound else f'{len(self.faults)} faults'} ({counts})."]
        lines += [f"- {fault}" for fault in self.faults]
        lines += [f"Repaired: {what}" for what in self.repaired]
        if self.unfinished:
            lines.append(f"Unfinished, to be gone on with by the same call: {', '.join(self.unfinished)}.")
        if self.garbage:
            lines.append(f"{self.garbage:,} files that nothing names: odin gc removes those that are old enough.")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _examined_for_others(stores: Stores) -> Report:
    report, hidden = examined(stores), hidden_texts(stores)
    return replace(report, workspace="", faults=tuple(cleared(fault, hidden) for fault in report.faults))


@served_as(_examined_for_others)
def examined(stores: Stores) -> Report:
    """The report of everything but the content of arrays and files."""
    return examine(stores)


def examine(stores: Stores, *, deep: bool = False, repair: bool = False, progress: bool = False) -> Report:
    """Check the workspace. A check that cannot run is reported as a fault.

    Args:
        stores: The open workspace.
        deep: Also read every pixel and every file again, and compare digests.
        repair: First repair what can be made again from data stored elsewhere, then check again.
        progress: Show a progress bar while it reads.

    Raises:
        WorkspaceError: The folder was moved or deleted since it was opened.
        StoreError: The object store of the arrays cannot be reached, which says nothing about the arrays.
        TimeLimitError: The context has a limit, and it takes longer.
    """
    stores.graph.check_place()
    stores.arrays.raw.reach()
    faults = _faults(stores, deep, progress)
    repaired = tuple(_repair(faults)) if repair else ()
    if repaired:
        faults = _faults(stores, deep, progress)
    added: list[str] = _value_or([], lambda: list(added_kinds(stores.graph)))
    counts = {label: _value_or(0, partial(_count, stores, label)) for label in (*_COUNTED, *added)}
    return Report(
        workspace=str(stores.address),
        checked={
            **{f"{label} nodes": number for label, number in counts.items()},
            "segments": _value_or(0, lambda: len(all_segments(stores))),
        },
        faults=faults,
        unfinished=_value_or((), lambda: tuple(_unfinished(stores))),
        garbage=_value_or(0, lambda: len(collect_garbage(stores, dry_run=True, grace=0.0).files)),
        repaired=repaired,
    )


def _faults(stores: Stores, deep: bool, progress: bool) -> tuple[Fault, ...]:
    found = list(_short(stores, deep=deep))
    if deep:
        found += read_again(partial(parts_of, stores), partial(check_part, stores), progress=progress)
    return tuple(dict.fromkeys(found))


def _short(stores: Stores, *, deep: bool) -> Iterator[Fault]:
    checks: dict[str, Callable[[], Iterable[Fault]]] = {
        "nodes": lambda: check_nodes(stores),
        "parts": lambda: check_parts(stores),
        "dates": lambda: check_dates(stores),
        "properties": lambda: check_types(stores, deep=deep),
        "versions": lambda: check_versions(stores),
        "operations": lambda: check_operations(stores),
        "tombstones": lambda: check_tombstones(stores),
        "creations": lambda: check_creations(stores),
        "counters": lambda: check_counters(stores),
        "lineage": lambda: check_origins(stores),
        "activations": lambda: check_sets(stores),
        "roots": lambda: check_roots(stores),
        "owners of arrays": lambda: check_owners(stores),
        "segments": lambda: check_segments(stores),
        "pixels": lambda: check_pixels(stores, live_images(stores), tombstones(stores)),
        "shapes of images": lambda: check_shapes(stores),
        "data sets": lambda: check_datasets(stores),
        "labels": lambda: check_labels(stores),
        "volumes and videos": lambda: check_stacks(stores),
        "models": lambda: check_models(stores),
        "predictions": lambda: check_predictions(stores),
        "vector sets": lambda: check_vector_sets(stores),
        "metadata": lambda: check_metadata(stores),
        "files": lambda: check_files(stores),
    }
    for name, check in checks.items():
        try:
            yield from check()
        except TimeLimitError:
            raise  # of a server: it says nothing about the workspace
        except Exception as error:  # noqa: BLE001 - whatever a damaged graph contains, the other checks continue
            reason = str(error).strip().rstrip(".") or type(error).__name__
            yield Fault(
                name,
                f"They cannot be checked: {reason}.",
                "Mend the other faults first; where there is none, restore the workspace from a backup.",
            )


def _repair(faults: Iterable[Fault]) -> Iterator[str]:
    for fault in faults:
        if fault.mend is not None:
            try:
                yield fault.mend()
            except OdinError as error:
                yield f"{fault.thing} could not be repaired: {error}"


def _value_or(default: T, call: Callable[[], T]) -> T:
    """The result of a call; the default if it fails because of a fault, which the report lists."""
    try:
        return call()
    except TimeLimitError:
        raise
    except Exception:  # noqa: BLE001 - as above
        return default


def _count(stores: Stores, label: str) -> int:
    return int(stores.graph.read(f"MATCH (n:{label}) RETURN count(n) AS n")[0]["n"])


def _unfinished(stores: Stores) -> list[str]:
    found: list[str] = []
    for label in (*PARENTS, *get_args(Kind)):
        rows = stores.graph.read(f"MATCH (n:{label} {{state: 'building'}}) RETURN n.id AS id, {leases.FIELDS}")
        for row in rows:
            holder = leases.of_row(row)
            found.append(f"{label} {row['id']}" + (f" ({holder})" if holder is not None and holder.live else ""))
    return found + [f"the purge {id_} (the next purge finishes it)" for id_ in unfinished_purges(stores)]
