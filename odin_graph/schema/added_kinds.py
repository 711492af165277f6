"""Kinds of things that packages add: a `Kind` under the entry points ``odin_graph.kinds``, and its form in the graph.

The name is the label in lower case, its words joined by hyphens: ``eye-exam`` is the kind of the label ``EyeExam``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any, Final

from odin_graph.errors import ConflictError, OdinError, StoreError, UnknownNameError
from odin_graph.registry import PluginError, Registry
from odin_graph.schema.edges import TYPES
from odin_graph.schema.kinds import KINDS, Kind, Link
from odin_graph.schema.metadata.names import check
from odin_graph.schema.metadata.types import FieldType
from odin_graph.schema.nodes import LABELS

ADDED: Final[Registry[Kind]] = Registry("kind of thing", group="odin_graph.kinds")

BASE: Final = ("id", "key", "deleted", "state", "created_at", "lease_owner", "lease_until")
"""Properties of every added kind, or kept for such: no field of a package has their names."""
_KEPT: Final = ("label", "word", "plural", "needed", "indexed", "states", "metadata", "leased", "deletable")
_OURS: Final = ("key", "order", "datasets", "built", "computed", "parts", "uses", "created")
_LABEL: Final = re.compile("[A-Z][A-Za-z0-9]*")
_EDGE: Final = re.compile("[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


def label_of(name: str) -> str:
    """The label of a kind's name."""
    return "".join(word.capitalize() for word in name.split("-"))


def name_of(label: str) -> str:
    """The name of a kind's label."""
    return re.sub("(?<!^)(?=[A-Z])", "-", label).lower()


def installed(label: str) -> Kind | None:
    """The kind of a label as an installed package has it; None if none has.

    Raises:
        PluginError: The package's entry is no kind, or one that cannot be.
    """
    if label != label_of(name := name_of(label)) or label in KINDS or name not in ADDED:
        return None
    found = ADDED.get(name)
    if not isinstance(found, Kind):
        raise PluginError(f"The kind of thing {name!r} is {found!r:.80}: give a {Kind.__module__}.Kind.")
    if fault := _fault(found, label):
        raise PluginError(f"The kind of thing {name!r} {fault}.")
    return _with_base(found)


def unknown(label: str, known: Iterable[str] = ()) -> UnknownNameError:
    """The error for a kind that neither a package nor the workspace has."""
    remedy = f"A package that registers it (entry points {ADDED.group!r}) may be missing here."
    name = name_of(label)
    asked = name if _LABEL.fullmatch(label) and label == label_of(name) else label
    return UnknownNameError.of("added kind of thing", asked, {*ADDED, *map(name_of, known)}, remedy=remedy)


def to_json(kind: Kind) -> str:
    """The text that a graph keeps of an added kind."""
    own = {name: type_.value for name, type_ in kind.own.items()}
    links = {name: asdict(link) for name, link in kind.links.items()}
    return json.dumps({**{name: getattr(kind, name) for name in _KEPT}, "own": own, "links": links})


def from_json(label: str, text: str) -> Kind:
    """The kind that a graph keeps; what a newer odin_graph may have added to the text is left out.

    Raises:
        StoreError: It is not as it was written.
    """
    try:
        kind = _read(json.loads(text))
        fault = _fault(_without_base(kind), label)
    except (ValueError, KeyError, TypeError, AttributeError, OdinError) as error:
        fault = f"cannot be read ({type(error).__name__}: {error})"
    if fault:
        raise StoreError(
            f"The definition of the kind {label!r}, which the graph keeps, {fault}. Restore the node "
            f"(:NodeKind {{id: {label!r}}}) from a backup."
        )
    return kind


def _read(data: dict[str, Any]) -> Kind:
    fields: dict[str, Any] = {name: tuple(data[name]) if isinstance(data[name], list) else data[name] for name in _KEPT}
    own = {name: FieldType(type_) for name, type_ in data["own"].items()}
    known = Link.__dataclass_fields__
    links = {name: Link(**{key: link[key] for key in link.keys() & known}) for name, link in data["links"].items()}
    return Kind(**fields, own=own, links=links)


