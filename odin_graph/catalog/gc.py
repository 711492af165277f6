"""What no live node names is garbage: files of broken writers, of compactions, of parents that were abandoned."""

from __future__ import annotations

from dataclasses import dataclass, field

from odin_graph.arrays import StoredFile
from odin_graph.catalog import leases
from odin_graph.catalog.unfinished import PARENTS, remove_unfinished
from odin_graph.stores import Stores

GRACE_SECONDS = 3_600.0
"""A younger file may be one that its writer is about to name."""
ABANDONED_SECONDS = 7 * 86_400.0
"""An unfinished parent is kept so long, for the same call to go on with it."""


@dataclass(frozen=True)
class Collected:
    """What was removed, or would be."""

    dry_run: bool
    files: tuple[StoredFile, ...]
    parents: tuple[str, ...]
    """Ids of unfinished parents that were abandoned."""
    spared: tuple[str, ...] = field(default=())
    """Unfinished parents that were left: live, or younger than seven days."""

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
        abandoned_after: Seconds for which an unfinished parent is kept after its writer was last heard of.
    """
    parents: list[str] = []
    spared: list[str] = []
    for label in PARENTS:
        for row in stores.graph.read(_UNFINISHED.format(label=label, lease=leases.FIELDS), {"after": abandoned_after}):
            holder = leases.of_row(row)
            if row["abandoned"] and not (holder is not None and holder.live):
                parents.append(row["id"])
                if not dry_run:
                    remove_unfinished(stores, label, row["id"])
            else:
                spared.append(row["id"])
    named = named_uris(stores)
    files = tuple(
        file for file in stores.arrays.files() if file.uri not in named and file.age >= grace
    )
    if not dry_run:
        for file in files:
            stores.arrays.remove(file.uri)
    return Collected(dry_run, files, tuple(parents), tuple(spared))
