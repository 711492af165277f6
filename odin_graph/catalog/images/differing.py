"""Images that are stored with other labels or metadata than a repeated call gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.images.labels import same_label
from odin_graph.graph.writer import quoted
from odin_graph.schema.metadata import decode, encode
from odin_graph.schema.reserved import check_name
from odin_graph.stores import Stores


def differing(stores: Stores, keys: NDArray[np.int64], columns: Mapping[str, Sequence[Any]]) -> list[int]:
    """The positions of images whose stored values differ from the given ones. Missing values are ignored.

    Args:
        stores: The open workspace.
        keys: The keys of the images.
        columns: The given values for each image, by name, including the label.

    Raises:
        MetadataError: An invalid metadata name, or a value that cannot be stored.
    """
    names = list(columns)
    for name in names:
        if name != "label":
            check_name("Image", name)
    values = ", ".join(f"i.{quoted(name)}" for name in names)
    rows = stores.graph.read(
        f"UNWIND $keys AS key MATCH (i:Image {{key: key}}) RETURN i.key AS key, [{values}] AS values",
        {"keys": keys.tolist()},
    )
    stored = {row["key"]: [decode(value) for value in row["values"]] for row in rows}
    positions = []
    for position, key in enumerate(keys.tolist()):
        given = (encode(columns[name][position]) for name in names)
        pairs = zip(given, stored.get(key, ()), strict=False)
        if any(new is not None and not same_label(new, old) for new, old in pairs):
            positions.append(position)
    return positions
