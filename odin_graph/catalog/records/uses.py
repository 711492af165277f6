"""What uses a thing that is to be deleted: the reason for a refusal, in words for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from odin_graph.graph import Transaction
from odin_graph.graph.kinds import kinds_of
from odin_graph.graph.member_chunks import versions_with
from odin_graph.graph.writer import batches
from odin_graph.schema.kinds import KINDS, key_of, undeleted

_SHOWN: Final = 5


def uses(tx: Transaction, label: str, things: Sequence[Any]) -> list[str]:
    """Phrases that say what uses the things: ``3 are in the data set version retina@1``; empty if nothing does.

    Args:
        tx: The transaction that is about to delete them.
        label: The kind of the things.
        things: The keys of images, the ids of the others.
    """
    phrases: list[str] = []
    if label == "Image":
        versions = versions_with(tx.run, things, undeleted("d"))
        users = {id_: len(keys) for id_, keys in versions.items()}
        phrases += _phrases("in the data set version", users, len(things))
    for phrase, pattern in _reasons(tx, label):
        # Two clauses, so that ArcadeDB starts at the thing, not at every member of every data set.
        begin = f"UNWIND $things AS thing MATCH (t:{label} {{{key_of(label)}: thing}})"
        cypher = f"{begin} MATCH {pattern} RETURN u.id AS user, count(DISTINCT thing) AS n"
        users = {}
        for part in batches(things):
            for row in tx.run(cypher, {"things": part}):
                users[row["user"]] = users.get(row["user"], 0) + row["n"]
        phrases += _phrases(phrase, users, len(things))
    return phrases


def _reasons(tx: Transaction, label: str) -> Iterator[tuple[str, str]]:
    """What is said of a thing ``t``, and the pattern to what uses it ``u``."""
    if label in KINDS:
        yield from KINDS[label].uses
    for kind in kinds_of(tx).values():
        for link in kind.links.values():
            if link.holds and link.to == label:
                yield link.holds, f"(t)<-[:{link.edge}]-(u:{kind.label}) WHERE {kind.alive('u')}"


def _phrases(phrase: str, users: Mapping[str, int], things: int) -> Iterator[str]:
    for user, number in sorted(users.items()):
        count = f"{number:,} " if things > 1 else ""
        yield f"{count}{'is' if number == 1 else 'are'} {phrase} {user}"


def joined(phrases: Sequence[str]) -> str:
    """Join the first few phrases for a message."""
    more = f" and {len(phrases) - _SHOWN} more" if len(phrases) > _SHOWN else ""
    return "; ".join(phrases[:_SHOWN]) + more
