"""Garbage is what no live node names: files of broken writers, of compactions, and of abandoned builds."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from odin_graph.arrays import StoredFile, keys_uri
from odin_graph.catalog.records import leases
from odin_graph.catalog.records.named_files import named_files
from odin_graph.catalog.records.segments import all_segments
from odin_graph.catalog.records.unfinished import PARENTS, remove_unfinished
from odin_graph.schema.properties import now
from odin_graph.stores import Stores

GRACE_SECONDS = 3_600.0
"""A younger file may be one that its writer will name soon."""
ABANDONED_SECONDS = 7 * 86_400.0
"""An unfinished parent is kept this long, so that the same call can continue."""

# With a lease its end counts, so that a long build is not old because of its start.
_UNFINISHED = f"""
MATCH (n:{{label}} {{{{state: 'building'}}}})
RETURN n.id AS id, {leases.FIELDS},
       coalesce(n.lease_until < timestamp() / 1000.0 - $seconds, n.created_at < $before, true) AS old
"""


@dataclass(frozen=True)
class Collected:
    """What was removed, or would be removed."""

    dry_run: bool
    files: tuple[StoredFile, ...]
    parents: tuple[str, ...]
    """The ids of unfinished builds that were abandoned."""
    spared: tuple[str, ...] = field(default=())
    """The unfinished builds that were kept: live, or younger than seven days."""

    @property
    def bytes(self) -> int:
        """The size of the files."""
        return sum(file.bytes for file in self.files)

    def __str__(self) -> str:
        """What happened, in lines."""
        done = "Would remove" if self.dry_run else "Removed"
        lines = [f"{done} {len(self.files):,} files ({self.bytes / 2**20:,.1f} MiB) that nothing names."]
        if self.parents:
            lines.append(f"{done} {len(self.parents)} abandoned builds: {', '.join(self.parents)}.")
        if self.spared:
            lines.append(f"Spared {len(self.spared)} unfinished builds: {', '.join(self.spared)}.")
        return "\n".join(lines)


def collect_garbage(
    stores: Stores,
    *,
    dry_run: bool = False,
    grace: float = GRACE_SECONDS,
    abandoned_after: float = ABANDONED_SECONDS,
) -> Collected:
    """Remove abandoned parents, then the files that no node names.

    Args:
        stores: The open workspace.
        dry_run: Only say what would be removed.
        grace: Seconds for which a file is spared after it was written.
        abandoned_after: Seconds for which an unfinished parent is kept after the last sign of its writer.
    """
    parents, spared = _sort_parents(stores, abandoned_after)
    if not dry_run:
        for label, id_ in parents:
            remove_unfinished(stores, label, id_)
    # Listed before the names are read, so that a file written in between is not in the list.
    old = [file for file in stores.arrays.files() if file.age >= grace]
    named = named_uris(stores) | _recently_deleted(stores, grace)
    garbage = tuple(file for file in old if file.uri not in named)
    if not dry_run:
        for file in garbage:
            stores.arrays.remove(file.uri, unless_younger=grace)
        stores.graph.write(
            "MATCH (x:Deletion) WHERE x.files IS NOT NULL AND x.state IS NULL AND x.at < $since SET x.files = null",
            {"since": now() - timedelta(seconds=grace)},
        )
    return Collected(dry_run, garbage, tuple(id_ for _, id_ in parents), spared)


def named_uris(stores: Stores) -> set[str]:
    """Every file that a node names."""
    named = {file.uri for file in named_files(stores)}
    for info in all_segments(stores):
        named |= {info.uri, keys_uri(info.keys)}
    return named


def _recently_deleted(stores: Stores, grace: float) -> set[str]:
    """The files of recently deleted activation sets, which somebody may still be reading."""
    rows = stores.graph.read(
        "MATCH (x:Deletion) WHERE x.files IS NOT NULL AND x.state IS NULL AND x.at >= $since "
        "UNWIND x.files AS uri RETURN uri",
        {"since": now() - timedelta(seconds=grace)},
    )
    return {row["uri"] for row in rows}


def _sort_parents(stores: Stores, abandoned_after: float) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """The abandoned unfinished parents, by label and id, and the ids of the others."""
    abandoned: list[tuple[str, str]] = []
    spared: list[str] = []
    before = now() - timedelta(seconds=abandoned_after)
    for label in PARENTS:
        for row in stores.graph.read(_UNFINISHED.format(label=label), {"before": before, "seconds": abandoned_after}):
            holder = leases.of_row(row)
            if row["old"] and not (holder is not None and holder.live):
                abandoned.append((label, str(row["id"])))
            else:
                spared.append(str(row["id"]))
    return abandoned, tuple(spared)
