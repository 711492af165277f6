"""Which prediction set is used for an experiment over a data set.

The latest ready set of the chosen checkpoint (the one marked best, else the last); else the latest imported set, which
has no checkpoint. Sets of other checkpoints are never used silently.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.schema.kinds import alive

if TYPE_CHECKING:
    from odin_graph.graph.moment import Reader

_SETS = f"""
MATCH (e:Experiment {{id: $experiment}})<-[:GENERATED_BY]-(s:PredictionSet)-[:OF]->(d:Dataset)
WHERE {alive("PredictionSet", "s")}
OPTIONAL MATCH (s)-[:DERIVED_FROM]->(c:Checkpoint)
RETURN s.id AS id, s.number AS number, d.id AS dataset, c.id AS checkpoint, s.classes AS classes, s.nodes AS nodes,
       s.input AS input
"""
_CHECKPOINTS = f"""
MATCH (e:Experiment {{id: $experiment}})<-[:GENERATED_BY]-(c:Checkpoint) WHERE {alive("Checkpoint", "c")}
RETURN c.id AS id, c.best AS best, c.created_at AS created_at, c.step AS step
"""


@dataclass(frozen=True, slots=True)
class ReadySet:
    """A ready prediction set."""

    id: str
    number: int
    dataset: str
    checkpoint: str | None
    """None where the predictions were imported."""
    classes: tuple[str | int | bool, ...] | None
    """The classes of its probabilities, in their order."""
    nodes: bool
    """Whether its predictions are nodes of the graph as well."""
    input: str | None = None
    """What a prediction is of, an `Input`, where it is of several images."""


def choose(graph: Reader, experiment: str, dataset: str) -> ReadySet:
    """The set that ``exp.wrong`` and its like read over a data set version.

    Raises:
        UnknownNameError: There is no such experiment.
        QueryError: It has no set that fits; says how to make one.
    """
    ready = sets_of(graph, experiment)
    over = [ready_set for ready_set in ready if ready_set.dataset == dataset]
    chosen = chosen_checkpoint(graph, experiment)
    for checkpoint in (chosen, None):
        fitting = [ready_set for ready_set in over if ready_set.checkpoint == checkpoint]
        if fitting:
            return max(fitting, key=lambda ready_set: ready_set.number)
    others = sorted({ready_set.dataset for ready_set in ready})
    elsewhere = f" It has predictions over {', '.join(others)}." if others else ""
    stale = " Those it has over this data set are of other checkpoints." if over else ""
    of = f" of its checkpoint {chosen}" if chosen else ""
    raise QueryError(
        f"Experiment {experiment!r} has no ready predictions over {dataset!r}{of}.{stale or elsewhere} "
        f'Make them: db.experiment("{experiment}").predict("{dataset}"), or log_predictions() with your own.'
    )


def sets_of(graph: Reader, experiment: str) -> list[ReadySet]:
    """All ready sets of an experiment.

    Raises:
        UnknownNameError: There is no such experiment.
    """
    rows = graph.read(_SETS, {"experiment": experiment})
    if not rows:
        check_experiment(graph, experiment)
    return [
        ReadySet(
            row["id"],
            row["number"],
            row["dataset"],
            row["checkpoint"],
            tuple(row["classes"]) if row["classes"] else None,
            bool(row["nodes"]),
            row["input"],
        )
        for row in rows
    ]


def check_experiment(graph: Reader, experiment: str) -> None:
    """Refuse an experiment that does not exist, with those that do."""
    if graph.read(
        f"MATCH (e:Experiment {{id: $id}}) WHERE {alive('Experiment', 'e')} RETURN e.id AS id", {"id": experiment}
    ):
        return
    known = [
        row["id"] for row in graph.read(f"MATCH (e:Experiment) WHERE {alive('Experiment', 'e')} RETURN e.id AS id")
    ]
    raise UnknownNameError.of("experiment", experiment, known)


def chosen_checkpoint(graph: Reader, experiment: str) -> str | None:
    """The checkpoint that is used for an experiment: the best one, else the last; None if it has none."""
    checkpoints = graph.read(_CHECKPOINTS, {"experiment": experiment})
    if not checkpoints:
        return None
    last = max(
        checkpoints, key=lambda row: (bool(row["best"]), str(row["created_at"] or ""), row["step"] or 0, row["id"])
    )
    return str(last["id"])
