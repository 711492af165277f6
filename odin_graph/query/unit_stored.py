"""What is stored of a layer, as far as it serves a question: sets by unit, and embeddings that are the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.activations import LayerRef, rows_of
from odin_graph.catalog.unit_sets import UnitSet, UnitSetRecord, link, unit_sets, unit_sets_fed_alike
from odin_graph.graph.read_only import is_read_only
from odin_graph.neurons import Block, Part, Values
from odin_graph.neurons.costs import Codec, Held
from odin_graph.query.nodes import UnitGroup

if TYPE_CHECKING:
    from odin_graph.arrays import SegmentedArray
    from odin_graph.stores import Stores

Keys = NDArray[np.int64]
Numbers = NDArray[np.int64]

_EMBEDDINGS: Final = {"units": "flatten", "channels-mean": "mean", "channels-max": "max"}
"""The poolings of embeddings that give the same numbers, by image."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A set, for some images."""

    codec: Codec
    id: str
    missing: Keys
    """Those of the images that it lacks."""
    rows: int
    """Images of its segments, whose columns are read whole."""
    warm: bool
    """Whether the cache holds all columns of the group."""
    units: UnitSet | None
    """None of embeddings."""
    embeddings: SegmentedArray | None = None

    @classmethod
    def of_units(cls, held: UnitSet, keys: Keys, numbers: Numbers) -> Stored:
        """A set by unit."""
        array = held.array
        warm = all(held.stores.arrays.units.is_warm(info, numbers) for info in array.segments)
        rows = sum(info.rows for info in array.segments)
        return cls(held.record.codec, held.record.id, array.missing(keys), rows, warm, held)

    @property
    def held(self) -> Held:
        """As costs are reckoned."""
        return Held(self.codec, len(self.missing), self.rows, self.warm)

    def parts(self, numbers: Numbers, keys: Keys) -> list[Part]:
        """What it holds of a group, as the engine reads it."""
        if self.units is not None:
            return parts_of(self.units, numbers)
        assert self.embeddings is not None, "one of them"
        there = keys[~np.isin(keys, self.missing)]
        return [Values(there, np.ascontiguousarray(self.embeddings.read(there)[:, numbers].T))] if len(there) else []


def stored_for(stores: Stores, group: UnitGroup, keys: Keys) -> dict[Codec, Stored]:
    """Of each codec the set that lacks the fewest of the images."""
    assert group.checkpoint is not None, "bound before"
    numbers = np.array(group.numbers, np.int64)
    found: dict[Codec, Stored] = {}
    for record in unit_sets(stores, group.checkpoint, group.layer, group.view) or _shared(stores, group):
        one = Stored.of_units(UnitSet(stores, record), keys, numbers)
        before = found.get(one.codec)
        if before is None or len(one.missing) < len(before.missing):
            found[one.codec] = one
    if group.view in _EMBEDDINGS:
        ref = LayerRef(group.checkpoint, group.layer, _EMBEDDINGS[group.view])
        rows = rows_of(stores, ref.set_id)
        missing = rows.missing(keys)
        if len(missing) < len(keys):
            found["rows"] = Stored("rows", ref.set_id, missing, len(keys) - len(missing), False, None, rows)
    return found


def parts_of(held: UnitSet, numbers: Numbers) -> list[Part]:
    """What a set holds of some units, as the engine reads it."""
    blocks = held.blocks(numbers)
    if held.record.codec == "u8":
        return [Block(one.keys, one.values, *one.tables()) for one in blocks]
    error = held.error(numbers) if held.record.codec == "f16" else None
    return [Values(one.keys, one.decoded(), error) for one in blocks]


def _shared(stores: Stores, group: UnitGroup) -> list[UnitSetRecord]:
    """Sets of other checkpoints that say the same, since the same weights feed their layer."""
    from odin_graph.runtime.subnetwork import layer_digests

    assert group.checkpoint is not None, "bound before"
    digest = layer_digests(stores, group.checkpoint).get(group.layer)
    found = [] if digest is None else unit_sets_fed_alike(stores, digest, group.view)
    if not is_read_only():
        for record in found:
            link(stores, record.id, group.checkpoint, group.layer)
    return found
