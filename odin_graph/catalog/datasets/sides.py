"""The part of a split that each image already belongs to, for a later split of the same data set to keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.columns.fields import column
from odin_graph.graph.writer import batches, quoted
from odin_graph.schema.kinds import alive
from odin_graph.schema.metadata import FieldType, convert, decode, encode
from odin_graph.stores import Stores

_VERSIONS: Final = f"""
UNWIND $bases AS base MATCH (d:Dataset {{base: base}}) WHERE {alive("Dataset", "d")}
RETURN d.base AS base, d.id AS id ORDER BY d.odin_made DESC, d.version DESC
"""
_BEFORE: Final = """
UNWIND $keys AS key MATCH (i:Image {key: key}) MATCH (i)-[:REVISION_OF*1..]->(o:Image)
RETURN i.key AS key, o.key AS before ORDER BY key, before DESC
"""
_VALUES: Final = "UNWIND $keys AS key MATCH (i:Image {{key: key}}) RETURN i.key AS key, i.{field} AS value"


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

    An image that was in no version of a part, but whose earlier pixels (REVISION_OF), whose group, or all of whose
    relatives with the same root were on one side, goes to that side, so that a model is never evaluated on what it may
    have learned from. What was deleted since counts.

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
    if group is not None:
        sides = _with_groups(stores, known, keys, sides, *group)
    return _with_relatives(stores, known, keys, sides, None if group is None else group[1])


def _with_groups(
    stores: Stores,
    known: Mapping[int, str],
    keys: NDArray[np.int64],
    sides: list[str | None],
    field: str,
    values: Sequence[Any],
) -> list[str | None]:
    """Add the sides of groups whose images were all removed from the data set, or deleted."""
    removed = np.setdiff1d(np.fromiter(known, np.int64, len(known)), keys)
    type_ = stores.columns.fields()[field]
    left: dict[tuple[str, str], str] = {}
    for batch in batches(removed.tolist()):
        rows = stores.graph.read(_VALUES.format(field=quoted(field)), {"keys": batch})
        values_today = column([_as_today(row["value"], type_) for row in rows], type_)
        for row, value in zip(rows, values_today.to_pylist(), strict=True):
            if not is_missing(value):
                left.setdefault(value_key(value), known[row["key"]])
    groups = [None if is_missing(value) else value_key(value) for value in values]
    left |= {of: side for of, side in zip(groups, sides, strict=True) if of is not None and side is not None}
    return [left.get(of) if side is None and of is not None else side for of, side in zip(groups, sides, strict=True)]


def _as_today(stored: Any, type_: FieldType) -> Any:
    """A value of an image that may be deleted, in the type that its field has by now; None if it has none in it."""
    try:
        return encode(convert(decode(stored), type_), type_)
    except (ValueError, OverflowError):
        return None


def _with_relatives(
    stores: Stores,
    known: Mapping[int, str],
    keys: NDArray[np.int64],
    sides: list[str | None],
    values: Sequence[Any] | None,
) -> list[str | None]:
    """Add the side of the images with the same root, if it is one: of patches that were made again, for example."""
    new = np.array([key for key, side in zip(keys.tolist(), sides, strict=True) if side is None], np.int64)
    if not len(new):
        return sides
    found: dict[str, set[str]] = {}
    for key, root in _roots(stores, np.fromiter(known, np.int64, len(known))):
        found.setdefault(root, set()).add(known[key])
    groups: Sequence[Any] = keys.tolist()
    if values is not None:  # a group goes to one side as a whole
        groups = [key if is_missing(of) else value_key(of) for key, of in zip(groups, values, strict=True)]
    group_of = dict(zip(keys.tolist(), groups, strict=True))
    related: dict[Any, set[str]] = {}
    for key, root in _roots(stores, new):
        related.setdefault(group_of[key], set()).update(found.get(root, ()))
    only = {of: next(iter(places)) for of, places in related.items() if len(places) == 1}
    return [side or only.get(of) for of, side in zip(groups, sides, strict=True)]


def _roots(stores: Stores, keys: NDArray[np.int64]) -> Iterator[tuple[int, str]]:
    """Each image with each of its roots; what was not made of another image is its own."""
    table = stores.columns.roots(keys)
    made = table.column("key").to_numpy()
    yield from zip(made.tolist(), table.column("root").to_pylist(), strict=True)
    yield from ((key, str(key)) for key in np.setdiff1d(keys, made).tolist())
