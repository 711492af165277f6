"""What each write changed of the images, written in the same transaction: so that columns need not be read anew.

The engine counts every transaction that wrote; the journal counts ours. Both grow together, and what one grows more
than the other was written by a foreign client. The counts are spread over a few `Writer` nodes, so that transactions
rarely meet at one. A transaction that changes images adds a `Change`, which says which images, and which fields of
theirs.

Invariants: a transaction of ours raises the counts of exactly one `Writer`, by one, or is taken for a foreign one. A
`Change` is read before the engine's count that includes it. Counts never fall. So if the difference of the counts is
what it was, no foreign client has written; and if as many changes are new as were counted, they are all that changed.
"""

from __future__ import annotations

import base64
import random
import re
import secrets
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.graph.token import ChangeToken

WRITERS: Final = 32
KEPT: Final = 1_024
"""Changes at least that are kept; who knows none of them reads everything."""
SPARE: Final = 256
"""Further ones, before the oldest are removed."""
MAKE: Final = (
    f"UNWIND range(0, {WRITERS - 1}) AS n MERGE (w:Writer {{id: toString(n)}}) "
    "ON CREATE SET w.writes = 0, w.changes = 0"
)
_WRITE: Final = "MATCH (w:Writer {id: $id}) SET w.writes = w.writes + 1"
_CHANGE: Final = (
    "MATCH (w:Writer {id: $id}) SET w.writes = w.writes + 1, w.changes = w.changes + $number WITH w "
    "UNWIND $changes AS c CREATE (:Change {id: c.id, keys: c.keys, fields: c.fields, at: timestamp()})"
)
_READ: Final = (
    "MATCH (w:Writer) WITH sum(w.writes) AS writes, sum(w.changes) AS changes OPTIONAL MATCH (c:Change) "
    "RETURN writes, changes, collect(c.id) AS ids"
)
_CHANGES: Final = "UNWIND $ids AS id MATCH (c:Change {id: id}) RETURN c.id AS id, c.keys AS keys, c.fields AS fields"
_FORGET: Final = f"MATCH (c:Change) WITH c ORDER BY c.at DESC SKIP {KEPT} DELETE c"
_TRIES: Final = 20
"""Readings of the journal, each of a few milliseconds, that others may spoil by writing meanwhile."""
_IMAGES: Final = re.compile(r"\b(Image|Crop)\b")
_WRITES: Final = re.compile(r"\b(SET|CREATE|MERGE|DELETE|REMOVE)\b")
_ALTERS: Final = re.compile(r"\b(SET|DELETE|REMOVE)\b")
_ANY_NODE: Final = re.compile(r"(?<!\w)\(\s*\w*\s*(\{[^}]*\})?\s*\)")

