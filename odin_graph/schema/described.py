"""Nodes that take the users' metadata beside our properties."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from neo4j.graph import Node
from neomodel import RelationshipTo, StructuredNode, db

from odin_graph.schema import foreign
from odin_graph.schema.base import Record, atomic
from odin_graph.schema.metadata.names import check
from odin_graph.schema.metadata.recording import record_types
from odin_graph.schema.metadata.types import classify
from odin_graph.schema.metadata.values import decode, encode
from odin_graph.schema.properties import now
from odin_graph.schema.relations import InvalidatedBy
from odin_graph.schema.tombstone import Tombstoned


class Described(Tombstoned, Record):
    """A node with an id and free metadata, whose names are attributes here: ``image.age``.

    Metadata named as an attribute that every node has (`labels`, `save` ...) is the attribute with an underscore behind
    it: ``image.labels_``. No metadata name ends in an underscore, so nothing else is called that.
    """

    __abstract_node__ = True

    invalidated_by = RelationshipTo("odin_graph.schema.deletion.Deletion", "INVALIDATED_BY", model=InvalidatedBy)

    @classmethod
    def inflate(cls, graph_entity: Any) -> Self:
        """From the driver's node: our properties, those that a subclass declares, and metadata."""
        node: Self = super().inflate(graph_entity)
        if isinstance(graph_entity, Node):
            declared = {prop.get_db_property_name(name) for name, prop in cls.__all_properties__}
            for name in graph_entity.keys() - declared:
                setattr(node, f"{name}_" if hasattr(cls, name) else name, decode(graph_entity[name]))
        return node

    @classmethod
    def deflate(cls, properties: Any, obj: Any = None, skip_empty: bool = False) -> dict[str, Any]:
        """To what is stored.

        Raises:
            MetadataError: A name or a value of metadata is refused.
        """
        stored: dict[str, Any] = super().deflate(properties, obj, skip_empty=skip_empty)
        for _, name, value in cls._metadata(properties):
            check(cls._kind(), name, cls._ours())
            stored[name] = encode(value, name=name)
        return stored

    def pre_save(self) -> None:
        """Record the types of the metadata, and bring its values to them: a hook of neomodel.

        Raises:
            MetadataError: A name that is ours, or a type that clashes with the recorded one.
        """
        super().pre_save()
        (values,) = self._recorded([self.__properties__])
        for attribute, value in values.items():
            setattr(self, attribute, value)

    @classmethod
    def inherited_optional_labels(cls) -> list[str]:
        """Any label there is: a user's subclass need not be defined where its nodes are read."""
        return [*super().inherited_optional_labels(), *foreign.labels()]

    @classmethod
    def _bulk_create(cls, *props: Any, **options: Any) -> list[Any]:
        with atomic(cls):
            rows = [{"created_at": now(), **row} for row in cls._recorded(props)]
            return super()._bulk_create(*rows, **options)

    @classmethod
    def _bulk_get_or_create(cls, *props: Any, **options: Any) -> list[Any]:
        with atomic(cls):
            rows = [{"created_at": now(), **row} for row in cls._recorded(props)]
            return super()._bulk_get_or_create(*rows, **options)

    @classmethod
    def _recorded(cls, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Record the types of what the rows of attributes bring along; the rows, with their values of those types."""
        result = [dict(row) for row in rows]
        columns: dict[str, list[Any]] = {}
        for row in result:
            for _, name, value in cls._metadata(row):
                check(cls._kind(), name, cls._ours())
                columns.setdefault(name, []).append(value)
            for name, value in cls._declared(row):
                columns.setdefault(name, []).append(value)
        found = {name: classify(values, f"{cls._kind()}.{name}") for name, values in columns.items()}
        types = record_types(_run, cls._kind(), {name: type_ for name, type_ in found.items() if type_ is not None})
        for row in result:
            for attribute, name, value in list(cls._metadata(row)):
                row[attribute] = encode(value, types.get(name), f"{cls._kind()}.{name}")
        return result

    @classmethod
    def _kind(cls) -> str:
        """The label of ours that a user's subclass stands on: Image for a Scan, and for a Crop."""
        return str(_roots(cls)[-1].__label__)

    @classmethod
    def _ours(cls) -> list[str]:
        """The stored names of our properties on that kind, sorted."""
        return sorted(prop.get_db_property_name(name) for name, prop in _roots(cls)[-1].__all_properties__)

    @classmethod
    def _metadata(cls, row: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
        """(attribute, stored name, value) of what no class declares."""
        declared = dict(cls.__all_properties__)
        for attribute, value in row.items():
            if attribute not in declared and attribute != "element_id_property":  # neomodel's own, on saved nodes
                stored = attribute.removesuffix("_")
                yield attribute, stored if hasattr(cls, stored) else attribute, value

    @classmethod
    def _declared(cls, row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """(stored name, stored value) of what a user's subclass declares."""
        ours = dict(_roots(cls)[0].__all_properties__)
        for name, prop in cls.__all_properties__:
            if name not in ours and row.get(name) is not None:
                yield prop.get_db_property_name(name), prop.deflate(row[name])


def _roots(cls: type[StructuredNode]) -> list[type[StructuredNode]]:
    """The classes of ours among its bases, the most derived first."""
    package = __name__.rpartition(".")[0]
    return [base for base in cls.__mro__ if base.__module__.startswith(package) and "__label__" in vars(base)]


def _run(query: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows, names = db.cypher_query(query, dict(parameters))
    return [dict(zip(names, row, strict=True)) for row in rows]
