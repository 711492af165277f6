"""Things of kinds that packages add: store, read and purge them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from odin_graph.catalog.records import creations
from odin_graph.catalog.records.deletion import deletion_of
from odin_graph.catalog.records.fields import NewValues
from odin_graph.catalog.records.nodes import unknown
from odin_graph.catalog.records.origins import Origin, texts
from odin_graph.catalog.records.own_fields import Ends, check_ends, draw_links, encode_own, linked, origins, own_fields
from odin_graph.errors import ConflictError, DataError, MetadataError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.kinds import kind_of, use_kind
from odin_graph.graph.writer import BATCH, batches, create_nodes
from odin_graph.schema.added_kinds import label_of, name_of
from odin_graph.schema.added_kinds import unknown as unknown_kind
from odin_graph.schema.kinds import KINDS, Kind
from odin_graph.schema.metadata import decode
from odin_graph.schema.properties import now
from odin_graph.served import served
from odin_graph.stores import Stores

_AT_ONCE: Final = 50_000
"""At most so many things are stored in one transaction."""
_SHOWN: Final = 5


@served
def kind_named(stores: Stores, name: str) -> str:
    """The label of an added kind.

    Raises:
        UnknownNameError: There is no such kind, in a package or in the workspace.
    """
    label = label_of(name)
    return _added(stores, label if name == name_of(label) else name).label


@served
def links_of(stores: Stores, label: str) -> dict[str, tuple[str, bool]]:
    """By link of an added kind: the label of what it leads to, and whether that may be many."""
    return {name: (link.to, link.many) for name, link in _added(stores, label).links.items()}


@served
def facts_of(stores: Stores, label: str, id: str) -> dict[str, Any]:  # noqa: A002 - the users' word for it
    """The fields of a thing, its single links by id, and its metadata.

    Raises:
        UnknownNameError: There is no such thing.
    """
    kind = _added(stores, label)
    rows = stores.graph.read(
        f"MATCH (n:{label} {{id: $id}}) WHERE {kind.alive()} RETURN properties(n) AS own", {"id": id}
    )
    if not rows:
        raise unknown(stores, label, kind.word, id)
    own = rows[0]["own"]
    facts = {name: decode(own.get(name), type_) for name, type_ in kind.own.items()}
    for name, link in kind.links.items():
        if not link.many:
            facts[name] = next(iter(linked(stores, kind, link, [id])[id]), None)
    free = own.keys() - facts.keys() if kind.metadata else ()
    return facts | {name: decode(own[name]) for name in sorted(free) if not name.startswith(("odin_", "lease_"))}


@served
def linked_to(stores: Stores, label: str, id: str, name: str) -> list[str]:  # noqa: A002
    """The ids of what a link of a thing leads to."""
    kind = _added(stores, label)
    if name not in kind.links:
        raise UnknownNameError.of(f"link of {label}", name, kind.links)
    return linked(stores, kind, kind.links[name], [id])[id]


def _added(stores: Stores, label: str) -> Kind:
    """An added kind; of ours other functions tell strangers what they may know."""
    if label in KINDS:
        raise unknown_kind(label)
    return kind_of(stores.graph, label)


def add_things(
    stores: Stores, label: str, ids: Sequence[str], columns: Mapping[str, Sequence[Any]], links: Ends
) -> None:
    """Store things of an added kind; equal ones that exist are kept.

    Up to 50,000 are one transaction. An interrupted call can be repeated.

    Args:
        stores: The open workspace.
        label: Their kind.
        ids: Their ids.
        columns: Fields and free metadata by name, a value for each.
        links: What they are connected to.

    Raises:
        DataError: An id is empty, is no text, or is there twice.
        MetadataError: A value is not of its field's type, or a name is not allowed.
        ConflictError: An id is taken by another thing, or a deleted one.
        UnknownNameError: What a link leads to does not exist.
    """
    kind = use_kind(stores.graph, label)
    _check_ids(kind, ids)
    fields = own_fields(kind)
    first = {"state": [kind.states[0]] * len(ids)} if kind.states and "state" not in columns else {}
    own = encode_own(kind, {**first, **{name: values for name, values in columns.items() if name in fields}})
    for name in kind.needed:
        if name != "id" and name not in own and not all(links.get(name, [()])):
            raise MetadataError(f"{kind.label}.{name} is missing: every {kind.word} has one.")
    free = {name: values for name, values in columns.items() if name not in fields}
    values = NewValues.of(kind, free)
    check_ends(stores, kind, links)
    for start in range(0, len(ids), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        _add(
            stores,
            kind,
            ids[part],
            {name: column[part] for name, column in own.items()},
            values.part(part),
            {name: ends[part] for name, ends in links.items()},
        )


def _check_ids(kind: Kind, ids: Sequence[Any]) -> None:
    if wrong := [id_ for id_ in ids if not isinstance(id_, str) or not id_.strip()]:
        raise DataError(f"The id of a {kind.word} is a text that is not empty, not {wrong[0]!r:.80}.")
    if len(set(ids)) != len(ids):
        twice = next(id_ for place, id_ in enumerate(ids) if id_ in ids[:place])
        raise DataError(f"{kind.label} {twice!r} is there twice: give one row each.")


def _add(
    stores: Stores, kind: Kind, ids: Sequence[str], own: Mapping[str, Sequence[Any]], values: NewValues, links: Ends
) -> None:
    at = now()

    def make(tx: Transaction) -> None:
        there = _there(stores, kind, ids, own, values, links, tx.run)
        new = [row for row, id_ in enumerate(ids) if id_ not in there]
        free = values.record(tx, len(ids))
        rows = []
        for row in new:
            made_from = [Origin(*origin) for origin in origins(kind, links, row)]
            fields = {name: column[row] for name, column in own.items()}
            rows.append({**free[row], **fields, "id": ids[row], "created_at": at, "odin_origins": texts(made_from)})
        create_nodes(tx, [kind.label], rows)
        creations.record_all(tx, kind.label, [ids[row] for row in new])
        draw_links(
            tx, kind, [ids[row] for row in new], {name: [ends[row] for row in new] for name, ends in links.items()}
        )

    try:
        stores.graph.execute(make)
    except ConflictError:  # another process was faster: if it made the same, that is kept
        stores.graph.execute(make)


def _there(
    stores: Stores,
    kind: Kind,
    ids: Sequence[str],
    own: Mapping[str, Sequence[Any]],
    values: NewValues,
    links: Ends,
    run: Callable[..., Any],
) -> set[str]:
    """Those that exist, all of them as they are given.

    Raises:
        ConflictError: One was deleted, or has other values or links.
    """
    nodes: dict[str, dict[str, Any]] = {}
    for part in batches(ids, BATCH):
        text = f"UNWIND $ids AS id MATCH (n:{kind.label} {{id: id}}) RETURN id, properties(n) AS own"
        nodes |= {row["id"]: row["own"] for row in run(text, {"ids": part})}
    if deleted := [id_ for id_, node in nodes.items() if node.get("deleted")]:
        raise deletion_of(stores, kind.label, deleted[0]) or ConflictError(f"{kind.label} {deleted[0]!r} was deleted.")
    ends = {name: linked(stores, kind, kind.links[name], list(nodes)) for name in links} if nodes else {}
    for row, id_ in enumerate(ids):
        if id_ not in nodes:
            continue
        given = {name: column[row] for name, column in {**own, **values.columns}.items()}
        differ = [
            name for name, value in given.items() if value is not None and decode(nodes[id_].get(name)) != decode(value)
        ]
        differ += [name for name, of in links.items() if sorted(set(of[row])) != ends[name][id_]]
        if differ:
            raise ConflictError(
                f"There is a {kind.word} {id_!r} already, with other {', '.join(differ)}. Change it with update(), or "
                "give another id."
            )
    return set(nodes)
