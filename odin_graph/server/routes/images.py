"""``/v1/images/{id}``: an image, its pixels, its predictions, and its lineage."""

from __future__ import annotations

import io
import math
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

import numpy as np
from anyio import to_thread
from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from numpy.typing import NDArray
from PIL import Image as PillowImage

from odin_graph.analysis.display import displayable
from odin_graph.arrays.boxes import read_box
from odin_graph.catalog.images.images import check_keys
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.deadline import deadline
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.objects.things.image import Image
from odin_graph.query.plan.json_values import to_json
from odin_graph.server.access import JsonRoute, SettingsDep, WorkspaceDep
from odin_graph.server.answers import json_answer, rows_of
from odin_graph.server.bodies import Answer, Json, PixelsRequest, ThumbnailsRequest
from odin_graph.server.problems import NotThereError
from odin_graph.server.settings import Settings
from odin_graph.workspace import Workspace

router = APIRouter(tags=["images"])
arrays = APIRouter(tags=["images"], route_class=JsonRoute)

_NPY = "application/x-npy"
_PIECE = 64 << 10
_PIXELS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/png": {}, _NPY: {}}, "description": "A picture, or the pixels as they are."}
}
_ARRAYS: dict[int | str, dict[str, Any]] = {200: {"content": {_NPY: {}}, "description": "One array an image."}}


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
    """What every experiment whose predictions are in the graph predicted for it."""
    with deadline(allowed.seconds):
        return json_answer({"rows": [to_json(row) for row in _image(db, id).predictions()]})


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


@arrays.post("/pixels", response_class=Response, responses=_ARRAYS)
def list_pixels(body: PixelsRequest, db: WorkspaceDep, allowed: SettingsDep) -> Response:
    """The pixels of images, one .npy file after another; each is read when the one before is on its way."""
    pixels = db._session.pixels  # noqa: SLF001
    box: Any = body.box
    if box is None:
        return _npy_response(db, allowed, body.keys, lambda key: pixels.read_list(key)[0])
    with deadline(allowed.seconds):
        first = np.array(body.keys[:1], np.int64)
        check_keys(db._stores, first)  # noqa: SLF001
        shape = db._stores.columns.array(ARRAY).shapes(first)[0]  # noqa: SLF001
    left, top, right, bottom = read_box(box, shape)
    if (right - left) * (bottom - top) * math.prod(shape[2:]) > allowed.answer_bytes:
        raise QueryError(f"A box that travels has at most {allowed.answer_bytes:,} pixels: take smaller ones.")
    return _npy_response(db, allowed, body.keys, lambda key: pixels.read_boxes(key, [box])[0])


@arrays.post("/thumbnails", response_class=Response, responses=_ARRAYS)
def list_thumbnails(body: ThumbnailsRequest, db: WorkspaceDep, allowed: SettingsDep) -> Response:
    """Small pictures of images, one .npy file after another: of 8 bits, or values of the image above, every n-th."""
    pixels = db._session.pixels  # noqa: SLF001
    return _npy_response(db, allowed, body.keys, lambda key: _small(pixels.read_displayed(key)[0], body.size))


def _npy_response(
    db: Workspace, allowed: Settings, requested: list[int], read: Callable[[NDArray[np.int64]], NDArray[Any]]
) -> StreamingResponse:
    with deadline(allowed.seconds):
        keys = np.array(requested, np.int64)
        check_keys(db._stores, keys)  # noqa: SLF001
        first = read(keys[:1])  # before the answer begins: what goes wrong until then has a status

    async def pieces() -> AsyncIterator[bytes]:
        async for piece in _npy(first):
            yield piece
        for place in range(1, len(keys)):
            async for piece in _npy(await to_thread.run_sync(next_, keys[place : place + 1])):
                yield piece

    def next_(key: NDArray[np.int64]) -> NDArray[Any]:
        with deadline(allowed.seconds):
            return read(key)

    return StreamingResponse(pieces(), media_type=_NPY)


def _small(pixels: NDArray[Any], size: int) -> NDArray[Any]:
    if max(pixels.shape[:2]) <= size:
        return pixels
    if pixels.dtype == np.uint8 or pixels.dtype == np.bool_:
        shown = np.asarray(_picture(pixels, size))
        return shown[..., None] if shown.ndim == 2 else shown
    step = -(-max(pixels.shape[:2]) // size)
    return pixels[::step, ::step]


def _image(db: Workspace, id: str) -> Image:  # noqa: A002
    try:
        return db.images[id]
    except UnknownNameError as error:
        raise NotThereError(str(error)) from error


async def _npy(pixels: NDArray[Any]) -> AsyncIterator[bytes]:
    """The format of np.save, in pieces: a whole copy may not fit into the server's memory."""
    pixels = np.ascontiguousarray(pixels)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(pixels))
    yield head.getvalue()
    data = pixels.reshape(-1).view(np.uint8)
    for start in range(0, len(data), _PIECE):
        yield data[start : start + _PIECE].tobytes()


def _png(pixels: NDArray[Any], size: int | None = None) -> Response:
    out = io.BytesIO()
    _picture(pixels, size).save(out, "PNG")
    return Response(out.getvalue(), media_type="image/png")


def _picture(pixels: NDArray[Any], size: int | None) -> PillowImage.Image:
    picture = PillowImage.fromarray(displayable(pixels))
    if size is not None:
        picture.thumbnail((size, size))
    return picture
