"""``/v1/similar`` and ``/v1/experiments/{id}/representative``: by vectors."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from odin_graph.deadline import deadline
from odin_graph.errors import QueryError
from odin_graph.objects.query.query import Query
from odin_graph.query.plan.spaces import LayerOf
from odin_graph.server.access import JsonRoute, SettingsDep, WorkspaceDep
from odin_graph.server.answers import json_answer, rows_of
from odin_graph.server.bodies import Answer, RepresentativeRequest, SimilarRequest
from odin_graph.server.routes.lookups import bytes_in
from odin_graph.server.routes.query import query_in
from odin_graph.server.routes.things import known_or_404
from odin_graph.server.settings import Settings, within
from odin_graph.workspace import Workspace

router = APIRouter(tags=["by vectors"], route_class=JsonRoute)


@router.post("/similar", response_model=Answer)
def similar(body: SimilarRequest, db: WorkspaceDep, allowed: SettingsDep) -> Response:
    """The k images nearest to a stored image, a vector, or a file; the nearest first, with their distance."""
    with deadline(within(allowed, body.timeout)):
        near = _images(db, allowed, body.query).nearest(
            _example(body),
            by=body.by,
            k=body.k,
            metric=body.metric,
            recall=body.recall,
            weights=body.weights,
        )
        return json_answer({"rows": rows_of(near.to_arrow(*body.columns))})


@router.post("/experiments/{id:id}/representative", response_model=Answer)
def representative(id: str, body: RepresentativeRequest, db: WorkspaceDep, allowed: SettingsDep) -> Response:  # noqa: A002
    """At most k images that stand for those of a query, within each confused pair of the experiment."""
    with deadline(allowed.seconds), known_or_404("experiment", id, db.experiments):
        experiment = db.experiments[id]
    with deadline(within(allowed, body.timeout)):
        by = LayerOf(experiment.id, body.layer, None, body.pooling)
        few = _images(db, allowed, body.query).representative(body.k, by=by, seed=body.seed)
        return json_answer({"rows": rows_of(few.to_arrow(*body.columns))})


def _images(db: Workspace, allowed: Settings, data: dict[str, Any] | None) -> Query:
    if data is None:
        return db.images()
    query = query_in(db, allowed, data)
    if not isinstance(query, Query):
        raise QueryError("The query is of other things than images, which have no vectors.")
    return query


def _example(body: SimilarRequest) -> Any:
    given = [example for example in (body.image, body.vector, body.file) if example is not None]
    if len(given) != 1:
        raise QueryError("Give one of image, vector and file.")
    if body.file is None:
        return given[0]
    return bytes_in(body.file, "file")
