"""Saved views: the JSON form of a query under a name; saving another query under it makes a further version."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from odin_graph.catalog.records import creations
from odin_graph.errors import ConflictError, QueryError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.schema.metadata import decode
from odin_graph.schema.properties import now
from odin_graph.served import served, travels
from odin_graph.stores import Stores

_LONGEST: Final = 200
_VERSIONED: Final = re.compile(r"(.+)@(\d+)")
_LATEST: Final = "MATCH (v:View {base: $base}) RETURN v.version AS version, v.query AS query"


@travels
@dataclass(frozen=True, slots=True)
class ViewRecord:
    """One version of a view."""

    id: str
    base: str
    version: int
    query: Mapping[str, Any]
    created_at: datetime


def save_view(stores: Stores, name: str, query: Mapping[str, Any]) -> str:
    """Save a query under a name; a query that equals the latest version is that version.

    Returns:
        The id, with its version.

    Raises:
        QueryError: The name is invalid.
    """
    _check_name(name)
    text = json.dumps(query, sort_keys=True, allow_nan=False)

    tried = ""

    def make(tx: Transaction) -> str:
        nonlocal tried
        queries = {row["version"]: row["query"] for row in tx.run(_LATEST, {"base": name})}
        last = max(queries, default=0)
        if queries and queries[last] == text:
            return f"{name}@{last}"
        tried = f"{name}@{last + 1}"
        row = {"id": tried, "base": name, "version": last + 1, "query": text, "created_at": now()}
        tx.run("CREATE (v:View) SET v = $row", {"row": row})
        creations.record(tx, "View", tried)
        return tried

    while True:
        try:
            return stores.graph.execute(make)
        except ConflictError:  # another process has just taken that version: try the next one
            if all(view.id != tried for view in views(stores)):
                raise


@served
def view_of(stores: Stores, id_: str) -> ViewRecord:
    """A version of a view; the bare name is its latest.

    Raises:
        UnknownNameError: There is none; lists the names.
    """
    existing = views(stores)
    matching = [view for view in existing if id_ in (view.id, view.base)]
    if not matching:
        raise UnknownNameError.of("view", str(id_), {view.base for view in existing})
    return max(matching, key=lambda view: view.version)


@served
def views(stores: Stores) -> list[ViewRecord]:
    """Every version of every view, by name and version."""
    rows = stores.graph.read(
        "MATCH (v:View) RETURN v.id AS id, v.base AS base, v.version AS version, v.query AS query, "
        "v.created_at AS created_at ORDER BY v.base, v.version"
    )
    return [
        ViewRecord(row["id"], row["base"], row["version"], json.loads(row["query"]), decode(row["created_at"]))
        for row in rows
    ]


def delete_view(stores: Stores, id_: str) -> int:
    """Delete a version of a view, or with the bare name all versions. No image and no result depends on a view.

    Returns:
        The number of versions.

    Raises:
        UnknownNameError: There is none.
    """
    view = view_of(stores, id_)
    which = "base" if id_ == view.base else "id"

    def delete(tx: Transaction) -> int:
        rows = tx.run(f"MATCH (v:View {{{which}: $id}}) WITH v, v.id AS id DELETE v RETURN id", {"id": id_})
        for row in rows:
            creations.forget(tx, "View", row["id"])
        return len(rows)

    return stores.graph.execute(delete)


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST:
        raise QueryError(f"A view has a name of 1 to {_LONGEST} characters, not {name!r:.80}.")
    if _VERSIONED.fullmatch(name):
        raise QueryError(f"{name!r} ends in a version, which is counted: save the query under the bare name.")
