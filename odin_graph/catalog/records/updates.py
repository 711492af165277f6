"""Metadata of things that are there: checked as a whole by the metadata rules before anything of it is written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from odin_graph.catalog.records.fields import NewValues
from odin_graph.errors import ConflictError, DataError, MetadataError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.writer import BATCH, batches, quoted
from odin_graph.schema.metadata import plain
from odin_graph.schema.reserved import check_name
from odin_graph.stores import Stores

Missing: TypeAlias = Literal["keep", "remove"]

AT_ONCE: Final = 50_000
"""So many things are updated in one transaction, all or none; more are written batch by batch."""
_SHOWN: Final = 5
_TELLS: Final = {"Image": "key"}
"""The property by which a node of a kind is found; the others by their id."""
_WORDS: Final = {"PredictionSet": "prediction set", "ActivationSet": "activation set", "Dataset": "data set version"}


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
) -> UpdateReport:
    """Set metadata of many things at once.

    Names and types of all values are checked first. Up to `AT_ONCE` things are then one transaction: all of it is
    stored or nothing. More are stored batch by batch; an interrupted call may be repeated, and ends as it would have.

    Args:
        stores: The open workspace.
        kind: What carries the metadata: ``Image``, ``Dataset``, ``Model``, ``Experiment``, ``PredictionSet`` or
            ``ActivationSet``.
        things: The keys of images, the ids of the others; each once.
        columns: The values by name, one a thing.
        missing: What a missing value (None, NaN, NaT, NA) does: ``"keep"`` leaves what is there, ``"remove"`` takes
            it away.

    Raises:
        MetadataError: A name that is ours, or a type that clashes; nothing is written.
        DataError: A thing twice, or columns of other lengths.
        UnknownNameError: A thing that does not exist, or was deleted; nothing is written.
    """
    if missing not in ("keep", "remove"):
        raise DataError(f'missing={missing!r} is not known: give "keep" or "remove".')
    _check(kind, things, columns)
    values = NewValues.of(kind, columns)
    names = list(columns) if missing == "remove" else list(values.columns)
    if len(things) > AT_ONCE:  # one transaction finds out by itself whether it found all of them
        _check_there(stores, kind, things)
    for start in range(0, len(things) if names else 0, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        _write(stores, kind, things[part], names, values.part(part), missing)
    return UpdateReport(len(things) if names else 0, tuple(names))


def there(stores: Stores, kind: str, things: Iterable[Any]) -> set[Any]:
    """Those of the things that exist and were not deleted."""
    by = _TELLS.get(kind, "id")
    found_by = f"UNWIND $things AS thing MATCH (n:{kind} {{{by}: thing}}) WHERE n.deleted IS NULL"
    found: set[Any] = set()
    for part in batches(things):
        found.update(stores.graph.read(f"{found_by} RETURN collect(thing) AS held", {"things": part})[0]["held"])
    return found


def _check(kind: str, things: Sequence[Any], columns: Mapping[str, Sequence[Any]]) -> None:
    for name, column in columns.items():
        if kind == "Image" and name == "label":
            raise MetadataError(
                "A label is corrected with db.labels.set(...), which keeps its history; update() is for metadata."
            )
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


def _check_there(stores: Stores, kind: str, things: Sequence[Any]) -> None:
    held = there(stores, kind, things)
    if absent := [thing for thing in things if thing not in held]:
        word = _WORDS.get(kind, kind.lower())
        listed = ", ".join(map(repr, absent[:_SHOWN]))
        raise UnknownNameError(
            f"{len(absent)} of {len(things)} {word}s do not exist in this workspace, or were deleted, first {listed}. "
            "Nothing was changed: correct them, or leave them out."
        )


def _write(
    stores: Stores, kind: str, things: Sequence[Any], names: Sequence[str], values: NewValues, missing: Missing
) -> None:
    by = _TELLS.get(kind, "id")
    # Plain where every thing has a value: a third faster than to look at what was there.
    whole = [missing == "remove" or not any(plain(value) is None for value in values.columns[name]) for name in names]
    said = {True: "n.{0} = r.{0}", False: "n.{0} = coalesce(r.{0}, n.{0})"}
    sets = ", ".join(said[all_].format(quoted(name)) for name, all_ in zip(names, whole, strict=True))
    found_by = f"UNWIND $rows AS r MATCH (n:{kind} {{{by}: r.odin_by}}) WHERE n.deleted IS NULL"
    cypher = f"{found_by} SET {sets} RETURN count(n) AS n"

    def write(tx: Transaction) -> None:
        found = 0
        rows = values.record(tx, len(things))
        # Every row names every field: a statement is compiled once, and a map without a name reads as null.
        for thing, row in zip(things, rows, strict=True):
            row["odin_by"] = thing.item() if isinstance(thing, np.generic) else thing
        for batch in batches(rows, BATCH):
            found += tx.run(cypher, {"rows": batch})[0]["n"]
        if found != len(things):
            raise ConflictError(
                f"{len(things) - found} of {len(things)} things were deleted while they were being updated; "
                "nothing of this batch was stored. Leave them out and call again."
            )

    try:
        stores.graph.execute(write)
    except ConflictError:
        _check_there(stores, kind, things)  # says which are not there
        raise


def constant(value: Any, number: int) -> list[Any]:
    """The same value for every thing; a missing one is None."""
    return [plain(value)] * number
