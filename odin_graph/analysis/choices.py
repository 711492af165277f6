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

_OF_TEST: Final = frozenset({"test", "tests", "testing", "holdout"})
_OF_VALIDATION: Final = frozenset({"val", "valid", "validation", "dev", "eval", "tune", "tuning"})
_TESTS: Final = f"""
MATCH (e:Experiment {{id: $id}})-[u:USED]->(d:Dataset) WHERE u.role = $role
OPTIONAL MATCH (e)<-[:GENERATED_BY]-(s:PredictionSet)-[:OF]->(d) WHERE {alive("PredictionSet", "s")}
RETURN d.id AS dataset, d.base AS base, count(s) AS predicted ORDER BY dataset
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
    rows = stores.graph.read(_TESTS, {"id": experiment, "role": JUDGED})
    if not rows:
        return {}
    words = {name: set(re.split(r"[^a-z]+", name.lower())) for name in metrics}
    bases = {row["base"] for row in rows}
    by_test = [
        name
        for name, parts in words.items()
        if parts & _OF_TEST or any(base is not None and str(base).lower() in name.lower() for base in bases)
    ]
    by_other = any(parts & _OF_VALIDATION for parts in words.values())
    if by_test and not by_other:
        return {row["dataset"]: f"metric {by_test[0]!r}" for row in rows}
    if named or by_other or not again:
        return {}
    return {row["dataset"]: "its predictions over it came before" for row in rows if row["predicted"]}


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
