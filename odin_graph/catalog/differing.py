"""Images that are stored with other labels or metadata than a repeated call gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from odin_graph.graph.writer import quoted
from odin_graph.schema.metadata import check_name, decode, encode
from odin_graph.stores import Stores


def differing(stores: Stores, ids: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """The ids, of images that are stored, whose values are others than those given. A missing value says nothing.

    Args:
        stores: The open workspace.
        ids: Of the images.
        columns: The values given for each, by name; the label among them.

    Raises:
        MetadataError: A name that is no metadata name, or a value that nothing stores.
    """
    names = list(columns)
    for name in names:
        if name != "label":
            check_name("Image", name)
    values = ", ".join(f"i.{quoted(name)}" for name in names)
    rows = stores.graph.read(
        f"UNWIND $ids AS id MATCH (i:Image {{id: id}}) RETURN i.id AS id, [{values}] AS held", {"ids": list(ids)}
    )
    held = {row["id"]: [decode(value) for value in row["held"]] for row in rows}
    found = []
    for position, id_ in enumerate(ids):
        given = (encode(columns[name][position]) for name in names)
        if any(new is not None and new != old for new, old in zip(given, held.get(id_, ()), strict=False)):
            found.append(id_)
    return found
