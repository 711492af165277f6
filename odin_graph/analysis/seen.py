"""Whether a model is judged by what it has seen: by images that it, or one that it was made from, learned from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from odin_graph.analysis.leak_rules import Side, SideOf
from odin_graph.analysis.leaks import CHEAP, JUDGED, leaks
from odin_graph.catalog.experiments.loaded import loaded_keys
from odin_graph.errors import LeakWarning
from odin_graph.graph import Transaction, is_read_only
from odin_graph.schema.properties import now
from odin_graph.served import served
from odin_graph.stores import Stores
from odin_graph.warned import warn

JUDGING: Final = (JUDGED, "validation")
"""Roles of data sets that are not learned from."""
_LEARNED: Final = """
MATCH (e:Experiment {id: $id})-[:INFORMED_BY*0..]->(a:Experiment) OPTIONAL MATCH (a)-[u:USED]->(d:Dataset)
RETURN DISTINCT a.id AS experiment, d.id AS dataset, u.role AS role
"""
_MAKERS: Final = """
MATCH (:Experiment {id: $id})<-[:GENERATED_BY]-(s:PredictionSet) MATCH (s)-[:OF]->(:Dataset {id: $dataset})
MATCH (s)-[:DERIVED_FROM]->(c:Checkpoint) MATCH (c)-[:GENERATED_BY]->(a:Experiment)
RETURN DISTINCT a.id AS id
"""


def judged_on_seen(stores: Stores, experiment: str, dataset: str) -> list[str]:
    """A sentence for each data set that was learned from, and has images in common with the one that judges.

    In common is the same image, one of the same root, or the same pixels. Learned from is what the experiment, those
    that it is INFORMED_BY, and the makers of the weights that were run used in any role but ``test`` and
    ``validation``, or got by `Run.loader` beyond their data sets. What is found is kept on the experiment
    (``exp.known_leaks``), so that it is looked for once.

    Args:
        stores: The open workspace.
        experiment: Its id.
        dataset: The version that judges.
    """
    makers = {row["id"] for row in stores.graph.read(_MAKERS, {"id": experiment, "dataset": dataset})}
    learned: dict[str, str] = {}
    sides: dict[str, Side] = {}
    learners: dict[str, None] = {}
    for id_ in (experiment, *sorted(makers - {experiment})):
        for row in stores.graph.read(_LEARNED, {"id": id_}):
            learners[row["experiment"]] = None
            if row["dataset"] is not None and row["role"] not in JUDGING:
                learned.setdefault(row["dataset"], row["experiment"])
    for id_, keys in loaded_keys(stores, [*learners]).items():
        name = f"run.loader of {id_} ({len(keys):,} images)"
        learned[name], sides[name] = id_, SideOf(stores, name, keys)
    if not learned:
        return []
    record = _record(stores.graph.read(_STORED_LEAKS, {"id": experiment}))
    known = {tuple(pair) for pair in record.get("judged", [])}
    new = [train for train in learned if (train, dataset) not in known]
    if new:
        found = [(train, leaks(stores, sides.get(train, train), dataset, CHEAP)) for train in new]
        records = [{"train": train, "test": dataset, "rules": report.counts} for train, report in found if report]
        record = _merged(record, records, [[train, dataset] for train in new])
        if not is_read_only():
            stores.graph.execute(lambda tx: _keep(tx, experiment, records, [[train, dataset] for train in new]))
    return [
        _sentence(leak, learned[leak["train"]], experiment)
        for leak in record["leaks"]
        if leak["test"] == dataset and leak["train"] in learned
    ]


@served
def warn_of_seen(stores: Stores, experiment: str, dataset: str) -> tuple[str, ...]:
    """Warn where a model is judged by what it has seen; the sentences of `judged_on_seen`.

    Args:
        stores: The open workspace.
        experiment: Its id.
        dataset: The version that judges.
    """
    sentences = tuple(judged_on_seen(stores, experiment, dataset))
    if sentences:
        text = "\n".join(f"  {sentence}" for sentence in sentences)
        warn(
            f"{experiment} is evaluated on {dataset} with images that it learned from, so it looks better than it "
            f"is:\n{text}\nIt is kept: db.experiment({experiment!r}).known_leaks.",
            LeakWarning,
        )
    return sentences


_STORED_LEAKS: Final = "MATCH (e:Experiment {id: $id}) RETURN e.leaks AS leaks"


def _record(rows: Any) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads((rows[0]["leaks"] if rows else None) or "{}")
    return {"leaks": [], **stored}


def _merged(record: Mapping[str, Any], records: list[dict[str, Any]], pairs: list[list[str]]) -> dict[str, Any]:
    existing = {(leak["train"], leak["test"]) for leak in record["leaks"]}
    new = [leak for leak in records if (leak["train"], leak["test"]) not in existing]
    return {**record, "leaks": [*record["leaks"], *new], "judged": [*record.get("judged", []), *pairs]}


def _keep(tx: Transaction, experiment: str, records: list[dict[str, Any]], pairs: list[list[str]]) -> None:
    record = _record(tx.run(_STORED_LEAKS, {"id": experiment}))
    made = {**_merged(record, records, pairs), "checked_at": now().isoformat()}
    tx.run(
        "MATCH (e:Experiment {id: $id}) SET e.leaks = $leaks",
        {"id": experiment, "leaks": json.dumps(made, ensure_ascii=False)},
    )


def _sentence(leak: Mapping[str, Any], learner: str, experiment: str) -> str:
    rules = ", ".join(
        f"by {name} {counts['test images']:,} images of it" for name, counts in leak["rules"].items() if counts["pairs"]
    )
    who = f"{experiment} learned" if learner == experiment else f"{learner}, which {experiment} continues, learned"
    return f"{who} from {leak['train']}, which has in common with {leak['test']}: {rules}"
