"""Finds checkpoints that were chosen by a test set, for a warning, and records the choice as a use of the test set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from odin_graph.analysis.leaks import JUDGED
from odin_graph.graph import Transaction
from odin_graph.schema.kinds import alive
from odin_graph.schema.properties import now
from odin_graph.stores import Stores

_OF_TEST: Final = frozenset({"test", "tests", "testing", "holdout", "heldout"})
_OF_VALIDATION: Final = frozenset({"val", "valid", "validation", "dev", "eval", "tune", "tuning"})
_OF_TRAINING: Final = frozenset({"train", "training", "fit"})
_GLUED: Final = re.compile(
    r"(test|val|valid|validation|train|training)_?(acc|accuracy|loss|f1|auc|auroc|err|error|score|metric|map|iou|dice)s?"
)
"""Words that people write as one: ``testacc``, ``valloss``."""
_TESTS: Final = f"""
MATCH (e:Experiment {{id: $id}}) MATCH (e)-[u:USED]->(d:Dataset) WHERE u.role = $role
OPTIONAL MATCH (e)<-[:GENERATED_BY]-(s:PredictionSet)-[:OF]->(d) WHERE {alive("PredictionSet", "s")}
RETURN d.id AS dataset, d.base AS base, count(s) AS predicted ORDER BY dataset
"""
_IN_NO_ROLE: Final = f"""
MATCH (e:Experiment {{id: $id}})<-[:GENERATED_BY]-(s:PredictionSet)-[:OF]->(d:Dataset)
WHERE {alive("PredictionSet", "s")}
OPTIONAL MATCH (e)-[u:USED]->(:Dataset {{base: d.base}})
WITH d, count(DISTINCT s) AS predicted, count(u) AS uses WHERE uses = 0
RETURN d.id AS dataset, d.base AS base, predicted ORDER BY dataset
"""
_STORED_CHOICES: Final = "MATCH (e:Experiment {id: $id}) RETURN e.odin_chosen AS chosen"


def chosen_by_test(
    stores: Stores, experiment: str, metrics: Iterable[str], *, named: bool, again: bool
) -> dict[str, str]:
    """The reasons to believe that a checkpoint was chosen by a test set, in a few words, by data set version.

    Args:
        stores: The open workspace.
        experiment: The experiment, with its data sets by role.
        metrics: The metric that the user named; else all that were logged since the last checkpoint.
        named: Whether the user named it.
        again: Whether an earlier checkpoint was saved, so that there is something to choose from.
    """
    rows = [
        *stores.graph.read(_TESTS, {"id": experiment, "role": JUDGED}),
        *stores.graph.read(_IN_NO_ROLE, {"id": experiment}),
    ]
    if not rows:
        return {}
    words = {name: _words(name) for name in metrics}
    bases = [_words(str(row["base"])) for row in rows]
    by_test = [
        name
        for name, parts in words.items()
        if not _OF_TEST.isdisjoint(parts) or any(_contains(parts, base) for base in bases)
    ]
    by_other = any(not _OF_VALIDATION.isdisjoint(parts) for parts in words.values())
    if by_test and not by_other:
        return {row["dataset"]: f"metric {by_test[0]!r}" for row in rows}
    by_training = named and any(not _OF_TRAINING.isdisjoint(parts) for parts in words.values())
    if by_other or by_training or not again:
        return {}
    return {row["dataset"]: "its predictions over it came before" for row in rows if row["predicted"]}


def _words(name: str) -> list[str]:
    """The words of a name, in lower case: ``testAcc``, ``test_acc``, ``acc/test`` and ``testacc`` have "test"."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower()
    apart = re.sub(r"(?<![a-z])(held|hold)[^a-z]+out(?![a-z])", "heldout", apart)
    words: list[str] = []
    for word in re.findall(r"[^\W\d_]+", apart):
        glued = _GLUED.fullmatch(word)
        words += glued.groups() if glued else [word]
    return words


def _contains(words: list[str], part: list[str]) -> bool:
    """Whether some words are part of others, in their order: of "retina", but not of "a", in "retina_acc"."""
    return any(words[at : at + len(part)] == part for at in range(len(words) - len(part) + 1)) if part else False


def keep_choice(stores: Stores, experiment: str, what: str, found: dict[str, str]) -> None:
    """Store on an experiment what it chose by which test set.

    Args:
        stores: The open workspace.
        experiment: Its id.
        what: What was chosen: ``best checkpoint e/3``.
        found: Of `chosen_by_test`.
    """

    def keep(tx: Transaction) -> None:
        rows = tx.run(_STORED_CHOICES, {"id": experiment})
        choices = json.loads((rows[0]["chosen"] if rows else None) or "[]")
        choices += [{"dataset": id_, "what": what, "by": by, "at": now().isoformat()} for id_, by in found.items()]
        text = json.dumps(choices, ensure_ascii=False)
        tx.run("MATCH (e:Experiment {id: $id}) SET e.odin_chosen = $chosen", {"id": experiment, "chosen": text})

    stores.graph.execute(keep)


def choices_of(rows: Iterable[Any]) -> dict[str, list[dict[str, str]]]:
    """The choices by test sets of each experiment, from rows with ``id`` and ``chosen``."""
    return {row["id"]: json.loads(row["chosen"]) for row in rows if row["chosen"]}
