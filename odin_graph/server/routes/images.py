"""``/v1/images/{id}``: an image, its pixels, what was said of it, and what it comes from."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray
from PIL import Image as PillowImage

from odin_graph.analysis.display import displayable
from odin_graph.deadline import deadline
from odin_graph.errors import UnknownNameError
from odin_graph.objects.things.image import Image
from odin_graph.query.plan.json_values import to_json
from odin_graph.server.access import SettingsDep, WorkspaceDep
from odin_graph.server.answers import json_answer, rows_of
from odin_graph.server.bodies import Answer, Json
from odin_graph.server.problems import NotThereError
from odin_graph.workspace import Workspace

router = APIRouter(tags=["images"])

_NPY = "application/x-npy"
_PIECE = 64 << 10
_PIXELS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}, _NPY: {}}, "description": "A picture, or the pixels as they are."}
}
_SAID = (
    "MATCH (i:Image {key: $key})<-[:OF]-(p:Prediction)-[:PART_OF]->(s:PredictionSet {state: 'ready'})"
    "-[:GENERATED_BY]->(e:Experiment) WHERE s.deleted IS NULL "
    "RETURN e.id AS experiment, s.id AS set, p.predicted AS predicted, p.confidence AS confidence, p.wrong AS wrong "
    "ORDER BY e.id, s.id"
)


@router.get("/images/{id:id}/pixels", response_class=Response, responses=_PIXELS)
def get_pixels(
    id: str,  # noqa: A002
    db: WorkspaceDep,
    allowed: SettingsDep,
    format: Annotated[Literal["png", "npy"], Query(description="npy keeps every dtype and band.")] = "npy",  # noqa: A002
) -> Response:
    """The pixels (h, w, bands): exactly, as NumPy's .npy, or as a picture for looking at."""
    with deadline(allowed.seconds):
        pixels = _image(db, id).pixels
        if format == "png":
            return _png(pixels)
        return StreamingResponse(_npy(pixels), media_type=_NPY)


@router.get("/images/{id:id}/thumbnail", response_class=Response, responses=_PIXELS)
def get_thumbnail(
    id: str,  # noqa: A002
    db: WorkspaceDep,
    allowed: SettingsDep,
    size: Annotated[int, Query(ge=8, le=1024, description="Of the longer side, at most.")] = 128,
    format: Annotated[Literal["png", "npy"], Query(description="npy keeps every dtype and band.")] = "png",  # noqa: A002
) -> Response:
    """A small picture: above 8 bits stretched by itself as PNG, and as NumPy's .npy values of the image, every n-th."""
    with deadline(allowed.seconds):
        overview = _image(db, id).overview
        if format == "png":
            return _png(overview, size)
        step = -(-max(overview.shape[:2]) // size)
        return StreamingResponse(_npy(overview[::step, ::step]), media_type=_NPY)


@router.get("/images/{id:id}/predictions", response_model=Answer)
def get_predictions(id: str, db: WorkspaceDep, allowed: SettingsDep) -> Response:  # noqa: A002
    """What every experiment whose predictions are in the graph has said of it."""
    with deadline(allowed.seconds):
        rows = db._stores.graph.read(_SAID, {"key": _image(db, id).key})  # noqa: SLF001
        return json_answer({"rows": [to_json(row) for row in rows]})


@router.get("/images/{id:id}/lineage", response_model=Answer)
def get_lineage(
    id: str,  # noqa: A002
    db: WorkspaceDep,
    allowed: SettingsDep,
    direction: Annotated[Literal["ancestors", "descendants"], Query()] = "ancestors",
) -> Response:
    """What it was made from, or what was made from it: nearest first, with the operations."""
    with deadline(allowed.seconds):
        image = _image(db, id)
        found = image.ancestors() if direction == "ancestors" else image.descendants()
        return json_answer({"rows": rows_of(found.to_arrow())})


@router.get("/images/{id:id}", response_model=Json)
def get_image(id: str, db: WorkspaceDep, allowed: SettingsDep) -> Response:  # noqa: A002
    """An image's fields: label, size, digests and free metadata."""
    with deadline(allowed.seconds):
        image = _image(db, id)
        return json_answer({"key": image.key, **{name: to_json(value) for name, value in image.fields.items()}})


def _image(db: Workspace, id: str) -> Image:  # noqa: A002
    try:
        return db.images[id]
    except UnknownNameError as error:
        raise NotThereError(str(error)) from error


async def _npy(pixels: NDArray[Any]) -> AsyncIterator[bytes]:
    """As np.save writes it, in pieces: a copy may be as large as all that the server has."""
    pixels = np.ascontiguousarray(pixels)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(pixels))
    yield head.getvalue()
    data = pixels.reshape(-1).view(np.uint8)
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE].tobytes()


def _png(pixels: NDArray[Any], size: int | None = None) -> Response:
    shown = displayable(pixels)
    picture = PillowImage.fromarray(shown)
    if size is not None:
        picture.thumbnail((size, size))
    out = io.BytesIO()
    picture.save(out, "PNG")
    return Response(out.getvalue(), media_type="image/png")
