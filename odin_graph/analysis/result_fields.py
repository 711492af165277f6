"""Measures of experiments over the data set that judges them, as fields: ``F("results.f1")``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from odin_graph.analysis.measure import results
from odin_graph.analysis.scores import MEASURES
from odin_graph.errors import QueryError
from odin_graph.graph.moment import Moment
from odin_graph.query.prediction_sets import sets_of
from odin_graph.stores import Stores

_USED = "MATCH (e:Experiment {id: $id})-[u:USED]->(d:Dataset) RETURN u.role AS role, d.id AS id"
_JUDGES = ("test", "validation")


class ResultFields:
    """The overall measures of `Experiment.results` over its test set, or where it has none its validation set.

    An experiment that went without both is judged by the one data set that it has predictions over. Missing where
    there are no predictions or labels, or where its task has no such measure.
    """

    kind = "Experiment"

    def types(self, _stores: Stores, _at: Moment, /) -> Mapping[str, str]:
        """The measures of every task."""
        return dict.fromkeys(MEASURES, "float")

    def values(self, stores: Stores, at: Moment, name: str, ids: Sequence[str], /) -> Sequence[Any]:
        """The measure of each experiment."""
        return [self._one(stores, at, name, id_) for id_ in ids]

    def _one(self, stores: Stores, at: Moment, name: str, experiment: str) -> float | None:
        judge = _judge(at, experiment)
        if judge is None:
            return None
        try:
            measured = results(stores, experiment, judge)
        except QueryError:  # no predictions of its chosen weights, or no labels
            return None
        value = measured.scores.overall.get(name)
        return None if value is None or value != value else float(value)


def _judge(at: Moment, experiment: str) -> str | None:
    used = {row["role"]: row["id"] for row in at.read(_USED, {"id": experiment})}
    for role in _JUDGES:
        if role in used:
            return str(used[role])
    over = {held.dataset for held in sets_of(at, experiment)}
    return next(iter(over)) if len(over) == 1 else None


RESULTS = ResultFields()
