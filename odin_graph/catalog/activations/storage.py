"""How much space activation sets may take: the budget, pinned sets, and which sets are dropped for more space.

Nothing is lost for good: a dropped set is computed again when it is needed.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from contextlib import ExitStack, suppress
from typing import Final

from odin_graph.catalog.activations.reading import reading, turn, unread
from odin_graph.catalog.activations.stored_sets import StoredSet, least_useful_first, stored_sets, to_drop
from odin_graph.catalog.records.deletion import delete
from odin_graph.errors import ConflictError, OdinError, QueryError, SpaceError, UnknownNameError
from odin_graph.schema.kinds import undeleted
from odin_graph.stores import Stores

__all__ = [
    "StoredSet",
    "budget_of",
    "human_size",
    "keep_to_budget",
    "least_useful_first",
    "make_room",
    "pin",
    "reading",
    "set_budget",
    "stored_sets",
    "to_drop",
    "unpin",
]

_MOST: Final = 2**63 - 1
"""The largest integer of the graph."""

_log = logging.getLogger(__name__)


def budget_of(stores: Stores) -> int | None:
    """The bytes that all activation sets together may take; None for no budget."""
    (row,) = stores.graph.read("MATCH (w:Workspace) RETURN w.odin_budget AS budget")
    return None if row["budget"] is None else int(row["budget"])


def set_budget(stores: Stores, budget: int | None) -> None:
    """Set how many bytes all activation sets together may take. Nothing is dropped before space is needed.

    Raises:
        QueryError: It is negative or too large.
    """
    if budget is not None and not 0 <= budget <= _MOST:
        raise QueryError(f"A budget of {budget} bytes makes no sense: give 0 or more, or None for no budget.")
    stores.graph.write("MATCH (w:Workspace) SET w.odin_budget = $budget", {"budget": budget})


def pin(stores: Stores, set_id: str) -> None:
    """Keep a set, however large it is, until it is unpinned or deleted.

    Raises:
        UnknownNameError: There is no such set; lists those there are.
    """
    _set_pinned(stores, set_id, True)


def unpin(stores: Stores, set_id: str) -> None:
    """Allow a set to be dropped again; no effect if it is not pinned.

    Raises:
        UnknownNameError: There is no such set; lists those there are.
    """
    _set_pinned(stores, set_id, None)


def make_room(stores: Stores, needed: int, *, spare: Collection[str] = ()) -> bool:
    """Make room for new activations by dropping less useful sets; return whether they may be stored.

    Within a budget the fewest sets that are least useful per byte are dropped, never one that is pinned, that a live
    process adds to, or that a process of this machine reads in `reading`. (If the graph is a server, processes of other
    machines may read; they can continue, since `odin gc` spares the files for an hour. A process that reaches an
    embedded engine as if it were a server has another cache, and is not seen.) Nothing is dropped if that would not be
    enough. Without a budget nothing is dropped, and half of the free disk space must remain free.

    Two processes that call this at once take turns, but do not know what the other will write: together they may
    exceed the budget until space is needed the next time.

    Args:
        stores: The open workspace.
        needed: Bytes.
        spare: Ids of sets that stay.
    """
    budget, free = budget_of(stores), _free(stores)
    if budget is None:
        return free is None or needed <= free // 2
    at_once = _is_local(stores)
    with turn(stores), ExitStack() as locks:
        sets, spared, locked = stored_sets(stores), set(spare), set[str]()
        while True:
            excess = sum(stored.bytes for stored in sets) + needed - budget
            chosen = to_drop(sets, excess, spared)
            if chosen is None:
                return False
            if free is not None and needed > free + (sum(stored.bytes for stored in chosen) if at_once else 0):
                return False
            # Lock all of them before the first is dropped: without those that are read the rest may be too little.
            requested = [stored.id for stored in chosen if stored.id not in locked]
            locked |= {set_id for set_id in requested if locks.enter_context(unread(stores, set_id))}
            if refused := set(requested) - locked:
                spared |= refused
                continue
            dropped = {stored.id for stored in chosen if _drop(stores, stored, budget)}
            if len(dropped) == len(chosen):
                return True
            spared |= {stored.id for stored in chosen} - dropped  # a process began to add to it
            sets = [stored for stored in sets if stored.id not in dropped]
            free = _free(stores)


def keep_to_budget(stores: Stores, needed: int, *, spare: Collection[str] = ()) -> None:
    """Like `make_room`, for what a user explicitly stores: only a budget can refuse that.

    Raises:
        SpaceError: The budget is too small, even after everything that may be dropped is dropped.
    """
    budget = budget_of(stores)
    if budget is not None and not make_room(stores, needed, spare=spare):
        raise SpaceError(
            f"Storing this takes up to {human_size(needed)}, which the budget of {human_size(budget)} does not leave "
            "beside what is pinned, read or written. Nothing was run: raise db.storage.budget, unpin something, or ask "
            "for fewer images or layers."
        )


def human_size(number: int) -> str:
    """A number of bytes for people, in powers of ten: ``1.2 GB``."""
    for power, unit in ((5, "PB"), (4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if number >= 1000**power:
            return f"{number / 1000**power:,.1f} {unit}"
    return f"{number} B"


def _drop(stores: Stores, stored: StoredSet, budget: int) -> bool:
    """Delete a set; False if a process has begun to add to it."""
    try:
        why = f"room for other activations, within {human_size(budget)}"
        report = delete(stores, "ActivationSet", [stored.id], why=why)
    except UnknownNameError:  # an abandoned build that `odin gc` removed
        return True
    except ConflictError as error:
        _log.info("%s stays: %s", stored.id, error)
        return False
    _log.info(
        "%s went to make room: %s of %s, %s of %s images, asked %d times, %.1f s to compute again",
        stored.id,
        stored.layer,
        ", ".join(stored.checkpoints) or "no checkpoint",
        human_size(stored.bytes),
        f"{stored.images:,}",
        stored.usage.asked,
        stored.seconds,
    )
    if report.id:
        _remove_files(stores, report.id)
    return True


def _remove_files(stores: Stores, deletion: str) -> None:
    """Remove the files of deleted sets and their cached copies on this machine; `odin gc` removes the rest."""
    (row,) = stores.graph.read("MATCH (x:Deletion {id: $id}) RETURN x.files AS files", {"id": deletion})
    for uri in row["files"] or ():
        name = uri.rpartition("/")[2].partition(".")[0]
        for cached in stores.cache.glob(f"*/{name}*"):  # every cache names its files by segment
            with suppress(OSError):
                if cached.is_dir():
                    shutil.rmtree(cached)
                else:
                    cached.unlink()
        if _is_local(stores):
            try:
                stores.arrays.remove(uri)
            except OdinError:
                _log.warning("%s could not be removed: odin gc will.", uri, exc_info=True)


def _is_local(stores: Stores) -> bool:
    """Whether all readers are on this machine: the graph engine is the embedded one."""
    return stores.address.folder is not None


def _free(stores: Stores) -> int | None:
    """Free bytes on the disk of the arrays; None for an object store."""
    local = stores.arrays.raw.local
    return None if local is None else shutil.disk_usage(local).free


def _set_pinned(stores: Stores, set_id: str, pinned: bool | None) -> None:
    with turn(stores):  # no set is pinned while another process chooses what to drop
        rows = stores.graph.write(
            f"MATCH (s:ActivationSet {{id: $id}}) WHERE {undeleted('s')} SET s.odin_pinned = $pinned RETURN s.id AS id",
            {"id": set_id, "pinned": pinned},
        )
    if not rows:
        existing = stores.graph.read(f"MATCH (s:ActivationSet) WHERE {undeleted('s')} RETURN s.id AS id")
        raise UnknownNameError.of("activation set", set_id, (row["id"] for row in existing))