Read = Callable[[str, Mapping[str, Any]], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Touched:
    """Images that a statement changes, adds or removes."""

    keys: NDArray[np.int64] | None
    """None for any of them."""
    fields: tuple[str, ...] | None = None
    """The fields that it changes of them; None where it may be any, or whether they are there."""

    def row(self) -> dict[str, Any]:
        """As the properties of a node."""
        keys = None if self.keys is None else _packed(self.keys)
        return {"id": secrets.token_hex(6), "keys": keys, "fields": None if self.fields is None else list(self.fields)}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Touched:
        """From the properties of a node."""
        keys = None if row["keys"] is None else _unpacked(row["keys"])
        return cls(keys, None if row["fields"] is None else tuple(row["fields"]))

    @classmethod
    def things(cls, label: str, keys: Iterable[int], fields: Iterable[str] | None = None) -> Touched:
        """Of things of a label, which may be images or not."""
        if label not in ("Image", "Crop"):
            return NO_IMAGE
        return cls(np.fromiter(keys, np.int64), None if fields is None else tuple(fields))


NO_IMAGE: Final = Touched(np.empty(0, np.int64))
"""No image: a statement that names images, and changes no field of theirs."""
ANY_IMAGE: Final = Touched(None)
ROOT: Final = "root"
"""Stands among the fields for the edges that lead to what an image was made of."""
UP: Final = ("HAS_ROOT", "DERIVED_FROM", "REVISION_OF")
"""Their types."""
_ALL: Final = np.empty(0, np.int64)
"""Stands for the keys of all images."""


@dataclass(frozen=True, slots=True)
class Point:
    """A state of the graph, as the journal has it."""

    token: ChangeToken
    foreign: int | None
    """Transactions that wrote, and are not in the journal; None where the engine does not tell how many wrote."""
    changes: int
    """Changes of images that were ever recorded."""
    seen: frozenset[str]
    """Ids of those that are kept."""


@lru_cache(maxsize=4096)
def may_touch(cypher: str) -> bool:
    """Whether a statement of ours might change an image, by its text: it writes, and names images or any node."""
    if not _WRITES.search(cypher):
        return False
    return bool(_IMAGES.search(cypher)) or bool(_ALTERS.search(cypher) and _ANY_NODE.search(cypher))


def record(run: Read, touched: Iterable[Touched]) -> int:
    """Record a transaction in the journal, as its last statement; return how many changes there were.

    Args:
        run: Runs a statement in the transaction.
        touched: What its statements changed of images.
    """
    rows = [change.row() for change in _together(touched)]
    writer = {"id": str(random.randrange(WRITERS))}  # noqa: S311 - spreads writers, and is no secret
    if rows:
        run(_CHANGE, {**writer, "number": len(rows), "changes": rows})
    else:
        run(_WRITE, writer)
    return len(rows)


def forget(run: Read) -> None:
    """Remove the oldest changes. A reader who has not seen them notices, and reads everything."""
    run(_FORGET, {})


def point(read: Read, token: Callable[[], ChangeToken]) -> Point | None:
    """The state now; None where others never stop writing.

    Args:
        read: Runs a statement that reads.
        token: Asks the engine for its change token.
    """
    now = token()
    for _ in range(_TRIES):
        before, (row,) = now, read(_READ, {})
        now = token()
        if now == before:
            return _point(now, row)
    return None


def since(read: Read, token: Callable[[], ChangeToken], known: Point) -> tuple[list[Touched], Point] | None:
    """What was changed of images since a state that is known, and the state now.

    Returns:
        None where a foreign client has written since or may have, or the changes are not kept any more.
    """
    if known.foreign is None:
        return None
    for _ in range(_TRIES):
        (row,) = read(_READ, {})
        now = token()
        if now.writes is None or now.generation != known.token.generation:
            return None
        if now.writes - row["writes"] == known.foreign:
            break
    else:
        return None
    reached = _point(now, row)
    new = sorted(reached.seen - known.seen)
    if len(new) != reached.changes - known.changes:
        return None
    rows = read(_CHANGES, {"ids": new}) if new else []
    if len(rows) != len(new):
        return None
    return [Touched.of_row(row) for row in rows], reached


def _point(token: ChangeToken, row: Mapping[str, Any]) -> Point:
    foreign = None if token.writes is None else token.writes - int(row["writes"])
    return Point(token, foreign, int(row["changes"]), frozenset(row["ids"]))


def _together(touched: Iterable[Touched]) -> list[Touched]:
    """The same changes in fewer entries: one for all keys of the same fields."""
    keys: dict[tuple[str, ...] | None, list[NDArray[np.int64]]] = {}
    for change in touched:
        if change.keys is None and change.fields is None:
            return [change]
        if change.keys is None:
            keys.setdefault(change.fields, []).append(_ALL)
        elif len(change.keys):
            keys.setdefault(change.fields, []).append(change.keys)
    return [
        Touched(None if any(part is _ALL for part in parts) else np.unique(np.concatenate(parts)), fields)
        for fields, parts in keys.items()
    ]


def _packed(keys: NDArray[np.int64]) -> str:
    """Sorted keys as text: their differences, of which most are alike."""
    differences = np.diff(keys, prepend=0).astype("<i8").tobytes()
    return base64.b64encode(zlib.compress(differences, 1)).decode()


def _unpacked(text: str) -> NDArray[np.int64]:
    return np.cumsum(np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i8")).astype(np.int64)
