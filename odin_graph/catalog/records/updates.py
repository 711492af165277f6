"""Update metadata of existing things: all values are checked before any is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from odin_graph.catalog.records.fields import NewValues
from odin_graph.catalog.records.own_fields import (
    Ends,
    check_ends,
    check_replaced,
    encode_own,
    own_fields,
    replace_links,
)
from odin_graph.errors import ConflictError, DataError, MetadataError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.journal import Touched
from odin_graph.graph.kinds import kind_of
from odin_graph.graph.writer import BATCH, batches, quoted
from odin_graph.schema.kinds import KINDS, Kind, key_of, undeleted
from odin_graph.schema.metadata import plain
from odin_graph.schema.reserved import check_name
from odin_graph.stores import Stores

Missing: TypeAlias = Literal["keep", "remove"]

AT_ONCE: Final = 50_000
"""At most so many things are updated in one transaction, all or none; more are written in batches."""
_SHOWN: Final = 5


@dataclass(frozen=True)
class UpdateReport:
    """What an update did."""

    updated: int
    """How many things were given values."""
    fields: tuple[str, ...]

    def __str__(self) -> str:
        """One line."""
        return f"{self.updated:,} updated: {', '.join(self.fields) or 'no field'}"


def update_metadata(
    stores: Stores,
    kind: str,
    things: Sequence[Any],
    columns: Mapping[str, Sequence[Any]],
    *,
    missing: Missing = "keep",
    links: Ends | None = None,
) -> UpdateReport:
    """Set metadata of many things at once, of kinds that packages add their fields and links, too.

    Names and types of all values are checked first. Up to `AT_ONCE` things are then one transaction: everything is
    stored or nothing. More are stored in batches; an interrupted call can be repeated.

    Args:
        stores: The open workspace.
        kind: The kind of the things, one that takes metadata or that a package adds.
        things: The keys of images, the ids of the others; each once.
        columns: The values by name, one for each thing.
        missing: What a missing value (None, NaN, NaT, NA) does: ``"keep"`` keeps the existing value, ``"remove"``
            removes it.
        links: What the things are connected to from now on.

    Raises:
        MetadataError: A reserved name, or a type that conflicts; nothing is written.
        DataError: A thing twice, or columns of other lengths.
        UnknownNameError: A thing that does not exist, or was deleted; nothing is written.
    """
    if missing not in ("keep", "remove"):
        raise DataError(f'missing={missing!r} is not known: give "keep" or "remove".')
    entry, links = kind_of(stores.graph, kind), links or {}
    own = {name: column for name, column in columns.items() if name in own_fields(entry)}
    free = {name: column for name, column in columns.items() if name not in own}
    _check(entry, things, columns, free)
    check_replaced(entry, links)
    check_ends(stores, entry, links)
    values, fixed = NewValues.of(entry, free), _own(entry, own, missing)
    names = [*(free if missing == "remove" else values.columns), *fixed]
    changed = [*names, *links]
    if len(things) > AT_ONCE:  # a single transaction checks this by itself
        _check_existing(stores, kind, things)
    for start in range(0, len(things) if changed else 0, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        _write(
            stores,
            entry,
            things[part],
            names,
            values.part(part),
            {name: column[part] for name, column in fixed.items()},
            {name: ends[part] for name, ends in links.items()},
            missing,
        )
    return UpdateReport(len(things) if changed else 0, tuple(changed))


def _own(kind: Kind, columns: Mapping[str, Sequence[Any]], missing: Missing) -> dict[str, list[Any]]:
    """The values of own fields as they are stored; None keeps or removes."""
    if missing == "remove":
        return encode_own(kind, columns)
    given = {name: [value for value in column if plain(value) is not None] for name, column in columns.items()}
    stored = {name: iter(column) for name, column in encode_own(kind, given).items()}
    return {
        name: [None if plain(value) is None else next(stored[name]) for value in column]
        for name, column in columns.items()
    }


def existing(stores: Stores, kind: str, things: Iterable[Any]) -> set[Any]:
    """The things that exist and are not deleted."""
    match = f"UNWIND $things AS thing MATCH (n:{kind} {{{key_of(kind)}: thing}}) WHERE {undeleted()}"
    found: set[Any] = set()
    for part in batches(things):
        found.update(stores.graph.read(f"{match} RETURN collect(thing) AS present", {"things": part})[0]["present"])
    return found


def _check(
    kind: Kind, things: Sequence[Any], columns: Mapping[str, Sequence[Any]], free: Mapping[str, Sequence[Any]]
) -> None:
    for name, column in columns.items():
        if kind.label == "Image" and name == "label":
            raise MetadataError(
                "A label is corrected with db.labels.update(...), which keeps its history; update() is for metadata."
            )
        if name in kind.links and kind.label not in KINDS:
            raise MetadataError(f"{kind.label}.{name} is a link: update() of one thing, or a table of things, sets it.")
        if name in free:
            check_name(kind, name)
        if len(column) != len(things):
            raise DataError(f"There are {len(things)} things to update, and {len(column)} values of {name!r}.")
    if len(set(things)) != len(things):
        seen: set[Any] = set()
        twice = [thing for thing in things if thing in seen or seen.add(thing)]  # type: ignore[func-returns-value]
        raise DataError(
            f"{len(twice)} things are in the update twice, first {', '.join(map(repr, twice[:_SHOWN]))}: "
            "give one row each."
        )


def _check_existing(stores: Stores, kind: str, things: Sequence[Any]) -> None:
    known = existing(stores, kind, things)
    if absent := [thing for thing in things if thing not in known]:
        word = kind_of(stores.graph, kind).word
        listed = ", ".join(map(repr, absent[:_SHOWN]))
        raise UnknownNameError(
            f"{len(absent)} of {len(things)} {word}s do not exist in this workspace, or were deleted, first {listed}. "
            "Nothing was changed: correct them, or leave them out."
        )


def _write(
    stores: Stores,
    kind: Kind,
    things: Sequence[Any],
    names: Sequence[str],
    values: NewValues,
    own: Mapping[str, Sequence[Any]],
    links: Ends,
    missing: Missing,
) -> None:
    # Plain assignment if every thing has a value: a third faster than coalesce.
    overwrite = [
        missing == "remove" or not any(plain(value) is None for value in {**values.columns, **own}[name])
        for name in names
    ]
    assignments = {True: "n.{0} = r.{0}", False: "n.{0} = coalesce(r.{0}, n.{0})"}
    sets = ", ".join(assignments[all_].format(quoted(name)) for name, all_ in zip(names, overwrite, strict=True))
    match = f"UNWIND $rows AS r MATCH (n:{kind.label} {{{kind.key}: r.odin_by}}) WHERE {undeleted()}"
    cypher = f"{match} {f'SET {sets} ' if sets else ''}RETURN count(n) AS n"

    def write(tx: Transaction) -> None:
        found = 0
        rows = values.record(tx, len(things))
        # Every row names every field: a statement is compiled once, and a map without a name reads as null.
        for place, (thing, row) in enumerate(zip(things, rows, strict=True)):
            row["odin_by"] = thing.item() if isinstance(thing, np.generic) else thing
            row |= {name: column[place] for name, column in own.items()}
        for batch in batches(rows, BATCH):
            touched = Touched.things(kind.label, (row["odin_by"] for row in batch), names)
            found += tx.run(cypher, {"rows": batch}, touched)[0]["n"]
        if found != len(things):
            raise ConflictError(
                f"{len(things) - found} of {len(things)} things were deleted while they were being updated; "
                "nothing of this batch was stored. Leave them out and call again."
            )
        replace_links(tx, kind, things, links)

    try:
        stores.graph.execute(write)
    except ConflictError:
        _check_existing(stores, kind.label, things)  # says which do not exist
        raise


def constant(value: Any, number: int) -> list[Any]:
    """The same value for every thing; None for a missing value."""
    return [plain(value)] * number
