"""Unit sets: the values of every unit of a layer for images, in segments by unit; a ready set can be extended.

Like row sets, they are (:ActivationSet) nodes. The id of a set is made of the digest of the sub-network that feeds its
layer, so that checkpoints with the same sub-network share the set; an edge leads to each of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import Columns, SegmentInfo, UnitArray
from odin_graph.arrays.units import UnitCodec
from odin_graph.catalog.activations.activations import exists, name_grown, settled, wait_for
from odin_graph.catalog.records import creations
from odin_graph.catalog.records.deletion import delete
from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import ConflictError, ShapeError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.schema.kinds import alive, undeleted
from odin_graph.schema.properties import now
from odin_graph.stores import Stores

Keys = NDArray[np.int64]
Numbers = NDArray[np.int64]

CHANNELS: Final = ("channels-max", "channels-mean", "channels-argmax")
POOLINGS: Final = ("units", *CHANNELS)
_RETURN: Final = """
RETURN DISTINCT s.id AS id, s.state AS state, s.layer AS layer, s.pooling AS pooling, s.codec AS codec,
       s.odin_digest AS digest, s.odin_shape AS shape, s.odin_device AS device, s.created_at AS created_at
ORDER BY s.created_at, s.id
"""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UnitRef:
    """Identifies a set: the sub-network before the layer, the pooling of its output, and the codec."""

    digest: str
    """Digest of the sub-network and of the device it runs on: see `runtime.subnetwork`."""
    pooling: str = "units"
    codec: UnitCodec = "u8"

    @property
    def set_id(self) -> str:
        """The id of its set."""
        return f"units/{self.digest[:40]}/{self.pooling}/{self.codec}"


@dataclass(frozen=True, slots=True)
class UnitSetRecord:
    """A set's node."""

    id: str
    state: str
    layer: str
    """Its name where it was computed first."""
    pooling: str
    codec: UnitCodec
    digest: str
    shape: tuple[int, ...]
    """Shape of the output for one image, whose numbers in C order are the units; for channels (c,)."""
    device: str

    @property
    def units(self) -> int:
        """The number of units."""
        return prod(self.shape)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """From a row of `_RETURN`."""
        fields = {name: row[name] for name in ("id", "state", "layer", "pooling", "codec", "digest", "device")}
        return cls(**fields, shape=tuple(int(size) for size in row["shape"]))


def unit_sets(
    stores: Stores, checkpoint: str | None = None, layer: str | None = None, pooling: str | None = None
) -> list[UnitSetRecord]:
    """The ready sets, oldest first: all, or those of a checkpoint, and of a layer by its name in that checkpoint."""
    edge = "MATCH (s)-[e:DERIVED_FROM]->(:Checkpoint {id: $checkpoint}) WHERE $layer IS NULL OR e.layer = $layer"
    rows = stores.graph.read(
        f"MATCH (s:ActivationSet) WHERE s.odin_digest IS NOT NULL AND {alive('ActivationSet', 's')} "
        f"AND ($pooling IS NULL OR s.pooling = $pooling) WITH s {edge if checkpoint is not None else ''} {_RETURN}",
        {"checkpoint": checkpoint, "layer": layer, "pooling": pooling},
    )
    return [UnitSetRecord.of_row(row) for row in rows]


def unit_sets_fed_alike(stores: Stores, digest: str, pooling: str) -> list[UnitSetRecord]:
    """The ready sets of any checkpoint whose layer is fed by the same sub-network, oldest first."""
    rows = stores.graph.read(
        "MATCH (s:ActivationSet) WHERE s.odin_digest = $digest AND s.pooling = $pooling "
        f"AND {alive('ActivationSet', 's')} {_RETURN}",
        {"digest": digest, "pooling": pooling},
    )
    return [UnitSetRecord.of_row(row) for row in rows]


def unit_set_of(stores: Stores, set_id: str) -> UnitSetRecord | None:
    """The record of a set in any state; None if there is none, or if it was deleted."""
    rows = stores.graph.read(
        f"MATCH (s:ActivationSet {{id: $id}}) WHERE s.odin_digest IS NOT NULL AND {undeleted('s')} {_RETURN}",
        {"id": set_id},
    )
    return UnitSetRecord.of_row(rows[0]) if rows else None


@dataclass(frozen=True, eq=False)
class UnitSet:
    """A ready set, for reading. Its segments are read from the graph on each access."""

    stores: Stores
    record: UnitSetRecord

    @classmethod
    def open(cls, stores: Stores, set_id: str) -> Self:
        """The set of an id.

        Raises:
            UnknownNameError: There is no such set that is ready; lists those there are.
        """
        record = unit_set_of(stores, set_id)
        if record is None or record.state != "ready":
            raise UnknownNameError.of("unit set", set_id, (existing.id for existing in unit_sets(stores)))
        return cls(stores, record)

    @property
    def array(self) -> UnitArray:
        """The columns of its current segments."""
        return units_of(self.stores, self.record.id)

    def coverage(self) -> Keys:
        """The images (n,) that it covers, sorted."""
        return self.array.coverage()

    def missing(self, keys: Keys) -> Keys:
        """Those of ``keys`` that it does not cover, in their order."""
        return self.array.missing(keys)

    def blocks(self, group: Numbers, *, keep: bool = True) -> Iterator[Columns]:
        """The stored values of a group of units, one segment at a time; each key once."""
        return self.array.blocks(group, keep=keep)

    def values(self, group: Numbers, keys: Keys) -> NDArray[np.float32]:
        """The values of a group for images (n, G), in the order of the keys, which may repeat; only for f16 and f32."""
        return self.array.values(group, keys)

    def noise(self, group: Numbers) -> NDArray[np.float64]:
        """How far a value may differ from that of a new run (G,)."""
        return self.array.noise(group)

    def error(self, group: Numbers) -> NDArray[np.float64]:
        """How far a stored value may differ from the captured one (G,): 0 for f32; for codes see their tables."""
        return self.array.error(group)

    def not_finite(self) -> tuple[int, int]:
        """How many NaN and how many infinities it contains, over all units."""
        return self.array.not_finite()

    def bytes(self) -> int:
        """The size of its segments on the disk."""
        uris = {info.uri for info in self.array.segments}
        return sum(file.bytes for file in self.stores.arrays.files() if file.uri in uris)


