"""What frozen things use: why a deletion is refused, said so that a person can act on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from odin_graph.graph import Transaction
from odin_graph.graph.writer import batches

_SHOWN: Final = 5

# Each: what is said of the thing, and the pattern from the thing (t) to what uses it (u).
_USES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "Image": (("in the data set version", "(t)<-[:HAD_MEMBER]-(u:Dataset) WHERE u.deleted IS NULL"),),
    "Dataset": (
        ("used by the experiment", "(t)<-[:USED]-(u:Experiment) WHERE u.deleted IS NULL"),
        ("predicted by the prediction set", "(t)<-[:OF]-(u:PredictionSet) WHERE u.state = 'ready'"),
    ),
    "Model": (
        ("trained by the experiment", "(t)<-[:USED]-(u:Experiment) WHERE u.deleted IS NULL"),
        ("run by the checkpoint", "(t)<-[:SPECIALIZATION_OF]-(u:Checkpoint) WHERE u.deleted IS NULL"),
    ),
    "Experiment": (
        (
            "gone on from by the experiment",
            "(t)<-[:INFORMED_BY]-(u:Experiment) WHERE u.deleted IS NULL AND NOT u.id IN $things",
        ),
        (
            "the maker of the weights of the prediction set",
            """(t)<-[:GENERATED_BY]-(:Checkpoint)<-[:DERIVED_FROM]-(u:PredictionSet)-[:GENERATED_BY]->(e:Experiment)
               WHERE u.state = 'ready' AND NOT e.id IN $things""",
        ),
    ),
    "Checkpoint": (
        ("what was run for the prediction set", "(t)<-[:DERIVED_FROM]-(u:PredictionSet) WHERE u.state = 'ready'"),
    ),
    "Video": (
        (
            "the root of images in the data set version",
            "(t)<-[:HAS_ROOT]-(:Image)<-[:HAD_MEMBER]-(u:Dataset) WHERE u.deleted IS NULL",
        ),
    ),
    "Volume": (
        (
            "the root of images in the data set version",
            "(t)<-[:HAS_ROOT]-(:Image)<-[:HAD_MEMBER]-(u:Dataset) WHERE u.deleted IS NULL",
        ),
    ),
}


def uses(tx: Transaction, label: str, things: Sequence[Any]) -> list[str]:
    """What uses them, each in a phrase: ``3 are in the data set version retina@1``; empty if nothing does.

    Args:
        tx: The transaction that is about to delete them.
        label: Their kind.
        things: The keys of images, the ids of the others.
    """
    found: list[str] = []
    for phrase, pattern in _USES.get(label, ()):
        # Two clauses, so that ArcadeDB begins at the thing, and not at every member of every data set.
        begin = f"UNWIND $things AS thing MATCH (t:{label} {{{'key' if label == 'Image' else 'id'}: thing}})"
        cypher = f"{begin} MATCH {pattern} RETURN u.id AS user, count(DISTINCT thing) AS n"
        users: dict[str, int] = {}
        for part in batches(things):
            for row in tx.run(cypher, {"things": part}):
                users[row["user"]] = users.get(row["user"], 0) + row["n"]
        for user, number in sorted(users.items()):
            count = f"{number:,} " if len(things) > 1 else ""
            found.append(f"{count}{'is' if number == 1 else 'are'} {phrase} {user}")
    return found


def told(phrases: Sequence[str]) -> str:
    """The first few of them, for a message."""
    more = f" and {len(phrases) - _SHOWN} more" if len(phrases) > _SHOWN else ""
    return "; ".join(phrases[:_SHOWN]) + more
