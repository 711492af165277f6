"""Files that nodes name and that are not segments: weights, programs and indexes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from odin_graph.catalog.records import files
from odin_graph.stores import Stores


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file and the thing that names it."""

    uri: str
    thing: str
    remedy: str
    mend: Callable[[], str] | None = None
    """Repairs the graph if the file can be made again."""


def named_files(stores: Stores) -> Iterator[NamedFile]:
    """Every file that a node names and that is not a segment."""
    for row in stores.graph.read(
        "MATCH (c:Checkpoint) WHERE c.weights IS NOT NULL RETURN c.id AS id, c.weights AS digest"
    ):
        yield NamedFile(files.WEIGHTS.uri(row["digest"]), f"checkpoint {row['id']!r}", "Restore it from a backup.")
    for row in stores.graph.read(
        "MATCH (m:Model) WHERE m.definition IS NOT NULL RETURN m.id AS id, m.definition AS json"
    ):
        try:
            definition = json.loads(row["json"])
        except (ValueError, TypeError):  # `check_models` reports it
            continue
        kind = files.DEFINED.get(str(definition.get("kind"))) if isinstance(definition, dict) else None
        if kind is not None:
            yield NamedFile(kind.uri(definition["target"]), f"model {row['id']!r}", "Restore it from a backup.")
    for row in stores.graph.read("MATCH (v:VectorIndex) WHERE v.uris IS NOT NULL RETURN v.id AS id, v.uris AS uris"):
        for uri in row["uris"]:
            yield NamedFile(
                uri,
                f"index {row['id']!r}",
                "`odin doctor --repair` drops it: it is built again when it is asked for.",
                partial(_drop_index, stores, row["id"]),
            )


def _drop_index(stores: Stores, id_: str) -> str:
    stores.graph.write("MATCH (v:VectorIndex {id: $id}) DETACH DELETE v", {"id": id_})
    return f"The index {id_!r} was dropped; it is built again when it is asked for."
