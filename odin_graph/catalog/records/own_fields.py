"""The fields and links of kinds that packages add: their values are checked, and edges drawn to what exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from odin_graph.errors import DataError, MetadataError, UnknownNameError
from odin_graph.graph import Transaction
from odin_graph.graph.kinds import kind_of
from odin_graph.graph.writer import batches, create_edges
from odin_graph.schema.kinds import KINDS, Kind, Link
from odin_graph.schema.metadata import FieldType, encode
from odin_graph.stores import Stores

Ends: TypeAlias = Mapping[str, Sequence[Sequence[str]]]
"""By link: for each thing, the ids of what it leads to."""

_FIXED: Final = ("id", "created_at")
_SHOWN: Final = 5


def own_fields(kind: Kind) -> dict[str, FieldType]:
    """The fields of an added kind whose values users give; of our kinds none."""
    return {} if kind.label in KINDS else {name: type_ for name, type_ in kind.own.items() if name not in _FIXED}


def encode_own(kind: Kind, columns: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """The values of own fields as they are stored.

    Raises:
        MetadataError: A value is not of the type of its field, or missing where each has one; or no state of the kind.
    """
    return {name: [_encoded(kind, name, value) for value in values] for name, values in columns.items()}


def _encoded(kind: Kind, name: str, value: Any) -> Any:
    where, type_ = f"{kind.label}.{name}", kind.own[name]
    try:
        stored = encode(value, type_, where)
    except MetadataError as error:
        raise MetadataError(f"{where} is of the type {type_}, and {value!r:.60} is not.") from error
    if stored is None and name in kind.needed:
        raise MetadataError(f"{where} is missing: every {kind.word} has one.")
    if name == "state" and stored not in kind.states:
        raise MetadataError(f"{where} is {value!r:.60}: the states of a {kind.word} are {', '.join(kind.states)}.")
    return stored


def check_ends(stores: Stores, kind: Kind, links: Ends) -> None:
    """Check that what links lead to exists.

    Raises:
        DataError: A single link leads to several things.
        UnknownNameError: Something does not exist, or was deleted.
    """
    for name, ends in links.items():
        link = kind.links[name]
        if not link.many and (several := [given for given in ends if len(given) > 1]):
            raise DataError(f"{kind.label}.{name} leads to one {link.to}, not to {len(several[0])}.")
        to = kind_of(stores.graph, link.to)
        wanted = dict.fromkeys(id_ for given in ends for id_ in given)
        found: set[str] = set()
        for part in batches(wanted):
            text = f"UNWIND $ids AS id MATCH (n:{to.label} {{id: id}}) WHERE {to.alive()} RETURN collect(id) AS ids"
            found.update(stores.graph.read(text, {"ids": part})[0]["ids"])
        if absent := [id_ for id_ in wanted if id_ not in found]:
            listed = ", ".join(map(repr, absent[:_SHOWN]))
            raise UnknownNameError(
                f"{len(absent)} {to.word if len(absent) == 1 else to.plural} that {name!r} leads to do not exist, or "
                f"were deleted, first {listed}. Nothing was changed: add them first, or leave them out."
            )


def draw_links(tx: Transaction, kind: Kind, ids: Sequence[str], links: Ends) -> None:
    """Draw the edges of new things."""
    for name, ends in links.items():
        link = kind.links[name]
        rows = [
            {"start": id_, "end": end} for id_, given in zip(ids, ends, strict=True) for end in dict.fromkeys(given)
        ]
        create_edges(tx, link.edge, (kind.label, "id"), (link.to, "id"), rows)


def replace_links(tx: Transaction, kind: Kind, ids: Sequence[str], links: Ends) -> None:
    """Draw other edges in place of those that things have."""
    for name in links:
        link = kind.links[name]
        text = f"UNWIND $ids AS id MATCH (:{kind.label} {{id: id}})-[e:{link.edge}]->(:{link.to}) DELETE e"
        for part in batches(ids):
            tx.run(text, {"ids": part})
    draw_links(tx, kind, ids, links)


def check_replaced(kind: Kind, links: Ends) -> None:
    """Refuse to replace what a thing was made from.

    Raises:
        MetadataError: The link is lineage.
    """
    if fixed := [name for name in links if kind.links[name].lineage]:
        raise MetadataError(f"{kind.label}.{fixed[0]} is what it was made from, which does not change: add another.")


def linked(stores: Stores, kind: Kind, link: Link, ids: Sequence[str]) -> dict[str, list[str]]:
    """By thing: the ids of what a link leads to that is ready and not deleted, sorted."""
    to = kind_of(stores.graph, link.to)
    text = (
        f"UNWIND $ids AS id MATCH (i:{kind.label} {{id: id}}) MATCH {link.pattern} WHERE {to.alive('x')} "
        "RETURN id, x.id AS end ORDER BY id, end"
    )
    found: dict[str, list[str]] = {id_: [] for id_ in ids}
    for row in (row for part in batches(ids) for row in stores.graph.read(text, {"ids": part})):
        found[row["id"]].append(row["end"])
    return found


def origins(kind: Kind, links: Ends, row: int) -> Iterator[tuple[str, str, str]]:
    """The lineage of a thing: edge, label and id of each end."""
    for name, ends in links.items():
        link = kind.links[name]
        if link.lineage:
            yield from ((link.edge, link.to, id_) for id_ in dict.fromkeys(ends[row]))
