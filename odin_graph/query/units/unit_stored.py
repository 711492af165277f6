"""What is stored of a layer that serves a query: sets by unit, and embeddings with the same numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import SegmentedArray, UnitArray
from odin_graph.catalog.activations.activations import LayerRef, rows_array
from odin_graph.catalog.activations.unit_sets import UnitSetRecord, link, unit_sets, unit_sets_fed_alike, units_array
from odin_graph.graph.read_only import is_read_only
from odin_graph.neurons import Block, Part, Values
from odin_graph.neurons.costs import Codec, Held
from odin_graph.query.expressions.nodes import UnitGroup

if TYPE_CHECKING:
    from odin_graph.stores import Stores

Keys = NDArray[np.int64]
Numbers = NDArray[np.int64]

_EMBEDDINGS: Final = {"units": "flatten", "channels-mean": "mean", "channels-max": "max"}
"""The poolings of embeddings that give the same numbers, by image."""


@dataclass(frozen=True, eq=False)
class Stored:
    """A stored set, for some images."""

    codec: Codec
    id: str
    missing: Keys
    """The images that it lacks."""
    rows: int
    """Images of its segments, whose columns are read whole."""
    segments: int
    """The number of its segments."""
    cold: int | None
    """Units of the group whose columns are not cached; None for embeddings."""
    width: int
    """Numbers for each image."""
    array: UnitArray | SegmentedArray
    """Of units, or of embeddings; over the segments at the time of the lookup."""
    record: UnitSetRecord | None
    """None for embeddings."""

    @classmethod
    def of_units(cls, record: UnitSetRecord, array: UnitArray, keys: Keys, numbers: Numbers) -> Self:
        """A set by unit."""
        rows = sum(info.rows for info in array.segments)
        missing, segments, cold = array.missing(keys), len(array.segments), array.cold(numbers)
        return cls(record.codec, record.id, missing, rows, segments, cold, record.units, array, record)

    @property
    def cost_figures(self) -> Held:
        """Its figures for the cost model."""
        return Held(self.codec, len(self.missing), self.rows, self.segments, self.cold)

    def parts(self, numbers: Numbers, keys: Keys) -> list[Part]:
        """Its parts for a group, as the engine reads them."""
        if isinstance(self.array, UnitArray):
            return parts_of(self.array, self.codec, numbers)
        present = keys[~np.isin(keys, self.missing)]
        return [Values(present, np.ascontiguousarray(self.array.read(present)[:, numbers].T))] if len(present) else []


def stored_for(stores: Stores, group: UnitGroup, keys: Keys) -> dict[Codec, Stored]:
    """For each codec, the set that lacks the fewest of the images."""
    assert group.checkpoint is not None, "bound before"
    numbers = np.array(group.numbers, np.int64)
    records = unit_sets(stores, group.checkpoint, group.layer, group.view)
    if not records and len(keys):
        records = _shared(stores, group)
    rows_id = LayerRef(group.checkpoint, group.layer, _EMBEDDINGS.get(group.view, "")).set_id
    arrays = {record.id: units_array(record.id) for record in records} | {rows_id: rows_array(rows_id)}
    segments = stores.columns.segments_of(list(arrays.values()))
    found: dict[Codec, Stored] = {}
    for record in records:
        if " " in record.device:  # of half precision: other values, of which no other set is the same capture
            continue
        array = UnitArray(stores.arrays, segments.get(arrays[record.id], ()))
        candidate = Stored.of_units(record, array, keys, numbers)
        current = found.get(candidate.codec)
        if current is None or len(candidate.missing) < len(current.missing):
            found[candidate.codec] = candidate
    row_segments = segments.get(arrays[rows_id])
    if row_segments is not None and numbers.max(initial=-1) < row_segments[0].shape[-1]:
        rows = SegmentedArray(stores.arrays, row_segments)
        missing = rows.missing(keys)
        count, width = len(keys) - len(missing), row_segments[0].shape[-1]
        found["rows"] = Stored("rows", rows_id, missing, count, len(row_segments), None, width, rows, None)
    return found


def parts_of(array: UnitArray, codec: Codec, numbers: Numbers) -> list[Part]:
    """The parts of a set for some units, as the engine reads them."""
    blocks = array.blocks(numbers)
    if codec == "u8":
        return [Block(block.keys, block.values, *block.tables()) for block in blocks]
    error = array.error(numbers) if codec == "f16" else None
    return [Values(block.keys, block.decoded(), error) for block in blocks]


def _shared(stores: Stores, group: UnitGroup) -> list[UnitSetRecord]:
    """Sets of other checkpoints with the same values, since the same weights feed their layer."""
    from odin_graph.runtime.models.subnetwork import layer_digests

    assert group.checkpoint is not None, "bound before"
    digest = layer_digests(stores, group.checkpoint).get(group.layer)
    found = [] if digest is None else unit_sets_fed_alike(stores, digest, group.view)
    if not is_read_only():
        for record in found:
            link(stores, record.id, group.checkpoint, group.layer)
    return found
