"""The inputs that images make: which images each holds, in its order. Planned once, before anything is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.catalog.inputs.input import Input
from odin_graph.errors import DataError, DataWarning
from odin_graph.graph.writer import batches
from odin_graph.served import served, travels
from odin_graph.stores import Stores
from odin_graph.warned import warn

Keys = NDArray[np.int64]
Group: TypeAlias = tuple[Any, ...]

PADDING: Final = -1
"""The key of an image that is missing, and is zeros."""
_SHOWN: Final = 3
_FEW: Final = {"skip": "with too few images were skipped", "pad": "with too few images were padded with zeros"}
_MANY: Final = {
    "skip": "with too many images were skipped",
    "first": "with too many images were cut to their first {}",
    "spread": "with too many images were cut to {} at equal distances",
}
"""What was done with a group, for the note."""
_STACKS: Final = """
UNWIND $keys AS key MATCH (i:Image {key: key})-[e:DERIVED_FROM]->(v) WHERE (v:Volume OR v:Video)
AND e.op IN ['slice', 'frame'] RETURN key, v.id AS stack, labels(v) AS labels, e.params AS params
"""


@travels
@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs, each of one image or more; an image is in one of them."""

    keys: Keys
    """The images of all inputs, one input after the other, each in its order; `PADDING` where one is missing."""
    starts: Keys
    """(n + 1,) where each input begins in `keys`; the last is their end."""
    names: tuple[str, ...]
    """What each is called in messages: ``PatientID=12``."""
    notes: tuple[str, ...] = ()
    """Sentences about groups that were skipped, padded or cut."""

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def sizes(self) -> Keys:
        """How many images each has (n,), missing ones included."""
        return np.diff(self.starts)

    @cached_property
    def first(self) -> Keys:
        """The first image of each that is not missing (n,): the key by which an input is known."""
        there = self.keys != PADDING
        found: Keys = self.keys[there][np.searchsorted(np.flatnonzero(there), self.starts[:-1])]
        return found

    def of(self, position: int) -> Keys:
        """The images of an input, in order."""
        return self.keys[self.starts[position] : self.starts[position + 1]]

    def rows(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of inputs the places of their images in `keys`, and the position of the input that each is of."""
        sizes = self.sizes[positions]
        owner = np.repeat(np.arange(len(positions)), sizes)
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self.starts[positions][owner] + within, owner

    def take(self, positions: NDArray[np.int64]) -> Inputs:
        """Some of them, in this order."""
        ends = np.concatenate([[0], np.cumsum(self.sizes[positions])]).astype(np.int64)
        return Inputs(self.keys[self.rows(positions)[0]], ends, tuple(self.names[at] for at in positions.tolist()))

    def warn(self, what: str) -> None:
        """Warn of what was skipped, padded or cut.

        Args:
            what: Whose inputs they are.
        """
        if self.notes:
            warn(f"The inputs of {what}: {'; '.join(self.notes)}.", DataWarning)


@served
def plan_inputs(stores: Stores, input: str, keys: list[int], model: str) -> Inputs:  # noqa: A002 - the users' word
    """The inputs that images make, in the order in which the first image of each comes.

    Args:
        stores: The open workspace.
        input: What one is, an `Input` as JSON.
        keys: The images, each once; an input holds no others.
        model: The id of the model, for messages.

    Raises:
        DataError: A group lacks an image or has too many (and the input says to raise), an image is in no stack, or has
            no value of a field. The message names them.
        UnknownNameError: There is no such field.
    """
    what = Input.from_text(input)
    images = np.array(keys, np.int64)
    groups, order = groups_of(stores, what, images, model)
    found: dict[Group, list[int]] = {}
    for position, group in enumerate(groups):
        found.setdefault(group, []).append(position)
    planned, names, notes = [], [], _Notes()
    for group, positions in found.items():
        one = _Group(_name(what, group), positions)
        chosen = _chosen(what, one, order, notes, lambda at: _ids(stores, images[at]), model)
        if chosen is not None:
            planned.append([PADDING if at is None else int(images[at]) for at in chosen])
            names.append(one.name)
    sizes = [len(images_of_one) for images_of_one in planned]
    if not planned:
        raise DataError(
            f"{len(images):,} images make no input of the model {model!r}, which is {what}"
            f"{''.join(f'; {sentence}' for sentence in notes.sentences())}: give it whole stacks or groups."
        )
    return Inputs(
        np.array([key for one in planned for key in one], np.int64),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        tuple(names),
        tuple(notes.sentences()),
    )


def groups_of(stores: Stores, what: Input, keys: Keys, model: str) -> tuple[list[Group], list[Any]]:
    """The stack or group that each image belongs to, and what it is ordered by there.

    Raises:
        DataError: An image belongs to none.
    """
    if what.kind == "stack":
        return _stacks_of(stores, keys, model)
    wanted = list(dict.fromkeys([*what.by, str(what.order)]))
    table = stores.columns.images(wanted, keys)
    table = table.take(pa.compute.index_in(pa.array(keys), table.column("key").combine_chunks()))
    columns = {name: table.column(name).to_pylist() for name in wanted}
    for name, values in columns.items():
        missing = [at for at, value in enumerate(values) if value is None]
        if missing:
            raise DataError(
                f"{len(missing):,} of {len(keys):,} images have no {name!r}, which the inputs of the model {model!r} "
                f"need, first {', '.join(_ids(stores, keys[missing[:_SHOWN]]))}: give them one, or leave them out."
            )
        if any(isinstance(value, list) for value in values):
            raise DataError(f"An image may have several values of {name!r}: the inputs of {model!r} need one value.")
    return list(zip(*(columns[name] for name in what.by), strict=True)), columns[str(what.order)]


def _stacks_of(stores: Stores, keys: Keys, model: str) -> tuple[list[Group], list[Any]]:
    places: dict[int, tuple[Group, int]] = {}
    for part in batches(keys.tolist()):
        for row in stores.graph.read(_STACKS, {"keys": part}):
            kind = "volume" if "Volume" in row["labels"] else "video"
            places[row["key"]] = (kind, row["stack"]), int(json.loads(row["params"])["index"])
    if outside := [key for key in keys.tolist() if key not in places]:
        raise DataError(
            f"{len(outside):,} of {len(keys):,} images are no slice of a volume and no frame of a video, and the model "
            f"{model!r} takes stacks, first {', '.join(_ids(stores, np.array(outside[:_SHOWN])))}: add them with "
            "db.volumes.add(...) or db.videos.add(...), or leave them out."
        )
    return [places[key][0] for key in keys.tolist()], [places[key][1] for key in keys.tolist()]


@dataclass(frozen=True)
class _Group:
    """A stack or a group, and the positions of its images."""

    name: str
    positions: list[int]


class _Notes:
    """Counts what was done with groups that do not fit, with their first names."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, what: str, name: str) -> None:
        self._found.setdefault(what, []).append(name)

    def sentences(self) -> Iterator[str]:
        for what, names in self._found.items():
            more = ", ..." if len(names) > _SHOWN else ""
            yield f"{len(names):,} {what} ({', '.join(names[:_SHOWN])}{more})"


def _chosen(
    what: Input, group: _Group, order: Sequence[Any], notes: _Notes, ids: Callable[[list[int]], list[str]], model: str
) -> list[int | None] | None:
    """The images of one input in order, None where one is missing; or None if the group is skipped."""
    ordered = sorted(group.positions, key=lambda at: order[at])
    slots, extra = _slots(what, ordered, order)
    number, there, missing = what.number, len(ordered), slots.count(None)
    if what.views is None and len({order[at] for at in ordered}) < there:
        values = [order[at] for at in ordered]
        twice = [at for at in ordered if values.count(order[at]) > 1]
        raise DataError(
            f"In {group.name} {len(twice)} images have the same {what.order!r}, {', '.join(ids(twice[:_SHOWN]))}: "
            f"their order in the inputs of the model {model!r} is not clear. Correct the field, or order by another."
        )
    if missing and what.few != "skip" and (what.few == "raise" or missing == len(slots)):
        of = "" if what.views is None else f", without {_listed(what, slots)}"
        raise DataError(
            f"{group.name} has {there} images{of}, and an input of the model {model!r} is {what}: add the missing, "
            "leave the group out, or add the model with few='skip' or few='pad'."
        )
    if extra and what.many == "raise":
        raise DataError(
            f"{group.name} has {there} images, and an input of the model {model!r} is {what}, first too many "
            f"{', '.join(ids(extra[:_SHOWN]))}: leave them out, or add the model with many='skip' or many='first'."
        )
    for wrong, rule, done in ((missing, what.few, _FEW), (extra, what.many, _MANY)):
        if wrong:
            notes.add(done[rule].format(number), group.name)
            if rule == "skip":
                return None
    if extra and what.many == "spread" and number is not None:
        return [ordered[at] for at in np.linspace(0, there - 1, number).round().astype(int).tolist()]
    return slots


def _slots(what: Input, ordered: list[int], order: Sequence[Any]) -> tuple[list[int | None], list[int]]:
    """The image of each place of an input, None where there is none; and the images that have no place."""
    if what.views is not None:
        of_view = ([at for at in ordered if _same(order[at], view)] for view in what.views)
        slots = [found[0] if found else None for found in of_view]
        return slots, [at for at in ordered if at not in slots]
    number = len(ordered) if what.number is None else what.number
    return [*ordered[:number], *[None] * (number - len(ordered))], ordered[number:]


def _same(value: Any, view: Any) -> bool:
    """Whether a value is a view: 1 and True are two."""
    return bool(value == view) and isinstance(value, bool) == isinstance(view, bool)


def _listed(what: Input, slots: Sequence[int | None]) -> str:
    absent = [view for view, at in zip(what.views or (), slots, strict=True) if at is None]
    return f"{what.order}={' and '.join(map(repr, absent))}"


def _name(what: Input, group: Group) -> str:
    if what.kind == "stack":
        return f"The {group[0]} {group[1]!r}"
    return "The group " + ", ".join(f"{name}={value!r}" for name, value in zip(what.by, group, strict=True))


def _ids(stores: Stores, keys: Keys) -> list[str]:
    table = stores.columns.images(["id"], keys)
    known = dict(zip(table.column("key").to_pylist(), table.column("id").to_pylist(), strict=True))
    return [repr(known.get(key, f"key {key}")) for key in keys.tolist()]
