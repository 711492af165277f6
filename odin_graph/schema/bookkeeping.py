"""What the workspace keeps about itself: its identity, its counters, and the types of the users' metadata."""

from __future__ import annotations

from neomodel import ArrayProperty, IntegerProperty, StringProperty

from odin_graph.schema.base import Record
from odin_graph.schema.properties import JsonProperty


class Workspace(Record):
    """The one node that names the workspace; its arrays carry the same id."""

    schema_version = IntegerProperty()
    fields = IntegerProperty()
    """Counts the changes of recorded metadata types: where writers of them meet."""
    odin_swaps = IntegerProperty()
    """Counts the swaps of segments: where writers of them meet."""
    odin_budget = IntegerProperty()
    """Bytes that all activation sets together may take; absent where nobody said."""
    odin_secret = StringProperty()
    """On a server: by it the graph knows what it wrote into its arrays, from what others did."""


class Counter(Record):
    """Gives each number once: `image` counts the keys of images."""

    next = IntegerProperty()
    """The first number that nobody has reserved."""


class Writer(Record):
    """Counts transactions that wrote; see `odin_graph.graph.journal`."""

    writes = IntegerProperty()
    """All that were counted here."""
    changes = IntegerProperty()
    """The `Change` nodes that these made."""


class Change(Record):
    """What a transaction changed of images, kept for a while: who has seen it need not read all images anew."""

    keys = StringProperty()
    """Their keys, packed; absent for any image."""
    fields = ArrayProperty(StringProperty())
    """The fields; absent for all of them, and where images were added or removed."""
    at = IntegerProperty()
    """The engine's clock, by which the oldest are removed."""


class NodeKind(Record):
    """A kind of things that a package adds, from its first use on: so it is read without the package, too."""

    definition = JsonProperty()
    """A `Kind` as JSON, see `odin_graph.schema.added_kinds`. The id of the node is its label."""


class Field(Record):
    """The recorded type of one metadata name of one kind. The id is `KIND.NAME`: `Image.age`."""

    uid = StringProperty(db_property="id", index=True, required=True)
    """Unique since writers of types meet at the Workspace. A constraint would have ArcadeDB refuse the second of them
    for good, instead of running it again."""
    kind = StringProperty(index=True)
    name = StringProperty()
    type = StringProperty()
    """int, float, bool, string, date, datetime, or a list of one: `list[int]`."""
