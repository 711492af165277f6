"""Rewrite the segments that contain purged images without them, and swap the nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.arrays import SegmentInfo, without
from odin_graph.catalog.experiments.projection import columns_of
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
"""Description of each array that is keyed by image, by the first word of its name."""


def affected(stores: Stores, keys: Keys) -> Counter[str]:
    """Count the rows of these images, by kind."""
    found: Counter[str] = Counter()
    for info, count in _holding(stores, keys):
        found[BY_IMAGE[_word(info)]] += count
    return found


def replace_segments(stores: Stores, keys: Keys, deletion: str, lease: Lease) -> Counter[str]:
    """Rewrite every segment that contains some of the images without them; count the removed rows by kind.

    One transaction a segment: it names the new segments, and records on the (:Deletion) the file to destroy. In a data
    set version the row stays, since order and length are frozen, but its label is removed. A prediction of several
    images is removed with all of its rows.
    """
    removed: Counter[str] = Counter()
    done: set[str] = set()
    while holding := [(info, count) for info, count in _holding(stores, keys) if info.id not in done]:
        for info, count in holding:
            word = _word(info)
            if word == "Dataset":
                table = stores.arrays.read_table(info)
                blanked = _blank(table, keys)
                done.add(info.id)
                if blanked is table:
                    continue
                new = [stores.arrays.write_table(info.array, blanked)]
                done.update(segment.id for segment in new)
            else:
                try:
                    new = without(stores.arrays, info, _with_inputs(stores, info, keys))
                except StoreError:
                    if all_named(stores, [info]):
                        raise
                    continue  # another process replaced it meanwhile: the next pass finds the replacement
            if _swap(stores, info, new, count, deletion, lease):
                removed[BY_IMAGE[word]] += count
    return removed


def _holding(stores: Stores, keys: Keys) -> Iterator[tuple[SegmentInfo, int]]:
    """The segments that contain some of the images, each with their number."""
    if not len(keys):
        return
    # The columns of predictions last: they say which images were predicted together.
    for info in sorted(all_segments(stores), key=lambda info: info.array.endswith("/columns")):
        if _word(info) not in BY_IMAGE or info.max_key < keys[0] or info.min_key > keys[-1]:
            continue
        if np.isin(keys, stored := stores.arrays.keys(info)).any():
            yield info, int(np.isin(_with_inputs(stores, info, keys), stored).sum())


def _with_inputs(stores: Stores, info: SegmentInfo, keys: Keys) -> Keys:
    """The images, and those that a prediction set predicted together with one of them, as one input."""
    if _word(info) != "PredictionSet":
        return keys
    set_id = info.array.removeprefix("PredictionSet/").rpartition("/")[0]
    table = columns_of(stores, set_id)
    if table is None or "input" not in table.column_names:
        return keys
    stored, first = table.column("key").to_numpy(), table.column("input").to_numpy()
    together: Keys = stored[np.isin(first, first[np.isin(stored, keys)])]
    return np.union1d(keys, together)


def _swap(stores: Stores, old: SegmentInfo, new: list[SegmentInfo], count: int, deletion: str, lease: Lease) -> bool:
    """Swap a segment; False if another process did so first, and then the new files are removed."""

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
                {"id": set_id, "n": count},
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
    """The members without the labels of these images; the same table if they have no labels."""
    label = table.column("label").combine_chunks()
    is_purged = pa.array(np.isin(table.column("key").to_numpy(), keys))
    if not pc.any(pc.and_(is_purged, pc.is_valid(label))).as_py():
        return table
    position = table.schema.get_field_index("label")
    return table.set_column(position, "label", pc.if_else(is_purged, pa.scalar(None, label.type), label))


def _word(info: SegmentInfo) -> str:
    return info.array.partition("/")[0]
