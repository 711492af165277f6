"""Versions compared and combined: members with their labels, before anything is frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.catalog.records.tombstones import deleted_members
from odin_graph.errors import DataError, MismatchError
from odin_graph.schema.metadata import encode
from odin_graph.served import served, travels
from odin_graph.stores import Stores

_PLAIN: Final = frozenset({str, int, float, bool, type(None)})

_SHOWN = 10

Combination: TypeAlias = Literal["union", "intersection", "difference", "symmetric difference"]


@travels
@dataclass(frozen=True, eq=False)
class Members:
    """Images in an order, each with a label or None: what a version freezes."""

    keys: NDArray[np.int64]
    """(n,)"""
    labels: tuple[Any, ...]
    """(n,)"""

    @classmethod
    def of(cls, stores: Stores, dataset: str) -> Members:
        """The members of a version."""
        table = stores.columns.members(dataset)
        return cls(table.column("key").to_numpy(), tuple(table.column("label").to_pylist()))

    @classmethod
    def alive(cls, stores: Stores, dataset: str) -> Members:
        """The members of a version that were not deleted since: those that a new version can have."""
        members = cls.of(stores, dataset)
        deleted = deleted_members(stores, dataset)
        return members.take(np.flatnonzero(~np.isin(members.keys, list(deleted)))) if deleted else members

    def __len__(self) -> int:
        return len(self.keys)

    def as_dict(self) -> dict[int, Any]:
        """Labels by key, in order."""
        return dict(zip(self.keys.tolist(), self.labels, strict=True))

    def take(self, positions: NDArray[np.int64]) -> Members:
        """The members at these positions, in this order."""
        return Members(self.keys[positions], tuple(self.labels[at] for at in positions.tolist()))

    @classmethod
    def from_dict(cls, labels: Mapping[int, Any]) -> Members:
        """Make members of labels by key."""
        return cls(np.fromiter(labels, np.int64, len(labels)), tuple(labels.values()))


@travels
@dataclass(frozen=True, repr=False)
class Diff:
    """The changes from one data set version to another, by image id."""

    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    relabeled: Mapping[str, tuple[Any, Any]]
    """The label before and after, by image id."""
    reordered: bool = False
    """Whether the images that are in both are in another order."""

    def __bool__(self) -> bool:
        """Whether anything changed."""
        return bool(self.added or self.removed or self.relabeled or self.reordered)

    def to_arrow(self) -> pa.Table:
        """One row for each changed image: ``change`` (added, removed, relabeled), ``image``, and the labels as text."""
        rows = list(self._rows())
        return pa.table(
            {
                name: pa.array([row[position] for row in rows], pa.string())
                for position, name in enumerate(("change", "image", "before", "after"))
            }
        )

    def __str__(self) -> str:
        if not self:
            return f"{self.before} and {self.after} are the same"
        order = ", another order" if self.reordered else ""
        counts = f"{len(self.added):,} added, {len(self.removed):,} removed, {len(self.relabeled):,} relabeled"
        lines = [f"{self.before} -> {self.after}: {counts}{order}"]
        rows = list(self._rows())
        for change, image, old, new in rows[:_SHOWN]:
            lines.append(f"  {change} {image}" + (f": {old} -> {new}" if change == "relabeled" else ""))
        if len(rows) > _SHOWN:
            lines.append(f"  and {len(rows) - _SHOWN:,} more")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = str(self).splitlines()[0]
        return f"<b>{head}</b>" + str(self.to_arrow().to_pandas().to_html(index=False, border=0, max_rows=40))

    def _rows(self) -> Iterator[tuple[str, str, str | None, str | None]]:
        yield from (("added", image, None, None) for image in self.added)
        yield from (("removed", image, None, None) for image in self.removed)
        for image, (old, new) in self.relabeled.items():
            yield "relabeled", image, None if old is None else str(old), None if new is None else str(new)


@served
def members_of(stores: Stores, dataset: str) -> pa.Table:
    """``key`` and ``label`` of every member, in the order of the set."""
    return stores.columns.members(dataset)


@served
def alive_members(stores: Stores, dataset: str) -> Members:
    """The members that were not deleted since."""
    return Members.alive(stores, dataset)


def combined(how: Combination, a: Members, b: Members, names: Callable[[list[int]], list[str]]) -> Members:
    """Combine members as a set operation; ``names`` gives the ids of images for a message.

    Raises:
        DataError: Images in both have different labels.
    """
    if how in ("union", "intersection"):
        _agree(a, b, names)
    match how:
        case "union":
            return Members.from_dict({**a.as_dict(), **difference(b, a).as_dict()})
        case "intersection":
            return _select(a, b, lambda inside: inside)
        case "difference":
            return difference(a, b)
        case "symmetric difference":
            return Members.from_dict({**difference(a, b).as_dict(), **difference(b, a).as_dict()})


@served
def names_of(stores: Stores, keys: list[int]) -> list[str]:
    """The ids of images, for a message."""
    return list(ids_of(stores, keys).values())


@served
def diff_of(stores: Stores, before: str, after: str) -> Diff:
    """The changes from one version to another."""
    return diff(stores, (before, Members.of(stores, before)), (after, Members.of(stores, after)))


def diff(stores: Stores, before: tuple[str, Members], after: tuple[str, Members]) -> Diff:
    """Compare members; the given names appear in the result."""
    old, new = before[1].as_dict(), after[1].as_dict()
    added = [key for key in new if key not in old]
    removed = [key for key in old if key not in new]
    relabeled = {key: (old[key], new[key]) for key in new if key in old and not _same(old[key], new[key])}
    common = [[key for key in these if key in those] for these, those in ((old, new), (new, old))]
    ids = ids_of(stores, [*added, *removed, *relabeled])
    return Diff(
        before[0],
        after[0],
        added=tuple(ids[key] for key in added),
        removed=tuple(ids[key] for key in removed),
        relabeled={ids[key]: labels for key, labels in relabeled.items()},
        reordered=common[0] != common[1],
    )


def revised(
    members: Members, *, add: Mapping[int, Any] | None = None, remove: Sequence[int] = (), relabel: Mapping[int, Any]
) -> Members:
    """Remove some members, relabel some in place, and append some.

    Raises:
        DataError: An image to remove or relabel is not a member, or an image to add already is one.
    """
    known = dict(zip(members.keys.tolist(), range(len(members)), strict=True)) if remove or relabel or add else {}
    for what, keys in (("removed", remove), ("relabeled", relabel)):
        if unknown := [key for key in keys if key not in known]:
            raise DataError(
                f"{len(unknown)} images to be {what} are not members of the version, first keys "
                f"{', '.join(map(str, unknown[:5]))}: look at dataset.images()."
            )
    removed = set(remove)
    if existing := [key for key in add or {} if key in known and key not in removed]:
        raise DataError(
            f"{len(existing)} images to be added are members already, first keys {', '.join(map(str, existing[:5]))}: "
            "relabel= changes the label of a member."
        )
    labels = list(members.labels)
    for key, label in relabel.items():
        labels[known[key]] = label
    kept = np.delete(np.arange(len(members)), [known[key] for key in removed])
    left = Members(members.keys, tuple(labels)).take(kept)
    more = Members.from_dict(add or {})
    return Members(np.concatenate([left.keys, more.keys]), left.labels + more.labels)


def difference(a: Members, b: Members) -> Members:
    """The members of the first that are not in the second."""
    return _select(a, b, lambda inside: ~inside)


def check_same_workspace(a: Stores, b: Stores) -> None:
    """Refuse to combine sets of different workspaces, whose keys mean other images.

    Raises:
        MismatchError: They are of different workspaces.
    """
    if not a.same_workspace(b):
        raise MismatchError(
            f"The data sets are of different workspaces ({a.address} and {b.address}), whose images are not the "
            "same. Export one of them and import it into the other: dataset.export(path), db.datasets.load(path)."
        )


def ids_of(stores: Stores, keys: Sequence[int]) -> dict[int, str]:
    """The ids of images by key; for a purged image the key as text."""
    images = stores.columns.images(["id"], np.asarray(keys, np.int64)).to_pydict()
    known = dict(zip(images["key"], images["id"], strict=True))
    return {key: known.get(key, f"key {key}") for key in keys}


def labels_array(labels: Any) -> pa.Array:
    """Labels as an Arrow column, of any type that metadata can have.

    Raises:
        DataError: They have several types, or a type that is not stored.
    """
    kinds = set() if isinstance(labels, np.ndarray) and labels.dtype.kind in "biufU" else set(map(type, labels))
    if not kinds <= _PLAIN:
        labels = [encode(label, name="a label") for label in labels]
        kinds = set(map(type, labels))
    try:
        if {date, datetime} <= kinds:  # Arrow would cut off the times
            raise pa.ArrowTypeError("dates and datetimes")
        return pa.array(labels, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise DataError(f"The labels are of several types ({error}): make all strings, or all numbers.") from error
    except (OverflowError, UnicodeEncodeError) as error:
        raise DataError(f"A label is beyond 64 bits, or contains half a character ({error}): give another.") from error


def _select(a: Members, b: Members, choose: Callable[[NDArray[np.bool_]], NDArray[np.bool_]]) -> Members:
    return a.take(np.flatnonzero(choose(np.isin(a.keys, b.keys))))


def _agree(a: Members, b: Members, names: Callable[[list[int]], list[str]]) -> None:
    other = b.as_dict()
    clash = [key for key, label in a.as_dict().items() if key in other and not _same(label, other[key])]
    if clash:
        listed = ", ".join(f"{name!r}" for name in names(clash[:5]))
        raise DataError(
            f"{len(clash)} images have another label in the second data set, first {listed}: relabel one of them with "
            "dataset.revise(relabel={...}), or look at a.diff(b)."
        )


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and a == b
