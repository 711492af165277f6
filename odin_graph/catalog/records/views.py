"""Saved views: the JSON form of a query under a name, each other query under it a further version."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

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
    """Keep a query under a name; the same query as its latest version is that version.

    Returns:
        The id, with its version.

    Raises:
        QueryError: The name is none.
    """
    _check_name(name)
    text = json.dumps(query, sort_keys=True, allow_nan=False)

    tried = ""

    def make(tx: Transaction) -> str:
        nonlocal tried
        held = {row["version"]: row["query"] for row in tx.run(_LATEST, {"base": name})}
        last = max(held, default=0)
        if held and held[last] == text:
            return f"{name}@{last}"
        tried = f"{name}@{last + 1}"
        row = {"id": tried, "base": name, "version": last + 1, "query": text, "created_at": now()}
        tx.run("CREATE (v:View) SET v = $row", {"row": row})
        return tried

    while True:
        try:
            return stores.graph.execute(make)
        except ConflictError:  # another process took that version a moment ago, so that it at least came on
            if all(held.id != tried for held in views(stores)):
                raise


@served
def view_of(stores: Stores, id_: str) -> ViewRecord:
    """A version of a view; the bare name is its latest.

    Raises:
        UnknownNameError: There is none; lists the names.
    """
    every = views(stores)
    fitting = [held for held in every if id_ in (held.id, held.base)]
    if not fitting:
        raise UnknownNameError.of("view", str(id_), {held.base for held in every})
    return max(fitting, key=lambda held: held.version)


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


def delete_view(stores: Stores, id_: str) -> None:
    """Forget a version of a view, or with the bare name all of them: no image and no result hangs on one.

    Raises:
        UnknownNameError: There is none.
    """
    held = view_of(stores, id_)
    which = "base" if id_ == held.base else "id"
    stores.graph.write(f"MATCH (v:View {{{which}: $id}}) DELETE v", {"id": id_})


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > _LONGEST:
        raise QueryError(f"A view has a name of 1 to {_LONGEST} characters, not {name!r:.80}.")
    if _VERSIONED.fullmatch(name):
        raise QueryError(f"{name!r} ends in a version, which is counted: save the query under the bare name.")
