"""Label corrections: the current label changes, its history is kept, and frozen labels stay as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays.names import fresh_name
from odin_graph.catalog.images.spelling import warn_of_spelling
from odin_graph.catalog.records.fields import NewValues
from odin_graph.catalog.records.people import author
from odin_graph.catalog.records.updates import AT_ONCE
from odin_graph.errors import ConflictError, DataError
from odin_graph.graph import Transaction
from odin_graph.graph.journal import NO_IMAGE, Touched
from odin_graph.graph.writer import BATCH, batches
from odin_graph.schema.kinds import alive
from odin_graph.schema.metadata import decode
from odin_graph.schema.properties import now
from odin_graph.served import travels
from odin_graph.stores import Stores

# Writes before it reads: Neo4j then locks the node, and ArcadeDB notices a conflict at the commit.
_BEFORE: Final = f"""
UNWIND $keys AS key MATCH (i:Image {{key: key}}) WHERE {alive("Image", "i")}
SET i.odin_lock = true SET i.odin_lock = null
RETURN i.key AS key, i.label AS label
"""
_CHANGE: Final = """
UNWIND $rows AS r MATCH (i:Image {key: r.key})
SET i.label = r.after
CREATE (:LabelChange {id: r.id, number: r.number, before: r.before, after: r.after, at: $at, who: $who, why: $why,
                      created_at: $at})-[:OF]->(i)
"""
_HISTORY: Final = """
UNWIND $keys AS key MATCH (i:Image {key: key}) MATCH (i)<-[:OF]-(c:LabelChange)
RETURN i.id AS image, c.at AS at, c.who AS who, c.before AS before, c.after AS after, c.why AS why, c.id AS id,
       coalesce(c.number, 0) AS number
"""


@dataclass(frozen=True)
class LabelReport:
    """The outcome of a label correction."""

    changed: int
    unchanged: int
    """Images that had the label already; they get no entry in the history."""
    warnings: tuple[str, ...] = ()
    """New classes whose spelling is close to that of a frequent class."""

    def __str__(self) -> str:
        """The counts and the warnings."""
        counts = f"{self.changed:,} labels changed, {self.unchanged:,} were the same"
        return "\n".join([counts, *self.warnings])


@travels
@dataclass(frozen=True, slots=True)
class Correction:
    """One change of a label."""

    image: str
    at: datetime
    """UTC, without a zone."""
    who: str | None
    before: Any
    after: Any
    why: str | None


def set_labels(
    stores: Stores,
    keys: NDArray[np.int64],
    labels: Sequence[Any],
    *,
    who: str | None = None,
    why: str | None = None,
) -> LabelReport:
    """Correct the labels of images, and keep who did it, when, from what and why.

    If a new class is spelled almost like a frequent one, there is a `DataWarning`, which the report keeps.

    Data set versions and their predictions keep the frozen labels. Up to 50,000 images are one
    transaction; more are written in batches, and a repeated call continues after an interruption.

    Args:
        stores: The open workspace.
        keys: The images, each once.
        labels: One an image; None removes the label.
        who: Who makes the correction; by default the login name of the user.
        why: The reason, for the history.

    Raises:
        MetadataError: A label of another type than the existing labels.
        DataError: An image twice, or an unknown image.
    """
    keys = np.asarray(keys, np.int64)
    if len(keys) != len(labels):
        raise DataError(f"There are {len(keys)} images and {len(labels)} labels: give one for each image.")
    if len(np.unique(keys)) != len(keys):
        raise DataError("An image is in the correction twice: give each image one label.")
    values = NewValues.of("Image", {"label": labels}, own=("label",))
    provenance = {"who": author(who), "why": why, "at": now()}
    changed = 0
    for start in range(0, len(keys), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        changed += _correct(stores, keys[part].tolist(), values.part(part), provenance)
    return LabelReport(changed, len(keys) - changed, warn_of_spelling(stores, values.columns.get("label", ())))


def history(stores: Stores, keys: NDArray[np.int64]) -> list[Correction]:
    """Every correction of these images in the order they were made, independent of the clocks."""
    rows: list[dict[str, Any]] = []
    for part in batches(np.asarray(keys, np.int64).tolist()):
        rows += stores.graph.read(_HISTORY, {"keys": part})
    for row in rows:
        row["at"] = decode(row["at"])
    rows.sort(key=lambda row: (row["number"], row["at"], row["id"]))
    names = ("image", "at", "who", "before", "after", "why")
    return [Correction(*(row[name] for name in names)) for row in rows]


def _correct(stores: Stores, keys: list[int], values: NewValues, provenance: dict[str, Any]) -> int:
    def correct(tx: Transaction) -> int:
        after = [row.get("label") for row in values.record(tx, len(keys))]
        before: dict[int, Any] = {}
        for part in batches(keys, BATCH):
            before.update((row["key"], row["label"]) for row in tx.run(_BEFORE, {"keys": part}, NO_IMAGE))
        if absent := [key for key in keys if key not in before]:
            raise ConflictError(
                f"{len(absent)} of the images are not there, or were deleted, first keys {absent[:5]}. "
                "No label was changed: leave them out."
            )
        new = [(key, label) for key, label in zip(keys, after, strict=True) if not same_label(before[key], label)]
        # Numbered under the lock of these images: clocks of clients may be slow, or go back.
        numbers = stores.graph.reserve_keys(len(new), counter="label change") if new else ()
        rows = [
            {"id": fresh_name(), "number": number, "key": key, "before": before[key], "after": label}
            for number, (key, label) in zip(numbers, new, strict=True)
        ]
        for changes in batches(rows, BATCH):
            tx.run(
                _CHANGE,
                {"rows": changes, **provenance},
                Touched.things("Image", (row["key"] for row in changes), ["label"]),
            )
        return len(rows)

    return stores.graph.execute(correct)


def same_label(a: Any, b: Any) -> bool:
    """Whether two labels are equal by value; unlike in Python, a bool never equals a number."""
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    return bool(a == b)
