"""Files that things name: the weights of a checkpoint, and a model that is a file."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from odin_graph.catalog.models.checkpoints import checkpoint_of
from odin_graph.catalog.models.models import model_of
from odin_graph.catalog.records import files
from odin_graph.deadline import deadline
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.server.access import SettingsDep, WorkspaceDep
from odin_graph.server.problems import NotThereError
from odin_graph.server.settings import Settings
from odin_graph.workspace import Workspace

router = APIRouter(tags=["data sets, models, experiments"])

_BYTES = "application/octet-stream"
_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {_BYTES: {}}, "description": "The file; its SHA-256 is in the header Repr-Digest."}
}


@router.get("/checkpoints/{id:id}/weights", response_class=Response, responses=_FILE)
def get_weights(id: str, db: WorkspaceDep, allowed: SettingsDep) -> Response:  # noqa: A002
    """The weights of a checkpoint, as a safetensors file."""
    with deadline(allowed.seconds):
        try:
            record = checkpoint_of(db._stores, id)  # noqa: SLF001
        except UnknownNameError as error:
            raise NotThereError(str(error)) from error
        return _file(db, allowed, files.WEIGHTS, record.weights)


@router.get("/models/{id:id}/file", response_class=Response, responses=_FILE)
def get_file(id: str, db: WorkspaceDep, allowed: SettingsDep) -> Response:  # noqa: A002
    """The file of a model that is an exported program, or of another library."""
    with deadline(allowed.seconds):
        try:
            definition = json.loads(model_of(db._stores, id).definition)  # noqa: SLF001
        except UnknownNameError as error:
            raise NotThereError(str(error)) from error
        kind = files.DEFINED.get(definition["kind"])
        if kind is None:
            raise QueryError(f"The model {id!r} is no file, but a {definition['kind']}: it is made of its definition.")
        return _file(db, allowed, kind, definition["target"])


def _file(db: Workspace, allowed: Settings, kind: files.Kind, digest: str) -> Response:
    size, pieces = files.pieces(db._stores, kind, digest)  # noqa: SLF001
    headers = {"Content-Length": str(size), "Repr-Digest": f"sha-256=:{b64encode(bytes.fromhex(digest)).decode()}:"}
    return StreamingResponse(_in_time(pieces, allowed.seconds), media_type=_BYTES, headers=headers)


def _in_time(pieces: Iterator[bytes], seconds: float) -> Iterator[bytes]:
    """Each piece may take so long."""
    while True:
        with deadline(seconds):
            piece = next(pieces, None)
        if piece is None:
            return
        yield piece
