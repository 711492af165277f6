"""Images of a user's own class: its declared fields are filled from the metadata, and checked before any is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from odin_graph.errors import DataError, MetadataError
from odin_graph.ingest.entry import Entry
from odin_graph.schema import Image


def entries_of_kind(kind: type[Image], entries: Sequence[Entry]) -> Sequence[Entry]:
    """The entries as the class stores them: by the names of its properties in the graph, with its defaults.

    Raises:
        DataError: It is no class of images.
        MetadataError: A required field is missing, or a value is not of the declared type.
    """
    if not (isinstance(kind, type) and issubclass(kind, Image)):
        raise DataError(f"kind= takes a subclass of og.schema.Image, not {kind!r}.")
    ours = {name for name, _ in Image.__all_properties__}
    declared = {name: prop for name, prop in kind.__all_properties__ if name not in ours}
    if not declared:
        return entries
    # An entry with an error has no image, so what it lacks is no reason to stop.
    return [entry if entry.error is not None else _filled(kind, declared, entry) for entry in entries]


def _filled(kind: type[Image], declared: Mapping[str, Any], entry: Entry) -> Entry:
    values = dict(entry.metadata)
    for name, prop in declared.items():
        value = values.pop(name, None)
        if value is None and prop.has_default:
            value = prop.default_value()
        if value is None:
            if prop.required:
                raise MetadataError(
                    f"{entry.id!r} has no {name!r}, which {kind.__name__} requires: add it to the metadata."
                )
            continue
        try:
            stored = prop.deflate(value, None)
            if isinstance(value, float) and stored != value:
                raise ValueError("digits would be lost")  # neomodel makes 1 of 1.5
        except (TypeError, ValueError) as error:  # neomodel's DeflateError is a ValueError
            raise MetadataError(
                f"{name!r} of {entry.id!r} is {value!r}, which {type(prop).__name__} of {kind.__name__} refuses: "
                "correct the value, or the class."
            ) from error
        values[prop.get_db_property_name(name)] = stored
    return replace(entry, metadata=values)
