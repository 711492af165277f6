"""Measures of experiments over the data set that judges them, as fields: ``F("results.f1")``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from odin_graph.analysis.measure import results
from odin_graph.analysis.results import Results
from odin_graph.analysis.seen import judged_on_seen
from odin_graph.errors import CoverageWarning, LeakWarning, QueryError
from odin_graph.graph.moment import Moment
from odin_graph.query.names.prediction_sets import sets_of
from odin_graph.schema.tasks import measures
from odin_graph.stores import Stores
from odin_graph.warned import warn

_USED = "MATCH (e:Experiment {id: $id})-[u:USED]->(d:Dataset) RETURN u.role AS role, d.id AS id"
_JUDGES = ("test", "validation")
_COVERAGE: Final = "coverage"
_LISTED: Final = 5


class ResultFields:
    """The overall measures of `Experiment.results` over its test set, or where it has none its validation set.

    An experiment that went without both is judged by the one data set that it has predictions over. Missing where
    there are no predictions or labels, or where its task has no such measure. ``coverage`` is the share of the labeled
    images that it has predicted.
    """

    kind = "Experiment"

    def types(self, _stores: Stores, _at: Moment, /) -> Mapping[str, str]:
        """The measures of every task, and how many of the images they are of."""
        return dict.fromkeys((*measures(), _COVERAGE), "float")

    def values(self, stores: Stores, at: Moment, name: str, ids: Sequence[str], /) -> Sequence[Any]:
        """The measure of each experiment."""
        measured = [_results(stores, at, id_) for id_ in ids]
        if name == _COVERAGE:
            return [None if result is None else result.coverage for result in measured]
        found = [None if result is None else _known(result.scores.overall.get(name)) for result in measured]
        partial = [
            f"{result.experiment} ({result.n:,} of {result.n + result.counts.missing:,})"
            for result, value in zip(measured, found, strict=True)
            if result is not None and result.counts.missing and value is not None
        ]
        if partial:
            warn(
                f"results.{name} is of a part of the labeled images for {_some(partial)}: "
                'F("results.coverage") is the share; where(F("results.coverage") == 1) leaves these out.',
                CoverageWarning,
            )
        seen = [
            f"{result.experiment} over {result.dataset}"
            for result, value in zip(measured, found, strict=True)
            if result is not None and value is not None and judged_on_seen(stores, result.experiment, result.dataset)
        ]
        if seen:
            warn(
                f"results.{name} is evaluated on images that were learned from, so it looks better than it is, "
                f"for {_some(seen)}: db.experiment(id).known_leaks lists them.",
                LeakWarning,
            )
        return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED:,} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}"


def _results(stores: Stores, at: Moment, experiment: str) -> Results | None:
    judge = _judge(at, experiment)
    try:
        return None if judge is None else results(stores, experiment, judge, stale=False)
    except QueryError:  # no predictions of its chosen weights, or no labels
        return None


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else float(value)


def _judge(at: Moment, experiment: str) -> str | None:
    used = {row["role"]: row["id"] for row in at.read(_USED, {"id": experiment})}
    for role in _JUDGES:
        if role in used:
            return str(used[role])
    datasets = {prediction_set.dataset for prediction_set in sets_of(at, experiment)}
    return next(iter(datasets)) if len(datasets) == 1 else None


RESULTS = ResultFields()
