"""What the schema installs in the graph, and how an older workspace becomes one of today.

Everything is installed before any data: ArcadeDB fixes the type of a property that is indexed after integers were
stored in it as a 32-bit integer, and 1.5 is then silently stored as 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from neomodel import StructuredNode
from neomodel.properties import Property

from odin_graph.schema.creation import CREATED
from odin_graph.schema.nodes import NODES

VERSION: Final = 6
"""Of the schema, kept on the `Workspace` node. A workspace with a higher one is refused, with a lower one migrated."""

MIGRATIONS: Final[tuple[tuple[int, tuple[str, ...]], ...]] = (
    (
        2,
        tuple(
            f"MATCH (n:{label}) WHERE n.id IS NOT NULL MERGE (c:Creation {{id: '{label} ' + n.id}}) "
            f"ON CREATE SET c.kind = '{label}', c.thing = n.id"
            for label in CREATED
        ),
    ),
    (
        3,
        (
            *(
                f"MATCH (n:{label}) WHERE n.by IS NOT NULL SET n.who = n.by SET n.by = null"
                for label in ("Deletion", "LabelChange")
            ),
            "MATCH (a:ActivationSet) WHERE a.pooling = 'channels-where' SET a.pooling = 'channels-argmax'",
            (
                """MATCH (e:Experiment) WHERE e.leaks CONTAINS '"by": {' """
                """SET e.leaks = replace(e.leaks, '"by": {', '"rules": {')"""
            ),
            (
                """MATCH (d:Dataset) WHERE d.query CONTAINS '"odin_split": ' """
                """SET d.query = replace(d.query, '"group": ', '"group_by": ')"""
            ),
        ),
    ),
    # Their chunks are made of the arrays, which the next opening reads: see `Stores.open`.
    (5, ("MATCH (d:Dataset) WHERE d.state <> 'building' SET d.odin_unchunked = true",)),
)
"""What turns version N into N + 1: (N, statements), in order. Statements may be run again after a crash."""


def constraints() -> list[str]:
    """The DDL of the whole schema, generated from the node classes. Each statement may be run again."""
    return list(_statements())


def migrations(found: int) -> list[tuple[int, tuple[str, ...]]]:
    """The steps that a workspace of version ``found`` still has to take: (the version it reaches, statements)."""
    steps = dict(MIGRATIONS)
    return [(version + 1, steps.get(version, ())) for version in range(found, VERSION)]


def _statements() -> Iterator[str]:
    for node in NODES:
        label = node.__label__
        for name, prop in _own_properties(node):
            stored = prop.get_db_property_name(name)
            if prop.unique_index or getattr(prop, "unique", False):
                yield (
                    f"CREATE CONSTRAINT {label}_{stored}_unique IF NOT EXISTS "
                    f"FOR (n:{label}) REQUIRE n.{stored} IS UNIQUE"
                )
            elif prop.index:
                yield f"CREATE INDEX {label}_{stored} IF NOT EXISTS FOR (n:{label}) ON (n.{stored})"


def _own_properties(node: type[StructuredNode]) -> Iterator[tuple[str, Property[Any]]]:
    """Without those of a label above it: a crop is an image too, and its id is unique among all images."""
    above = {name for base in node.__mro__[1:] if base in NODES for name in dict(base.__all_properties__)}
    return ((name, prop) for name, prop in node.__all_properties__ if name not in above)