def merged(package: Kind, kept: Kind) -> Kind:
    """A package's kind in a workspace that has things of an earlier version of it: those keep their fields.

    Raises:
        ConflictError: A field or a link became another one.
    """
    for name, type_ in kept.own.items():
        if (new := package.own.get(name, type_)) is not type_:
            raise ConflictError(
                f"{kept.label}.{name} is {type_} in this workspace, and {new} in the installed package: give the new "
                "field another name."
            )
    for name, link in kept.links.items():
        now = package.links.get(name, link)
        if (now.edge, now.to, now.many) != (link.edge, link.to, link.many):
            raise ConflictError(
                f"The link {name!r} of {kept.label} is {link.edge} to {link.to} in this workspace, and {now.edge} to "
                f"{now.to} in the installed package: give the new link another name."
            )
    return replace(package, own={**kept.own, **package.own}, links={**kept.links, **package.links})


def constraints(kind: Kind) -> Iterator[str]:
    """The DDL of an added kind; each statement may be run again."""
    label = kind.label
    yield f"CREATE CONSTRAINT {label}_id_unique IF NOT EXISTS FOR (n:{label}) REQUIRE n.id IS UNIQUE"
    for name in kind.indexed:
        yield f"CREATE INDEX {label}_{name} IF NOT EXISTS FOR (n:{label}) ON (n.{name})"


def _with_base(kind: Kind) -> Kind:
    """With the fields that every added kind has."""
    state = {"state": FieldType.STRING} if kind.states else {}
    own = {"id": FieldType.STRING, **kind.own, **state, "created_at": FieldType.DATETIME}
    needed = dict.fromkeys(("id", *kind.needed, *state))
    return replace(kind, own=own, needed=tuple(needed))


def _without_base(kind: Kind) -> Kind:
    own = {name: type_ for name, type_ in kind.own.items() if name not in BASE}
    return replace(kind, own=own, needed=tuple(name for name in kind.needed if name not in BASE))


def _fault(kind: Kind, label: str) -> str | None:
    """Why a kind cannot be, if it cannot."""
    if kind.label != label:
        return f"has the label {kind.label!r}: it is {label!r}, or the entry point is {name_of(kind.label)!r}"
    if not _LABEL.fullmatch(label):
        return f"has the label {label!r}: use letters and digits, the first of them a capital"
    if label in LABELS:
        return f"has a label of ours, {label!r}: take another"
    plain = Kind(label=label, word=kind.word)
    if given := [name for name in _OURS if getattr(kind, name) != getattr(plain, name)]:
        return f"sets {given[0]!r}, which is for our kinds alone"
    return next((fault for fault in (*_faults_of_fields(kind), *_faults_of_links(kind)) if fault), None)


def _faults_of_fields(kind: Kind) -> Iterator[str]:
    for name in (*kind.own, *kind.links):
        if name in BASE or not name.isidentifier():
            yield f"has a field {name!r}: use an identifier other than {', '.join(BASE)}"
        check(kind.label, name, ())
    for name in kind.own.keys() & kind.links.keys():
        yield f"has {name!r} both as a field and as a link"
    for name, type_ in kind.own.items():
        if type(type_) is not FieldType:
            yield f"has a field {name!r} whose type is {type_!r:.60}: give a FieldType"
    for name in kind.needed:
        if name not in {"id", *kind.own, *kind.links}:
            yield f"needs {name!r}, which it does not have"
    for name in kind.indexed:
        if name not in kind.own or kind.own[name].is_list:
            yield f"indexes {name!r}: an index is of a field of its own with one value"


def _faults_of_links(kind: Kind) -> Iterator[str]:
    ends: dict[tuple[str, str], str] = {}
    for name, link in kind.links.items():
        if not _EDGE.fullmatch(link.edge) or link.edge in TYPES:
            yield f"has a link {name!r} of the type {link.edge!r}: use capitals and underscores, and no type of ours"
        if not _LABEL.fullmatch(link.to):
            yield f"has a link {name!r} to {link.to!r}, which is no label"
        if link.many and link.whole:
            yield f"has a link {name!r} that is both many and whole: a thing belongs to one other"
        if (other := ends.setdefault((link.edge, link.to), name)) != name:
            yield f"has links {other!r} and {name!r} of one type to one kind: which edge is whose, nobody can tell"
