"""``/v1/datasets``, ``/v1/models``, ``/v1/experiments``: what there is, and one of each."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from odin_graph.deadline import deadline
from odin_graph.query.plan.json_values import to_json
from odin_graph.server.access import SettingsDep, WorkspaceDep
from odin_graph.server.answers import json_answer, rows_of
from odin_graph.server.bodies import Json, Listed
from odin_graph.server.problems import NotThereError

router = APIRouter(tags=["data sets, models, experiments"])

Limit = Annotated[int, Query(ge=1, le=10_000)]
Offset = Annotated[int, Query(ge=0, le=2**31)]


@contextmanager
def known_or_404(kind: str, id: str, known: Container[str]) -> Iterator[None]:  # noqa: A002
    """Answer 404 if nothing has the id."""
    if id not in known:
        raise NotThereError(f"There is no {kind} {id!r}.")
    yield


@router.get("/datasets", response_model=Listed)
def list_datasets(db: WorkspaceDep, allowed: SettingsDep, limit: Limit = 100, offset: Offset = 0) -> Response:
    """The data set versions, by name and version."""
    return _listed(db.datasets(), allowed.seconds, limit, offset)


@router.get("/models", response_model=Listed)
def list_models(db: WorkspaceDep, allowed: SettingsDep, limit: Limit = 100, offset: Offset = 0) -> Response:
    """The models, the oldest first."""
    return _listed(db.models(), allowed.seconds, limit, offset)


@router.get("/experiments", response_model=Listed)
def list_experiments(db: WorkspaceDep, allowed: SettingsDep, limit: Limit = 100, offset: Offset = 0) -> Response:
    """The experiments, the oldest first."""
    return _listed(db.experiments(), allowed.seconds, limit, offset)


@router.get("/datasets/{id:id}", response_model=Json)
def get_dataset(id: str, db: WorkspaceDep, allowed: SettingsDep) -> Response:  # noqa: A002
    """A data set version; the bare name is the latest one."""
    with deadline(allowed.seconds), known_or_404("data set", id, db.datasets):
        dataset = db.datasets[id]
        facts = {"id": dataset.id, "size": dataset.size, "deleted": dataset.deleted_members(), "digest": dataset.digest}
        more = {"classes": dataset.classes, "counts": dataset.label_counts(), "metadata": dataset.metadata}
        return json_answer(to_json({**facts, **more}))


@router.get("/models/{id:id}", response_model=Json)
def get_model(id: str, db: WorkspaceDep, allowed: SettingsDep) -> Response:  # noqa: A002
    """A model: its task, classes, input shape, layers and checkpoints."""
    with deadline(allowed.seconds), known_or_404("model", id, db.models):
        model = db.models[id]
        layers = [{"name": row.name, "type": row.type, "shape": row.shape} for row in model.layers()]
        facts = {"id": id, "task": model.task, "classes": model.classes, "input_shape": model.input_shape}
        facts["input"] = str(model.input)
        return json_answer(to_json({**facts, "layers": layers, "checkpoints": list(map(str, model.checkpoints()))}))


@router.get("/experiments/{id:id}", response_model=Json)
def get_experiment(id: str, db: WorkspaceDep, allowed: SettingsDep) -> Response:  # noqa: A002
    """An experiment: model, data sets, parameters, checkpoints, and what it has predicted over."""
    with deadline(allowed.seconds), known_or_404("experiment", id, db.experiments):
        experiment = db.experiments[id]
        best = experiment.best_checkpoint()
        facts = {
            "id": experiment.id,
            "state": experiment.state,
            "model": experiment.model,
            "datasets": experiment.datasets,
            "parameters": experiment.parameters,
            "checkpoints": [checkpoint.id for checkpoint in experiment.checkpoints()],
            "best": None if best is None else best.id,
            "predictions": [made.id for made in experiment.predictions()],
            "metadata": experiment.metadata,
        }
        return json_answer(to_json(facts))


def _listed(query: Any, seconds: float, limit: int, offset: int) -> Response:
    with deadline(seconds):
        rows = rows_of(query[offset : offset + limit].to_arrow())
        return json_answer({"rows": rows, "total": query.count()})
