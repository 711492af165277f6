"""What a remote query builder looks up: examples of a search, saved views, vectors by name."""

from __future__ import annotations

import base64
import binascii
import io
from typing import Any

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray

from odin_graph.catalog.activations.vector_sets import vector_sets
from odin_graph.catalog.records.views import view_of, views
from odin_graph.deadline import deadline
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.query.names.examples import File, Given, Stored, find_examples, read_examples
from odin_graph.query.plan.json_values import to_json
from odin_graph.server.access import JsonRoute, SettingsDep, WorkspaceDep
from odin_graph.server.bodies import (
    Answer,
    Example,
    Examples,
    ExamplesRequest,
    GivenExample,
    Json,
)
from odin_graph.server.problems import NotThereError
from odin_graph.server.settings import within

router = APIRouter(tags=["looked up"], route_class=JsonRoute)


@router.post("/query/examples")
def look_up_examples(body: ExamplesRequest, db: WorkspaceDep, allowed: SettingsDep) -> Examples:
    """What a search begins with, as a plan holds it: stored images by key, of others the layer's vector."""
    with deadline(within(allowed, body.timeout)):
        given = [example_in(example) for example in body.given]
        found = find_examples(db._stores, given, body.by)  # noqa: SLF001
        return Examples(
            examples=[
                Example(image=row.image, vector=None if row.vector is None else list(row.vector)) for row in found
            ]
        )


@router.get("/views")
def list_views(db: WorkspaceDep, allowed: SettingsDep) -> Answer:
    """Every version of every saved view, by name."""
    with deadline(allowed.seconds):
        stored = views(db._stores)  # noqa: SLF001
        return Answer(
            rows=[
                {"id": view.id, "view": view.base, "version": view.version, "created_at": to_json(view.created_at)}
                for view in stored
            ]
        )


@router.get("/views/{id:id}")
def get_view(id: str, db: WorkspaceDep, allowed: SettingsDep) -> Json:  # noqa: A002
    """A saved query in its JSON form; the bare name is its latest version."""
    with deadline(allowed.seconds):
        try:
            view = view_of(db._stores, id)  # noqa: SLF001
        except UnknownNameError as error:
            raise NotThereError(str(error)) from error
        return {"id": view.id, "query": dict(view.query)}


@router.get("/vectors")
def list_vectors(db: WorkspaceDep, allowed: SettingsDep) -> Answer:
    """The vectors that were handed in, by name."""
    with deadline(allowed.seconds):
        stored = vector_sets(db._stores)  # noqa: SLF001
        return Answer(
            rows=[{"name": row.id, "dimensions": row.length, "created_at": to_json(row.created_at)} for row in stored]
        )


def bytes_in(text: str, name: str) -> bytes:
    """The bytes of base64 text.

    Raises:
        QueryError: It is none.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise QueryError(f"{name}= is not base64: {error}.") from error


def example_in(body: GivenExample) -> Given:
    """One example of a request.

    Raises:
        QueryError: It is none, or several.
    """
    given = body.model_dump(exclude_none=True, exclude={"name"})
    if len(given) != 1:
        raise QueryError("An example is one of id, key, file, pixels and vector.")
    if body.id is not None or body.key is not None:
        return Stored(id=body.id, key=body.key)
    if body.file is not None:
        return File(bytes_in(body.file, "file"), body.name)
    (found,) = read_examples(body.vector if body.pixels is None else _pixels(bytes_in(body.pixels, "pixels")))
    return found


def _pixels(data: bytes) -> NDArray[Any]:
    try:
        pixels: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, TypeError) as error:
        raise QueryError(f"pixels= is not an array of NumPy's: {error}.") from error
    if pixels.ndim not in (2, 3) or pixels.dtype.kind not in "biuf":
        raise QueryError(f"pixels= is an image (h, w, bands) of numbers, not {pixels.dtype} of shape {pixels.shape}.")
    return pixels
