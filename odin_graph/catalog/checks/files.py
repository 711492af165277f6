"""Files that nodes name and that are no segments: weights, programs and indexes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from odin_graph.catalog import files
from odin_graph.catalog.checks.fault import Fault
from odin_graph.stores import Stores


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file, and what names it."""

    uri: str
    thing: str
    remedy: str


def named_files(stores: Stores) -> Iterator[NamedFile]:
    """Every file that a node names and that is no segment."""
    for row in stores.graph.read(
        "MATCH (c:Checkpoint) WHERE c.weights IS NOT NULL RETURN c.id AS id, c.weights AS digest"
    ):
        yield NamedFile(files.WEIGHTS.uri(row["digest"]), f"checkpoint {row['id']!r}", "Restore it from a backup.")
    for row in stores.graph.read(
        "MATCH (m:Model) WHERE m.definition IS NOT NULL RETURN m.id AS id, m.definition AS json"
    ):
        definition = json.loads(row["json"])
        if definition.get("kind") == "program":
            yield NamedFile(
                files.PROGRAMS.uri(definition["target"]), f"model {row['id']!r}", "Restore it from a backup."
            )
    for row in stores.graph.read("MATCH (v:VectorIndex) WHERE v.uris IS NOT NULL RETURN v.id AS id, v.uris AS uris"):
        for uri in row["uris"]:
            yield NamedFile(uri, f"index {row['id']!r}", "Remove its node: it is built again when it is asked for.")


def check_files(stores: Stores) -> Iterator[Fault]:
    """Every one of them is there."""
    there = {file.uri for file in stores.arrays.files()}
    for named in named_files(stores):
        if named.uri not in there:
            yield Fault(named.thing, f"Its file {named.uri} is missing.", named.remedy)
