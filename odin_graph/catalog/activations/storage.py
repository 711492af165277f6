"""How much room activation sets may take: the budget, what is pinned, and what goes when more room is needed.

Nothing that is stored here is lost for good: a set that went is computed again when it is asked for.
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
from odin_graph.stores import Stores

__all__ = [
    "StoredSet",
    "budget_of",
    "keep_to_budget",
    "least_useful_first",
    "make_room",
    "pin",
    "reading",
    "set_budget",
    "stored_sets",
    "to_drop",
    "told_bytes",
    "unpin",
]

_MOST: Final = 2**63 - 1
"""What the graph can hold."""

_log = logging.getLogger(__name__)


def budget_of(stores: Stores) -> int | None:
    """The bytes that all activation sets together may take; None where nobody said."""
    (row,) = stores.graph.read("MATCH (w:Workspace) RETURN w.odin_budget AS budget")
    return None if row["budget"] is None else int(row["budget"])


def set_budget(stores: Stores, budget: int | None) -> None:
    """Say how many bytes all activation sets together may take. Nothing goes before room is needed.

    Raises:
        QueryError: It is less than nothing, or more than there can be.
    """
    if budget is not None and not 0 <= budget <= _MOST:
        raise QueryError(f"A budget of {budget} bytes makes no sense: give 0 or more, or None for no budget.")
    stores.graph.write("MATCH (w:Workspace) SET w.odin_budget = $budget", {"budget": budget})


def pin(stores: Stores, set_id: str) -> None:
    """Keep a set, whatever room it takes, until it is unpinned or deleted.

    Raises:
        UnknownNameError: There is no such set; lists those there are.
    """
    _set_pinned(stores, set_id, True)


def unpin(stores: Stores, set_id: str) -> None:
    """Let a set go again when room is needed; nothing happens where it is not pinned.

    Raises:
        UnknownNameError: There is no such set; lists those there are.
    """
    _set_pinned(stores, set_id, None)


def make_room(stores: Stores, needed: int, *, spare: Collection[str] = ()) -> bool:
    """Whether so many further bytes of activations may be stored, after sets went that are worth less.

    Within a budget the least useful sets by byte go, as few as do. Never what is pinned, what a live process adds to,
    or what is read: by a process of this machine that said so with `reading`. (Where the graph is a server, processes
    of other machines may read; they go on, since the files are left to `odin gc`, which spares them for an hour. A
    process that reaches an embedded engine as if it were a server has another cache, and is not seen.)
    Nothing goes where that would not be enough. Without a budget nothing ever goes, and half of the disk that is free
    now has to remain free.

    Two processes that ask at once take turns, and neither knows what the other is about to write: together they may
    be over the budget, until room is needed the next time.

    Args:
        stores: The open workspace.
        needed: Bytes.
        spare: Ids of sets that stay.
    """
    budget, free = budget_of(stores), _free(stores)
    if budget is None:
        return free is None or needed <= free // 2
    at_once = _here(stores)
    with turn(stores), ExitStack() as locks:
        sets, kept, alone = stored_sets(stores), set(spare), set[str]()
        while True:
            over = sum(one.bytes for one in sets) + needed - budget
            chosen = to_drop(sets, over, kept)
            if chosen is None:
                return False
            if free is not None and needed > free + (sum(one.bytes for one in chosen) if at_once else 0):
                return False
            # All of them are ours before the first one goes: what is read may leave too little.
            asked = [one.id for one in chosen if one.id not in alone]
            alone |= {set_id for set_id in asked if locks.enter_context(unread(stores, set_id))}
            if refused := set(asked) - alone:
                kept |= refused
                continue
            gone = {one.id for one in chosen if _drop(stores, one, budget)}
            if len(gone) == len(chosen):
                return True
            kept |= {one.id for one in chosen} - gone  # a process began to add to it
            sets = [one for one in sets if one.id not in gone]
            free = _free(stores)


def keep_to_budget(stores: Stores, needed: int, *, spare: Collection[str] = ()) -> None:
    """As `make_room`, for what a user asked to have stored: only a budget stands against that.

    Raises:
        SpaceError: There is a budget, and what may go leaves too little of it.
    """
    budget = budget_of(stores)
    if budget is not None and not make_room(stores, needed, spare=spare):
        raise SpaceError(
            f"Storing this takes up to {told_bytes(needed)}, which the budget of {told_bytes(budget)} does not leave "
            "beside what is pinned, read or written. Nothing was run: raise db.storage.budget, unpin something, or ask "
            "for fewer images or layers."
        )


def told_bytes(number: int) -> str:
    """As a person reads it, in powers of ten: ``1.2 GB``."""
    for power, unit in ((5, "PB"), (4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if number >= 1000**power:
            return f"{number / 1000**power:,.1f} {unit}"
    return f"{number} B"


def _drop(stores: Stores, one: StoredSet, budget: int) -> bool:
    """Whether a set is gone; False where a process has begun to add to it."""
    try:
        why = f"room for other activations, within {told_bytes(budget)}"
        report = delete(stores, "ActivationSet", [one.id], why=why)
    except UnknownNameError:  # an abandoned build that `odin gc` removed
        return True
    except ConflictError as error:
        _log.info("%s stays: %s", one.id, error)
        return False
    _log.info(
        "%s went to make room: %s of %s, %s of %s images, asked %d times, %.1f s to compute again",
        one.id,
        one.layer,
        ", ".join(one.checkpoints) or "no checkpoint",
        told_bytes(one.bytes),
        f"{one.images:,}",
        one.usage.asked,
        one.seconds,
    )
    if report.id:
        _remove_files(stores, report.id)
    return True


def _remove_files(stores: Stores, deletion: str) -> None:
    """Remove what held sets, and what this machine's caches hold of it; what cannot be removed is left to `odin gc`."""
    (row,) = stores.graph.read("MATCH (x:Deletion {id: $id}) RETURN x.files AS files", {"id": deletion})
    for uri in row["files"] or ():
        name = uri.rpartition("/")[2].partition(".")[0]
        for cached in stores.cache.glob(f"*/{name}*"):  # every cache names what it holds by segment
            with suppress(OSError):
                if cached.is_dir():
                    shutil.rmtree(cached)
                else:
                    cached.unlink()
        if _here(stores):
            try:
                stores.arrays.remove(uri)
            except OdinError:
                _log.warning("%s could not be removed: odin gc will.", uri, exc_info=True)


def _here(stores: Stores) -> bool:
    """Whether all who read are on this machine: the graph's engine runs beside the folder."""
    return stores.address.folder is not None


def _free(stores: Stores) -> int | None:
    """Bytes that are free where the arrays are; None in an object store."""
    local = stores.arrays.raw.local
    return None if local is None else shutil.disk_usage(local).free


def _set_pinned(stores: Stores, set_id: str, pinned: bool | None) -> None:
    with turn(stores):  # what is being chosen from now is as it was when it was looked at
        rows = stores.graph.write(
            "MATCH (s:ActivationSet {id: $id}) WHERE s.deleted IS NULL SET s.odin_pinned = $pinned RETURN s.id AS id",
            {"id": set_id, "pinned": pinned},
        )
    if not rows:
        known = stores.graph.read("MATCH (s:ActivationSet) WHERE s.deleted IS NULL RETURN s.id AS id")
        raise UnknownNameError.of("activation set", set_id, (row["id"] for row in known))
