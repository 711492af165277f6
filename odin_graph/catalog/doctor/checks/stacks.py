"""Volumes and videos: their images are those that they were stored with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from odin_graph.catalog.doctor.checks.fault import Fault
from odin_graph.catalog.images.stacks import PARTS, Kind, images_of, stack_digest
from odin_graph.schema.kinds import alive
from odin_graph.stores import Stores

_ROOTS = """
MATCH (v:{kind} {{id: $id}}) MATCH (v)<-[:HAS_ROOT]-(i:Image) MATCH (i)-[:DERIVED_FROM]->(v) RETURN count(i) AS n
"""


def check_stacks(stores: Stores) -> Iterator[Fault]:
    """Check number, order and digests of the images of each ready one, and that it is their root."""
    for kind in get_args(Kind):
        rows = stores.graph.read(
            f"MATCH (v:{kind}) WHERE {alive(kind, 'v')} RETURN properties(v) AS node ORDER BY v.id"
        )
        for node in (row["node"] for row in rows):
            thing, part = f"{kind.lower()} {node['id']!r}", PARTS[kind]
            images = images_of(stores, kind, node["id"], deleted=True)
            roots = stores.graph.read(_ROOTS.format(kind=kind), {"id": node["id"]})[0]["n"]
            if len(images) != node["size"] or roots != node["size"]:
                yield Fault(
                    thing,
                    f"It has {len(images)} {part}s and is the root of {roots}; it was stored with {node['size']}.",
                    "Look for a client that changes their edges, and store it again under another id.",
                )
                continue
            digests = [image["digest"] for image in images]
            if None in digests:  # an image was purged: the digest cannot be computed again
                continue
            if stack_digest(kind, node["shape"], node["axis"], node["every"], digests) != node["digest"]:
                yield Fault(
                    thing,
                    f"Its {part}s are not those that it was stored with: the digest differs.",
                    "Look for a client that changes them, and store it again under another id.",
                )
