"""The segments that hold images which are purged: each is written again without them, and its node swapped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.arrays import SegmentInfo, without
from odin_graph.catalog.images.pixels import ARRAY, ORIGINALS
from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.segments import all_named, all_segments, discard, name_segments, take_turn
from odin_graph.errors import StoreError
from odin_graph.graph import Transaction
from odin_graph.stores import Stores

Keys = NDArray[np.int64]

BY_IMAGE: Final = {
    ARRAY: "images' pixels",
    ORIGINALS: "original files",
    "Dataset": "labels frozen in data sets",
    "PredictionSet": "rows of predictions",
    "ActivationSet": "rows of activations",
    "AttributionSet": "attribution maps",
    "VectorSet": "vectors of users",
}
"""The arrays whose keys are those of images, by the first word of their names."""


def affected(stores: Stores, keys: Keys) -> Counter[str]:
    """How many rows of each kind are of these images."""
    found: Counter[str] = Counter()
    for info, held in _holding(stores, keys):
        found[BY_IMAGE[_word(info)]] += held
    return found


def replace_segments(stores: Stores, keys: Keys, deletion: str, lease: Lease) -> Counter[str]:
    """Write every segment that holds some of the images again without them; how many rows of each kind went.

    One transaction a segment: it names the new ones, and notes on the (:Deletion) what is to be destroyed. Of a data
    set version the row stays, since it has an order and a length; its label goes.
    """
    gone: Counter[str] = Counter()
    passed: set[str] = set()
    while found := [(info, held) for info, held in _holding(stores, keys) if info.id not in passed]:
        for info, held in found:
            word = _word(info)
            if word == "Dataset":
                table = stores.arrays.read_table(info)
                blank = _blank(table, keys)
                passed.add(info.id)
                if blank is table:
                    continue
                new = [stores.arrays.write_table(info.array, blank)]
                passed.update(segment.id for segment in new)
            else:
                try:
                    new = without(stores.arrays, info, keys)
                except StoreError:
                    if all_named(stores, [info]):
                        raise
                    continue  # another process replaced it meanwhile: the next look finds what took its place
            if _swap(stores, info, new, held, deletion, lease):
                gone[BY_IMAGE[word]] += held
    return gone


def _holding(stores: Stores, keys: Keys) -> Iterator[tuple[SegmentInfo, int]]:
    """The segments that hold some of the images, and how many."""
    if not len(keys):
        return
    for info in all_segments(stores):
        if _word(info) not in BY_IMAGE or info.max_key < keys[0] or info.min_key > keys[-1]:
            continue
        if held := int(np.isin(keys, stores.arrays.keys(info)).sum()):
            yield info, held


def _swap(stores: Stores, old: SegmentInfo, new: list[SegmentInfo], held: int, deletion: str, lease: Lease) -> bool:
    """Whether it was swapped; where another process did so first, what was written is removed again."""

    def swap(tx: Transaction) -> bool:
        lease.check(tx)
        take_turn(tx)
        if not tx.run("MATCH (s:Segment {id: $id}) WITH s, s.id AS id DETACH DELETE s RETURN id", {"id": old.id}):
            return False
        name_segments(tx, new)
        tx.run(
            "MATCH (x:Deletion {id: $id}) SET x.files = coalesce(x.files, []) + $uris",
            {"id": deletion, "uris": [old.uri]},
        )
        word, _, rest = old.array.partition("/")
        set_id, _, part = rest.rpartition("/")
        if (word, part) in (("PredictionSet", "columns"), ("VectorSet", "rows")):
            tx.run(
                f"MATCH (s:{word} {{id: $id}}) SET s.rows = CASE WHEN s.rows >= $n THEN s.rows - $n ELSE s.rows END",
                {"id": set_id, "n": held},
            )
        return True

    try:
        done = stores.graph.execute(swap)
    except BaseException:
        discard(stores, new)
        raise
    if not done:
        discard(stores, new)
    return done


def _blank(table: pa.Table, keys: Keys) -> pa.Table:
    """The members without the labels of these images; the table itself where they have none."""
    label = table.column("label").combine_chunks()
    ours = pa.array(np.isin(table.column("key").to_numpy(), keys))
    if not pc.any(pc.and_(ours, pc.is_valid(label))).as_py():
        return table
    place = table.schema.get_field_index("label")
    return table.set_column(place, "label", pc.if_else(ours, pa.scalar(None, label.type), label))


def _word(info: SegmentInfo) -> str:
    return info.array.partition("/")[0]
