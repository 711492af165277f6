"""The part of a split that each image already belongs to, for a later split of the same data set to keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.graph.writer import batches
from odin_graph.schema.kinds import alive
from odin_graph.stores import Stores

_VERSIONS: Final = f"""
UNWIND $bases AS base MATCH (d:Dataset {{base: base}}) WHERE {alive("Dataset", "d")}
RETURN d.base AS base, d.id AS id ORDER BY d.odin_made DESC, d.version DESC
"""
_BEFORE: Final = """
UNWIND $keys AS key MATCH (i:Image {key: key}) MATCH (i)-[:REVISION_OF*1..]->(o:Image)
RETURN i.key AS key, o.key AS before ORDER BY key, before DESC
"""


def value_key(value: Any) -> tuple[str, str]:
    """A sortable key of a group value: equal for 0.0 and -0.0, different for 1 and "1"."""
    if isinstance(value, float) and value == 0:
        value = 0.0
    return type(value).__name__, str(value)


def is_missing(value: Any) -> bool:
    """Whether there is no value: None, or NaN."""
    return value is None or value != value


def sides_of(
    stores: Stores,
    parts: Mapping[str, str],
    keys: NDArray[np.int64],
    group: tuple[str, Sequence[Any]] | None = None,
) -> list[str | None] | None:
    """The part that each image is in, from the versions of the parts, newest first; None if there are no versions.

    An image that was in no version of a part, but whose earlier pixels (REVISION_OF) or whose group was, stays on that
    side, so that a model is never evaluated on what it may have learned from.

    Args:
        stores: The open workspace.
        parts: The id, without a version, of each part's data set.
        keys: The images (n,).
        group: The field of groups, and its value of each image.
    """
    names = {base: name for name, base in parts.items()}
    known: dict[int, str] = {}
    for row in stores.graph.read(_VERSIONS, {"bases": list(names)}):
        for key in stores.columns.members(row["id"]).column("key").to_pylist():
            known.setdefault(key, names[row["base"]])
    if not known:
        return None
    sides = [known.get(key) for key in keys.tolist()]
    new = [key for key, side in zip(keys.tolist(), sides, strict=True) if side is None]
    before: dict[int, str] = {}
    for batch in batches(new):
        for row in stores.graph.read(_BEFORE, {"keys": batch}):
            if row["before"] in known:
                before.setdefault(row["key"], known[row["before"]])
    sides = [side or before.get(key) for key, side in zip(keys.tolist(), sides, strict=True)]
    return sides if group is None else _with_groups(stores, known, keys, sides, *group)


def _with_groups(
    stores: Stores,
    known: Mapping[int, str],
    keys: NDArray[np.int64],
    sides: list[str | None],
    field: str,
    values: Sequence[Any],
) -> list[str | None]:
    """Add the sides of groups whose images were all removed from the data set."""
    removed = np.setdiff1d(np.fromiter(known, np.int64, len(known)), keys)
    columns = stores.columns.images([field], removed).to_pydict()
    left: dict[tuple[str, str], str] = {}
    for key, value in zip(columns["key"], columns[field], strict=True):
        if not is_missing(value):
            left.setdefault(value_key(value), known[key])
    present = {value_key(value) for value, side in zip(values, sides, strict=True) if side is not None}
    return [
        left.get(value_key(value))
        if side is None and not is_missing(value) and value_key(value) not in present
        else side
        for value, side in zip(values, sides, strict=True)
    ]
