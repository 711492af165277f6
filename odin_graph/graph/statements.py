"""Whether a user's statement only reads, by what the engine says of it before it runs.

The engine is asked to EXPLAIN it. Whatever comments, line ends, escapes, prefixes or subqueries a text has, the engine
has read it as it will run it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from odin_graph.errors import ReadOnlyError

EXPLAIN: Final = "EXPLAIN "
_ARCADEDB: Final = "ArcadeDB."
_ARCADEDB_CALL: Final = re.compile(r"^\s*\+ CALL ([^(\s]+)\(", re.MULTILINE)
_ARCADEDB_LOAD: Final = re.compile(r"^\s*\+ LOAD CSV", re.MULTILINE)
_REACHES_OUT: Final = ("LoadCSV", "Show", "Terminate", "Transaction", "Administration")
"""Prefixes of Neo4j's operators that report on the server, act on it, or fetch, although their type is "r"."""
_PROCEDURES: Final = (
    "db.labels",
    "db.relationshiptypes",
    "db.propertykeys",
    "db.ping",
    "db.schema.",
    "db.index.fulltext.query",
    "db.index.vector.query",
    "algo.",
    "meta.",
    "path.",
)
"""Procedures that read the graph and nothing else; a name that ends in a dot covers all below it."""
_ESCAPE: Final = re.compile(r"\\u+([0-9a-fA-F]{4})")
_NO_NAME: Final = re.compile(r"[^\w.]")


@dataclass(frozen=True, slots=True)
class Explained:
    """The engine's explanation of a statement that it has not run."""

    kind: str | None
    """``r``, ``w``, ``rw`` or ``s``; of ArcadeDB always ``w``."""
    plan: Mapping[str, Any] | None

    @property
    def procedures(self) -> set[str]:
        """The procedures that it calls, in lower case; ArcadeDB hides those of subqueries."""
        if self.plan is not None and self.plan["operatorType"].startswith(_ARCADEDB):
            return {name.lower() for name in _ARCADEDB_CALL.findall(_text(self.plan))}
        return {
            _details(operator).partition("(")[0].strip().replace("`", "").lower()
            for operator in _operators(self.plan)
            if _name(operator) == "ProcedureCall"
        }


def check_reads(cypher: str, explained: Explained, database: str | None, plugins: frozenset[str]) -> None:
    """Refuse a statement that changes something, fetches something, or reports on the server instead of the graph.

    On the embedded engine a log-in that only reads stops writes, and addresses are fetched for nobody.

    Args:
        cypher: The statement.
        explained: The engine's explanation of it.
        database: The one that may be read; None for any.
        plugins: The functions that are not the engine's own.

    Raises:
        ReadOnlyError: It is one of these.
    """
    if explained.plan is None:
        raise ReadOnlyError(
            "The statement is one to the server (SHOW, TERMINATE, COMMIT and the like), which reading may not: "
            "use write=True."
        )
    if explained.plan["operatorType"].startswith(_ARCADEDB):
        loads = bool(_ARCADEDB_LOAD.search(_text(explained.plan)))
    else:
        if explained.kind != "r":
            raise ReadOnlyError("The statement writes, and reading was asked for: use write=True.")
        loads = _check_operators(explained.plan, database)
        _check_functions(cypher, explained.plan, plugins)
    if loads:
        raise ReadOnlyError("LOAD CSV reads files and addresses, which reading through db.cypher may not: write=True.")
    for name in sorted(explained.procedures):
        if not any(
            name == known or (known.endswith((".", "query")) and name.startswith(known)) for known in _PROCEDURES
        ):
            raise ReadOnlyError(
                f"The procedure {name} does more than read the graph, or is not known to do only that: use write=True."
            )


def _check_operators(plan: Mapping[str, Any], database: str | None) -> bool:
    loads = False
    for operator in _operators(plan):
        name, _, where = operator["operatorType"].partition("@")
        if database is not None and where and where.lower() != database.lower():
            raise ReadOnlyError(f"The statement reads the database {where}, and not {database}: use write=True.")
        loads = loads or name == "LoadCSV"
        if name != "LoadCSV" and name.startswith(_REACHES_OUT):
            raise ReadOnlyError(
                f"The statement asks or changes the server ({name}), and not the graph, which reading may not: "
                "use write=True."
            )
    return loads


def _check_functions(cypher: str, plan: Mapping[str, Any], plugins: frozenset[str]) -> None:
    """Refuse functions of plug-ins, which may even run a statement. Plans show calls, but not in every operator."""
    if not plugins:
        return
    spelled = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), cypher)
    texts = [_NO_NAME.sub("", text).lower() for text in (spelled, *map(_details, _operators(plan)))]
    for name in sorted(plugins):
        if any(name.lower() in text for text in texts):
            raise ReadOnlyError(f"The function {name} is a plug-in's, which may do anything: use write=True.")


def _operators(plan: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    pending = [plan] if plan is not None else []
    while pending:
        operator = pending.pop()
        yield operator
        pending += operator.get("children") or []


def _name(operator: Mapping[str, Any]) -> str:
    return str(operator["operatorType"]).partition("@")[0]


def _details(operator: Mapping[str, Any]) -> str:
    return str((operator.get("args") or {}).get("Details", ""))


def _text(plan: Mapping[str, Any]) -> str:
    return str((plan.get("args") or {}).get("string-representation", ""))