def units_array(set_id: str) -> str:
    """The array of a set's units."""
    return f"ActivationSet/{set_id}/units"


def units_of(stores: Stores, set_id: str) -> UnitArray:
    """The stored columns of a set in any state."""
    return UnitArray(stores.arrays, segments_of(stores, units_array(set_id)))


def drop(stores: Stores, set_id: str, *, why: str | None = None) -> None:
    """Delete a set: it is computed again when it is needed. Its files become garbage.

    Raises:
        ConflictError: A live process adds to it.
        UnknownNameError: There never was such a set.
    """
    delete(stores, "ActivationSet", [set_id], why=why)


@contextmanager
def growing_units(
    stores: Stores, ref: UnitRef, *, checkpoint: str, layer: str, shape: tuple[int, ...], device: str
) -> Iterator[UnitGrowth]:
    """Create the set if there is none, and lock it for adding; it is ready afterwards.

    Waits for another process that is adding to it: what that computes need not be computed here.
    """
    _create(stores, ref, layer, shape, device)
    with wait_for(stores, ref.set_id) as lease:
        exists(stores, ref.set_id)  # restores it if another process has dropped it meanwhile; from now on none can
        _check_shape(stores, ref.set_id, layer, shape)
        link(stores, ref.set_id, checkpoint, layer)
        growth = UnitGrowth(stores, ref, lease)
        with settled(stores, ref.set_id, units_array(ref.set_id)):
            yield growth
            growth.finish()


def link(stores: Stores, set_id: str, checkpoint: str, layer: str) -> None:
    """Create the edge from a set to a checkpoint that shares it, if it is missing."""
    ids = {"id": set_id, "checkpoint": checkpoint, "layer": layer}

    def make(tx: Transaction) -> None:
        found = tx.run(
            "MATCH (s:ActivationSet {id: $id})-[e:DERIVED_FROM]->(c:Checkpoint {id: $checkpoint}) "
            "WHERE e.layer = $layer RETURN c.id AS id",
            ids,
        )
        if not found:
            tx.run(
                "MATCH (s:ActivationSet {id: $id}) MATCH (c:Checkpoint {id: $checkpoint}) "
                "CREATE (s)-[:DERIVED_FROM {layer: $layer}]->(c)",
                ids,
            )

    stores.graph.execute(make)


@dataclass(frozen=True, eq=False)
class UnitGrowth:
    """A set that is being added to."""

    stores: Stores
    ref: UnitRef
    lease: Lease

    @property
    def array(self) -> str:
        """The name of the array of its segments."""
        return units_array(self.ref.set_id)

    def missing(self, keys: Keys) -> Keys:
        """The keys that no segment covers."""
        return units_of(self.stores, self.ref.set_id).missing(keys)

    def add(self, segment: SegmentInfo, *, seconds: float = 0.0) -> None:
        """Add a written segment to the set: a later crash does not lose it.

        Args:
            segment: The written segment.
            seconds: The time of computing and writing it.

        Raises:
            ConflictError: Another process took over, or images in it were purged meanwhile.
        """
        name_grown(self.stores, self.lease, segment, seconds)

    def finish(self) -> None:
        """Make the set ready."""

        def ready(tx: Transaction) -> None:
            self.lease.check(tx)
            tx.run("MATCH (s:ActivationSet {id: $id}) SET s.state = 'ready'", {"id": self.ref.set_id})

        self.stores.graph.execute(ready)


def _check_shape(stores: Stores, set_id: str, layer: str, shape: tuple[int, ...]) -> None:
    """Check that the shape is that of the set: unit 3 must be the same unit in all segments."""
    (row,) = stores.graph.read("MATCH (s:ActivationSet {id: $id}) RETURN s.odin_shape AS shape", {"id": set_id})
    old = tuple(int(size) for size in row["shape"])
    if old == shape:
        return
    if units_of(stores, set_id).segments:
        raise ShapeError(
            f"The layer {layer!r} gives outputs of shape {shape} of these images, and what is stored of it is of shape "
            f"{old}, since their sizes differ: ask for its channels, or add the model with a preprocess= that resizes."
        )
    stores.graph.write(
        "MATCH (s:ActivationSet {id: $id}) SET s.odin_shape = $shape", {"id": set_id, "shape": list(shape)}
    )


def _create(stores: Stores, ref: UnitRef, layer: str, shape: tuple[int, ...], device: str) -> None:
    if exists(stores, ref.set_id):
        return
    row = {
        "id": ref.set_id,
        "state": "building",
        "layer": layer,
        "pooling": ref.pooling,
        "codec": ref.codec,
        "odin_digest": ref.digest,
        "odin_shape": list(shape),
        "odin_device": device,
        "created_at": now(),
    }

    def make(tx: Transaction) -> None:
        tx.run("CREATE (s:ActivationSet) SET s = $row", {"row": row})
        creations.record(tx, "ActivationSet", ref.set_id)

    try:
        stores.graph.execute(make)
    except ConflictError:  # another process made it a moment ago
        _log.debug("%s was made by another process", ref.set_id)
