"""Data set versions: an order of images with the labels they had, frozen under a digest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.catalog.datasets.frozen import Content, freeze
from odin_graph.catalog.records import creations, leases
from odin_graph.catalog.records.fields import NewValues
from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.nodes import unknown
from odin_graph.catalog.records.origins import Origin, draw, texts
from odin_graph.catalog.records.segments import name_leased, segments_of
from odin_graph.errors import ConflictError, DataError, FrozenError, QueryError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.journal import NO_IMAGE
from odin_graph.graph.member_chunks import draw_chunks
from odin_graph.graph.writer import batches
from odin_graph.schema.kinds import alive
from odin_graph.schema.metadata import encode
from odin_graph.schema.properties import now
from odin_graph.served import served
from odin_graph.stores import Stores

BROWSED: Final = 100_000
"""Up to so many members, a version also has an edge HAD_MEMBER to each, for people who browse the graph.

Nothing of ours reads these edges, and a million of them take a minute and a half.
"""

_VERSIONS = f"""
MATCH (n:Dataset {{base: $base}})
RETURN n.id AS id, n.version AS version, n.digest AS digest, n.state AS state, {leases.FIELDS} ORDER BY n.version
"""
_LATEST = f"""
MATCH (d:Dataset {{base: $base}}) WHERE {alive("Dataset", "d")}
RETURN d.query AS query ORDER BY d.version DESC LIMIT 1
"""
_KEEP = """
UNWIND $ids AS id MATCH (d:Dataset {id: id})
SET d.odin_warnings = [note IN coalesce(d.odin_warnings, []) WHERE NOT note IN $notes] + $notes
"""


@dataclass(frozen=True)
class Derivation:
    """How a data set was made: the query as JSON, and the version that it read, if any."""

    query: Mapping[str, Any]
    parent: str | None = None


def members_array(id: str) -> str:  # noqa: A002 - the users' word for it
    """The array of the keys and labels of a version, in its order."""
    return f"Dataset/{id}/members"


def create_dataset(
    stores: Stores,
    base: str,
    keys: NDArray[np.int64],
    *,
    label: str | None = "label",
    labels: pa.Array | None = None,
    derived: Derivation | None = None,
    revise: bool = False,
    revises: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """Freeze images and their labels under an id.

    Args:
        stores: The open workspace.
        base: The id without a version: ``"retina-test"``, ``"mnist/train"``.
        keys: The images, in the order of the set.
        label: The field that is the truth; None for a set without labels.
        labels: The labels themselves, in place of the field's values; ``label`` then only names them.
        derived: The query that made it.
        revise: Make the next version if the id has other content.
        revises: The version that it is a REVISION_OF; by default the latest.
        metadata: Free metadata of the version.

    Returns:
        The id with its version. The same content again gives the existing version.

    Raises:
        FrozenError: The id has other content and ``revise`` is false.
        ConflictError: Another process is making it.
        DataError: An image twice, an unknown image, an image without a label, or an invalid id.
    """
    check_base(base)
    content = freeze(stores, keys, label, labels)
    values = NewValues.of("Dataset", {name: [value] for name, value in (metadata or {}).items()})
    versions = stores.graph.read(_VERSIONS, {"base": base})
    existing = [row for row in versions if row["state"] != "deleted"]
    for row in existing:
        if row["digest"] == content.digest:
            if row["state"] == "ready":
                return str(row["id"])
            return _complete(stores, str(row["id"]), content)
    unfinished = [row for row in existing if row["state"] != "ready"]
    for row in unfinished:
        if (holder := leases.of_row(row)) is not None and holder.live:
            raise leases.busy("Dataset", row["id"], holder)
    ready = [row for row in existing if row["state"] == "ready"]
    if ready and not revise:
        latest = ready[-1]["id"]
        raise FrozenError(
            f"The data set {base!r} exists with other images, another order or other labels "
            f"(latest version: {latest}). "
            f"A version is frozen: give another id, or revise=True to make {base}@{versions[-1]['version'] + 1}."
        )
    version = versions[-1]["version"] + 1 if versions else 1
    before = revises or (ready[-1]["id"] if ready else None)
    id_ = _begin(stores, base, version, content, label, derived, before, values, given=labels is not None)
    return _complete(stores, id_, content)


@served
def resolve(stores: Stores, dataset: Any) -> str:
    """The id with its version: ``"mnist"`` is the latest version, ``"mnist@1"`` the first.

    Args:
        stores: The open workspace.
        dataset: A data set, or its id.

    Raises:
        UnknownNameError: There is no such data set, or it is not finished.
        QueryError: It is neither.
    """
    id_ = getattr(dataset, "id", dataset)
    if not isinstance(id_, str):
        raise QueryError(
            f"{dataset!r:.80} is not a data set: give one or its id; db.datasets.add(id, images) freezes images as one."
        )
    rows = stores.graph.moment().read(
        f"MATCH (d:Dataset {{id: $id}}) WHERE {alive('Dataset', 'd')} RETURN d.id AS id, d.version AS version "
        f"UNION MATCH (d:Dataset {{base: $id}}) WHERE {alive('Dataset', 'd')} RETURN d.id AS id, d.version AS version",
        {"id": id_},
    )
    if not rows:
        known = stores.graph.read(f"MATCH (d:Dataset) WHERE {alive('Dataset', 'd')} RETURN DISTINCT d.base AS base")
        remedy = "" if known else "db.datasets.add(id, images) makes one."
        raise UnknownNameError.of("data set", id_, [row["base"] for row in known], remedy=remedy)
    return str(max(rows, key=lambda row: row["version"])["id"])


def check_base(base: str) -> None:
    """Refuse an invalid data set id.

    Raises:
        DataError: Empty, or with an @, which versions end with.
    """
    if not isinstance(base, str) or not base.strip():
        raise DataError(f"{base!r} is not a data set id: give a string that is not empty.")
    if "@" in base:
        raise DataError(
            f"The data set id {base!r} has an @, which is for versions: leave it out; versions are numbered for you."
        )


def _begin(
    stores: Stores,
    base: str,
    version: int,
    content: Content,
    label: str | None,
    derived: Derivation | None,
    before: str | None,
    values: NewValues,
    *,
    given: bool,
) -> str:
    id_ = f"{base}@{version}"
    origins = [Origin("REVISION_OF", "Dataset", before)] if before is not None else []
    if derived is not None and derived.parent is not None:
        origins.append(Origin("DERIVED_FROM", "Dataset", derived.parent))
    row = {
        "id": id_,
        "odin_origins": texts(origins),
        "base": base,
        "version": version,
        "digest": content.digest,
        "size": len(content.keys),
        "state": "building",
        "created_at": now(),
        "label_field": label,
        "odin_given": given or None,
        "query": json.dumps(derived.query, ensure_ascii=False, sort_keys=True) if derived else None,
    }

    def make(tx: Transaction) -> None:
        (free,) = values.record(tx)
        (last,) = tx.run("MATCH (d:Dataset) RETURN max(d.odin_made) AS made")
        made = {**free, **row, "odin_made": (last["made"] or 0) + 1}
        tx.run("CREATE (d:Dataset) SET d = $row", {"row": {k: v for k, v in made.items() if v is not None}})
        creations.record(tx, "Dataset", id_)
        draw(tx, "Dataset", id_, origins, {"DERIVED_FROM": {"query": row["query"]}})

    try:
        stores.graph.execute(make)
    except ConflictError as error:
        raise ConflictError(
            f"Another process began the data set {id_} at the same time. Wait until it is finished and call again: "
            "the same content then gives its version."
        ) from error
    return id_


def draw_edges(stores: Stores, id: str, members: pa.Table, lease: Lease | None = None) -> None:  # noqa: A002
    """Create the edges from a version to its members, each with the frozen label.

    Args:
        stores: The open workspace.
        id: The version's.
        members: ``key`` and ``label``.
        lease: Our lease on the version; None if it is ready.
    """
    labels = members.column("label").to_pylist()
    rows = [
        {"key": key, "label": None if label is None else encode(label, name="label")}
        for key, label in zip(members.column("key").to_pylist(), labels, strict=True)
    ]
    for batch in batches(rows):

        def join(tx: Transaction, part: list[dict[str, Any]] = batch) -> None:
            if lease is not None:
                lease.check(tx)
            tx.run(
                # The data set first, and once: half again as fast on ArcadeDB as with every image.
                "MATCH (d:Dataset {id: $id}) UNWIND $rows AS r MATCH (i:Image {key: r.key}) "
                "CREATE (d)-[:HAD_MEMBER {label: r.label}]->(i)",
                {"id": id, "rows": part},
                NO_IMAGE,
            )

        stores.graph.execute(join)


def _complete(stores: Stores, id_: str, content: Content) -> str:
    """Write the missing parts of a building version, and make it ready in one last transaction."""
    with leases.acquire(stores.graph, "Dataset", id_) as lease:
        if not segments_of(stores, members_array(id_)):
            name_leased(stores, lease, [stores.arrays.write_table(members_array(id_), content.table)])
        draw_chunks(stores.graph, id_, content.table, lease.check)
        if len(content.keys) <= BROWSED:
            (drawn,) = stores.graph.read(
                "MATCH (d:Dataset {id: $id})-[:HAD_MEMBER]->(i) RETURN collect(i.key) AS keys", {"id": id_}
            )
            missing = np.flatnonzero(~np.isin(content.keys, np.asarray(drawn["keys"], np.int64)))
            draw_edges(stores, id_, content.table.take(pa.array(missing)), lease)

        def finish(tx: Transaction) -> None:
            lease.check(tx)
            tx.run(
                "MATCH (d:Dataset {id: $id}) SET d.state = 'ready', d.frozen_at = $at",
                {"id": id_, "at": now()},
            )

        stores.graph.execute(finish)
    return id_


@served
def record_of(stores: Stores, id: str) -> dict[str, Any]:  # noqa: A002 - the users' word for it
    """The properties of a version.

    Raises:
        UnknownNameError: There is none.
    """
    rows = stores.graph.read("MATCH (d:Dataset {id: $id}) RETURN properties(d) AS own", {"id": id})
    if not rows:
        raise unknown(stores, "Dataset", "data set", id)
    record: dict[str, Any] = rows[0]["own"]
    return record


@served
def warnings_of(stores: Stores, id: str) -> list[str]:  # noqa: A002
    """What a version's split, or its use, was warned of."""
    rows = stores.graph.read("MATCH (d:Dataset {id: $id}) RETURN d.odin_warnings AS warnings", {"id": id})
    return list(rows[0]["warnings"] or ()) if rows else []


def keep_warnings(stores: Stores, ids: Sequence[str], notes: Sequence[str]) -> None:
    """Store warnings on versions, each once."""
    stores.graph.write(_KEEP, {"ids": list(ids), "notes": list(notes)})


def set_tags(stores: Stores, id: str, tags: Sequence[str]) -> None:  # noqa: A002
    """Replace the tags of a version."""
    stores.graph.write("MATCH (d:Dataset {id: $id}) SET d.tags = $tags", {"id": id, "tags": list(tags) or None})


def latest_query(stores: Stores, base: str) -> dict[str, Any]:
    """How the latest version of a data set was chosen, as JSON has it; empty where it was listed."""
    rows = stores.graph.read(_LATEST, {"base": base})
    chosen: dict[str, Any] = json.loads(rows[0]["query"] or "{}") if rows else {}
    return chosen
