"""Versions of data sets."""

from __future__ import annotations

from neomodel import ArrayProperty, BooleanProperty, IntegerProperty, RelationshipFrom, RelationshipTo, StringProperty

from odin_graph.schema.described import Described
from odin_graph.schema.lease import Leased
from odin_graph.schema.properties import InstantProperty, JsonProperty
from odin_graph.schema.relations import DerivedFrom, HadMember, Used
from odin_graph.schema.traced import Traced


class Dataset(Traced, Leased, Described):
    """One version of a data set. Order and labels of its members are in its arrays, and by key in its chunks."""

    base = StringProperty(index=True)
    """The id without the version: `mnist` of `mnist@1`."""
    version = IntegerProperty()
    digest = StringProperty(index=True)
    """SHA-256 over (image digest, label) in order, in hex."""
    size = IntegerProperty()
    """Number of members."""
    state = StringProperty()
    """building or ready."""
    frozen_at = InstantProperty()
    label_field = StringProperty()
    """The field whose values were fixed as its labels."""
    odin_given = BooleanProperty()
    """True where labels were given, or kept from an earlier version, in place of the field's values."""
    odin_made = IntegerProperty()
    """Counts up from version to version, of any data set: which is newer is not a matter of clocks."""
    odin_unchunked = BooleanProperty()
    """True on a version that was made before there were chunks, until its chunks are made where it is opened."""
    tags = ArrayProperty(StringProperty())
    """Words to find it by, no part of what is frozen."""
    query = JsonProperty()
    """The query that made it, in its JSON form; None where images were listed."""

    warnings = ArrayProperty(StringProperty(), db_property="odin_warnings")
    """What a split of it, or the one that made it, did not reach, and was warned of."""

    chunks = RelationshipFrom("odin_graph.schema.member_chunk.MemberChunk", "PART_OF")
    members = RelationshipTo("odin_graph.schema.image.Image", "HAD_MEMBER", model=HadMember)
    revision_of = RelationshipTo("odin_graph.schema.dataset.Dataset", "REVISION_OF")
    derived_from = RelationshipTo("odin_graph.schema.dataset.Dataset", "DERIVED_FROM", model=DerivedFrom)
    experiments = RelationshipFrom("odin_graph.schema.experiment.Experiment", "USED", model=Used)
    prediction_sets = RelationshipFrom("odin_graph.schema.prediction_set.PredictionSet", "OF")
