"""Models as records: the definition, the layers that a dry run found, and the preprocessing of pixels."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from odin_graph.catalog.records import creations
from odin_graph.catalog.records.deletion import deletion_of
from odin_graph.catalog.records.fields import NewValues
from odin_graph.catalog.records.origins import Origin, draw, texts
from odin_graph.errors import ConflictError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.schema.kinds import alive
from odin_graph.schema.properties import now
from odin_graph.served import served, travels
from odin_graph.stores import Stores

_VERSIONS: Final = """
MATCH (m:Model) WHERE m.id = $id OR m.id STARTS WITH $prefix RETURN m.id AS id, m.deleted IS NOT NULL AS deleted
"""
_BASE: Final = re.compile(r"@([2-9]|[1-9]\d+)$")
"""The end of the id of a version; the first version has the bare id."""
_COMPARED = ("definition", "preprocess", "classes", "task", "input_shape", "input")


@travels
@dataclass(frozen=True, slots=True)
class ModelRecord:
    """The node of a model. Nested values are JSON text, as in the graph."""

    id: str
    definition: str
    definition_digest: str
    """Digest of what the definition builds, independent of its layout."""
    tree: str
    """A list of layers, see `runtime.layers.LayerRow`."""
    preprocess: str
    """A `Pipeline`."""
    parameters: int
    input_shape: tuple[int, ...] | None = None
    classes: tuple[str | int | bool, ...] | None = None
    task: str | None = None
    input: str = "{}"
    """What one input is, an `Input`."""

    @property
    def digest(self) -> str:
        """SHA-256 of everything that determines the output of the model for an image."""
        return hashlib.sha256(json.dumps(list(self._compared().values())).encode()).hexdigest()

    def differences(self, other: ModelRecord) -> list[str]:
        """The names of the values that affect the output of the model and differ."""
        mine, theirs = self._compared(), other._compared()
        return [name for name in _COMPARED if mine[name] != theirs[name]]

    def to_node(self) -> dict[str, Any]:
        """The properties of its node."""
        row = {
            "id": self.id,
            "definition": self.definition,
            "tree": self.tree,
            "preprocess": self.preprocess,
            "parameters": self.parameters,
            "input_shape": list(self.input_shape) if self.input_shape else None,
            "classes": list(self.classes) if self.classes else None,
            "task": self.task,
            "input": self.input,
            "digest": self.digest,
        }
        return {name: value for name, value in row.items() if value is not None}

    @classmethod
    def of_node(cls, node: Mapping[str, Any]) -> Self:
        """The record of the properties from `to_node`."""
        definition = json.loads(node["definition"])
        return cls(
            id=node["id"],
            definition=node["definition"],
            definition_digest=definition["digest"],
            tree=node["tree"],
            preprocess=node["preprocess"],
            parameters=node["parameters"],
            input_shape=tuple(node["input_shape"]) if node.get("input_shape") else None,
            classes=tuple(node["classes"]) if node.get("classes") else None,
            task=node.get("task"),
            input=node.get("input", "{}"),
        )

    def _compared(self) -> dict[str, Any]:
        # Without the version of odin_graph that wrote the pipeline: it does not change what the pipeline does.
        steps = json.loads(self.preprocess)["ops"]
        values = (self.definition_digest, steps, self.classes, self.task, self.input_shape, json.loads(self.input))
        return {name: json.loads(json.dumps(value)) for name, value in zip(_COMPARED, values, strict=True)}


def add_model(
    stores: Stores, record: ModelRecord, metadata: Mapping[str, Any] | None = None, *, revises: str | None = None
) -> bool:
    """Store a model; an equal one that exists is kept.

    Args:
        stores: The workspace.
        record: The model.
        metadata: Free metadata.
        revises: The id of the model that it is the next version of.

    Returns:
        Whether it is new.

    Raises:
        ConflictError: Another model has the id; says how they differ.
        MetadataError: A reserved metadata name, or a value of another type than recorded.
    """
    values = NewValues.of("Model", {name: [value] for name, value in (metadata or {}).items()})
    origins = [Origin("REVISION_OF", "Model", revises)] if revises is not None else []

    def make(tx: Transaction) -> None:
        (free,) = values.record(tx)
        row = {**free, **record.to_node(), "created_at": now(), "odin_origins": texts(origins)}
        tx.run("CREATE (m:Model) SET m = $row", {"row": row})
        creations.record(tx, "Model", record.id)
        draw(tx, "Model", record.id, origins)

    if (deleted := deletion_of(stores, "Model", record.id)) is not None:
        raise deleted
    if (existing := _read(stores, record.id)) is None:
        try:
            stores.graph.execute(make)
        except ConflictError:  # another process was faster: continue as if the model had existed
            existing = _read(stores, record.id)
            if existing is None:
                raise
        else:
            return True
    if differ := existing.differences(record):
        raise ConflictError(
            f"There is a model {record.id!r} already, with other {', '.join(differ)}. Make it the next version with "
            "revise=True, or give it another id; other weights of the same model are a checkpoint."
        )
    return False


def revise_model(stores: Stores, record: ModelRecord, metadata: Mapping[str, Any] | None = None) -> str:
    """Store a model as the next version, ``ID@2``, of the model whose id, or id of a version, it has.

    A model that equals an existing version is that version.

    Returns:
        The id of the version.
    """
    base = _BASE.sub("", record.id)
    while True:
        taken, current = _numbers(stores, base)
        for number in reversed(current):
            existing = _read(stores, _version(base, number))
            if existing is not None and not existing.differences(record):
                return existing.id
        fresh = replace(record, id=_version(base, max(taken, default=0) + 1))
        before = _version(base, current[-1]) if current else None
        try:
            add_model(stores, fresh, metadata, revises=before)
        except ConflictError:  # another process made that version meanwhile
            if _read(stores, fresh.id) is None:
                raise
        else:
            return fresh.id


@served
def versions_of(stores: Stores, id: str) -> list[str]:  # noqa: A002 - the users' word for it
    """The ids of all versions of a model, given any of them, the oldest first."""
    base = _BASE.sub("", id)
    return [_version(base, number) for number in _numbers(stores, base)[1]]


def _version(base: str, number: int) -> str:
    return base if number == 1 else f"{base}@{number}"


def _numbers(stores: Stores, base: str) -> tuple[list[int], list[int]]:
    """The numbers of all versions that a model ever had, and of those that are not deleted, ascending."""
    rows = stores.graph.read(_VERSIONS, {"id": base, "prefix": f"{base}@"})
    is_current = {}
    for row in rows:
        ending = row["id"].removeprefix(base).removeprefix("@")
        number = 1 if not ending else int(ending) if ending.isdecimal() else 0
        if number and _version(base, number) == row["id"]:  # otherwise only the prefix is the same
            is_current[number] = not row["deleted"]
    return sorted(is_current), sorted(number for number, current in is_current.items() if current)


@served
def model_of(stores: Stores, id: str) -> ModelRecord:  # noqa: A002 - the users' word for it
    """The model of that id.

    Raises:
        UnknownNameError: There is none; lists those there are.
    """
    record = _read(stores, id)
    if record is None:
        raise UnknownNameError.of("model", id, model_ids(stores), remedy="db.models.add(...) adds one.")
    return record


@served
def model_ids(stores: Stores) -> list[str]:
    """Every model, oldest first."""
    rows = stores.graph.read(
        f"MATCH (m:Model) WHERE {alive('Model', 'm')} RETURN m.id AS id ORDER BY m.created_at, m.id"
    )
    return [str(row["id"]) for row in rows]


def _read(stores: Stores, id_: str) -> ModelRecord | None:
    rows = stores.graph.read(
        f"MATCH (m:Model {{id: $id}}) WHERE {alive('Model', 'm')} RETURN properties(m) AS node", {"id": id_}
    )
    return ModelRecord.of_node(rows[0]["node"]) if rows else None
