"""Images, and the crops that are images too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neomodel import IntegerProperty, RelationshipFrom, RelationshipTo, StringProperty

from odin_graph.schema import keys
from odin_graph.schema.described import Described
from odin_graph.schema.properties import ValueProperty
from odin_graph.schema.relations import DerivedFrom
from odin_graph.schema.traced import Traced


class Image(Traced, Described):
    """One image. Its pixels are in the arrays, under its key; new pixels are a new image.

    Subclass it to declare metadata that is filtered on: ``class Scan(og.schema.Image): age = IntegerProperty()``.
    """

    key = IntegerProperty(index=True, unique=True)
    """int64, never given twice in a workspace: its identity in arrays, columns and indexes.

    `unique` is ours: neomodel would look up what it has by a `unique_index` too, before there is a key.
    """
    label = ValueProperty()
    """Today's truth: a string, a number, or a list of labels. Data set versions fix their own."""
    digest = StringProperty(index=True)
    """SHA-256 of dtype, shape and pixels, in hex."""
    file_digest = StringProperty()
    """SHA-256 of the file's bytes, where it came from a file."""
    path = StringProperty()
    height = IntegerProperty()
    width = IntegerProperty()
    bands = IntegerProperty()
    dtype = StringProperty()
    """NumPy's name of the pixels' type: uint8, uint16, float32."""

    derived_from = RelationshipTo("odin_graph.schema.image.Image", "DERIVED_FROM", model=DerivedFrom)
    derived_from_video = RelationshipTo("odin_graph.schema.video.Video", "DERIVED_FROM", model=DerivedFrom)
    derived_from_volume = RelationshipTo("odin_graph.schema.volume.Volume", "DERIVED_FROM", model=DerivedFrom)
    derivatives = RelationshipFrom("odin_graph.schema.image.Image", "DERIVED_FROM", model=DerivedFrom)
    root = RelationshipTo("odin_graph.schema.image.Image", "HAS_ROOT")
    root_video = RelationshipTo("odin_graph.schema.video.Video", "HAS_ROOT")
    root_volume = RelationshipTo("odin_graph.schema.volume.Volume", "HAS_ROOT")
    revision_of = RelationshipTo("odin_graph.schema.image.Image", "REVISION_OF")
    datasets = RelationshipFrom("odin_graph.schema.dataset.Dataset", "HAD_MEMBER")
    predictions = RelationshipFrom("odin_graph.schema.prediction.Prediction", "OF")
    label_changes = RelationshipFrom("odin_graph.schema.label_change.LabelChange", "OF")

    def pre_save(self) -> None:
        """Reserve the key of a new image, and see to its metadata: a hook of neomodel."""
        if vars(self)["key"] is None:
            (self.key,) = keys.reserve()
        super().pre_save()

    @classmethod
    def _bulk_create(cls, *props: Any, **options: Any) -> list[Any]:
        return super()._bulk_create(*_with_keys(props), **options)

    @classmethod
    def _bulk_get_or_create(cls, *props: Any, **options: Any) -> list[Any]:
        return super()._bulk_get_or_create(*_with_keys(props), **options)


class Crop(Image):
    """A region cut out of an image: an image in every respect, with its place on DERIVED_FROM."""


def _with_keys(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    new = [row for row in rows if row.get("key") is None]
    reserved = iter(keys.reserve(len(new)) if new else ())
    return [dict(row) if row.get("key") is not None else {**row, "key": next(reserved)} for row in rows]
