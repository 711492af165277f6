"""Chunks of members: which images a data set version contains, as Cypher finds it from either end."""

from __future__ import annotations

from typing import Final

from neomodel import ArrayProperty, IntegerProperty, RelationshipTo, StringProperty, StructuredNode

from odin_graph.schema.properties import ValueProperty

SPAN: Final = 256
"""The number of keys in the range of a chunk. An image of key k is in the chunks of number k / SPAN.

Longer chunks are fewer nodes, but each look-up reads a whole one: on ArcadeDB, four times as long at 1,024 keys.
"""


class MemberChunk(StructuredNode):
    """The members of a data set version whose keys are in one range of 256. As few properties as can be: see SPAN."""

    uid = StringProperty(db_property="id", unique_index=True, required=True)
    """`DATASET:NUMBER`; of members without a label in that range `DATASET:NUMBER:unlabeled`."""
    number = IntegerProperty(index=True)
    """Of the range: the keys divided by 256."""
    keys = ArrayProperty(IntegerProperty())
    """The keys of the members, ascending."""
    labels = ValueProperty()
    """The frozen label of each. Labels that are lists follow one another, see `starts`. None where there are none."""
    starts = ArrayProperty(IntegerProperty())
    """Of labels that are lists: where each begins in `labels`, and where the last ends."""

    part_of = RelationshipTo("odin_graph.schema.dataset.Dataset", "PART_OF")


def holding(dataset: str, image: str = "i") -> str:
    """The pattern and condition, in Cypher, from an image to the data set versions that contain it."""
    return (
        f"(chunk:MemberChunk {{number: {image}.key / {SPAN}}})-[:PART_OF]->({dataset}:Dataset) "
        f"WHERE {image}.key IN chunk.keys"
    )
