"""The kinds of things of a workspace: ours, and those that packages add. Its graph keeps these from their first use.

So they are read, checked and deleted also where the package is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from odin_graph.errors import ConflictError
from odin_graph.graph.connection import Graph
from odin_graph.graph.installation import patiently
from odin_graph.graph.moment import Reader
from odin_graph.graph.transaction import Transaction
from odin_graph.schema.added_kinds import constraints, from_json, installed, merged, to_json, unknown
from odin_graph.schema.kinds import KINDS, Kind

_KEPT: Final = "MATCH (k:NodeKind) RETURN k.id AS label, k.definition AS definition ORDER BY label"
_KEEP: Final = "MERGE (k:NodeKind {id: $label}) SET k.definition = $definition RETURN k.id AS label"
_TAKEN: Final = "MATCH (f:Field {kind: $label}) WHERE f.name IN $names RETURN f.name AS name ORDER BY name"


def kind_of(at: Reader, label: str) -> Kind:
    """The kind of a label: of ours, as an installed package has it, or as the graph keeps it.

    Raises:
        UnknownNameError: There is none.
        ConflictError: The package has made another field or link of one that things here have.
    """
    return KINDS[label] if label in KINDS else _added(label, _kept(at.read))


def kinds_of(at: Reader | Transaction) -> dict[str, Kind]:
    """Every kind that things here may have: ours, and those added ones that were used."""
    return {**KINDS, **added_kinds(at)}


def added_kinds(at: Reader | Transaction) -> dict[str, Kind]:
    """The added kinds that were used here, by label."""
    kept = _kept(at.run if isinstance(at, Transaction) else at.read)
    return {label: _added(label, kept) for label in kept}


def use_kind(graph: Graph, label: str) -> Kind:
    """Make constraints, indexes and the definition of an added kind, and of those it is linked to, if need be.

    Raises:
        UnknownNameError: There is no such kind, or none that it has a link to.
        ConflictError: A field has the name of metadata that things of the kind have.
    """
    kind = kind_of(graph, label)
    if label in KINDS:
        return kind
    waiting, kept = [kind], _kept(graph.read)
    seen = {label}
    while waiting:
        each = waiting.pop()
        if each.label not in kept or from_json(each.label, kept[each.label]) != each:
            _check_free(graph, each)
            patiently(partial(_keep, graph, each))
        for to in {link.to for link in each.links.values()} - seen - KINDS.keys():
            seen.add(to)
            waiting.append(_added(to, kept))
    return kind


def _check_free(graph: Graph, kind: Kind) -> None:
    """Refuse a field with the name of metadata that there is."""
    taken = graph.read(_TAKEN, {"label": kind.label, "names": [*kind.own, *kind.links]})
    if taken:
        raise ConflictError(
            f"{kind.label}.{taken[0]['name']} is metadata in this workspace, and a field of the installed package: "
            "give the field another name."
        )


def _keep(graph: Graph, kind: Kind) -> None:
    for statement in constraints(kind):  # before any data: see `schema.version`
        graph.autocommit(statement)
    graph.write(_KEEP, {"label": kind.label, "definition": to_json(kind)})


def _kept(read: Callable[..., Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    """The definitions that the graph keeps, by label."""
    return {row["label"]: row["definition"] for row in read(_KEPT)}


def _added(label: str, kept: Mapping[str, str]) -> Kind:
    package = installed(label)
    if label in kept:
        stored = from_json(label, kept[label])
        return stored if package is None else merged(package, stored)
    if package is None:
        raise unknown(label, tuple(kept))
    return package
