"""Embeddings on demand: the outputs of a layer for images, pooled, stored once, and indexed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from odin_graph.catalog.activations.activations import LayerRef, growing, rows_of
from odin_graph.catalog.activations.storage import keep_to_budget, reading
from odin_graph.catalog.activations.usage import record
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.inputs.inputs import plan_inputs
from odin_graph.catalog.models.checkpoints import checkpoint_of, input_of
from odin_graph.catalog.models.models import model_of
from odin_graph.deadline import check
from odin_graph.errors import DataError, ModelError, QueryError, ShapeError, UnknownNameError
from odin_graph.progress import progress_bar
from odin_graph.runtime.layers.hooks import CALL, captured
from odin_graph.runtime.layers.layers import LayerRow
from odin_graph.runtime.layers.pooling import POOLINGS
from odin_graph.runtime.models.model import Runnable, layers_of
from odin_graph.runtime.pixels.inputs import to_inputs
from odin_graph.runtime.pixels.pixels import pixel_blocks
from odin_graph.runtime.pixels.runs import image_bytes_of
from odin_graph.runtime.pixels.several import input_batches
from odin_graph.schema.kinds import alive
from odin_graph.stores import Stores

SEGMENT_BYTES = 256 * 2**20
"""Rows are written when they take so many bytes, and at the end: a crash costs no more than these."""

Keys = NDArray[np.int64]


def check_layer(stores: Stores, ref: LayerRef, *, several: bool = False) -> LayerRow:
    """The row of the layer in its model's table.

    Args:
        stores: The open workspace.
        ref: The layer.
        several: Whether the caller can do with a model that takes several images as one input.

    Raises:
        UnknownNameError: There is no such checkpoint, layer or pooling; lists those there are.
        QueryError: The layer runs several times, or not at all; or its outputs are of several images.
    """
    if not isinstance(ref.layer, str):
        raise QueryError(f"A layer is known by its name, as Model.layers() lists them, not by {ref.layer!r:.80}.")
    POOLINGS.get(ref.pooling)
    stored = checkpoint_of(stores, ref.checkpoint)
    if stored.model is None:
        raise ModelError(f"The checkpoint {stored.id!r} belongs to no model, so it has no layers that could be run.")
    model = model_of(stores, stored.model)
    if not several and (what := Input.from_text(model.input)).several:
        raise QueryError(
            f"The model {model.id!r} takes {what}, so its layers have no values of single images to be searched or "
            "stored. layer.embeddings(images) gives the vectors of inputs: db.vectors.add(name, images, vectors) makes "
            "them a space."
        )
    name, _, call = ref.layer.partition(CALL)
    table = {row.name: row for row in layers_of(model)}
    row = table.get(name)
    if row is None or not name:
        raise UnknownNameError.of(f"layer of the model {model.id!r}:", name, (known for known in table if known))
    if model.input_shape is None:
        return row  # how often it runs is not known before it has run
    if row.calls == 0:
        ran = ", ".join([known for known, listed in table.items() if known and listed.calls][:20])
        raise QueryError(f"The layer {name!r} of {model.id!r} does not run on its own: choose one that does, {ran}.")
    if row.calls > 1 and not call:
        choices = ", ".join(f"{name}{CALL}{place + 1}" for place in range(row.calls))
        raise QueryError(f"The layer {name!r} runs {row.calls} times in a pass: say which call you mean, {choices}.")
    if call and not (call.isdigit() and 1 <= int(call) <= row.calls):
        raise QueryError(
            f"{ref.layer!r} names no call of {name!r}: it runs {row.calls} times, {name}{CALL}1 is the first."
        )
    return row.of_call(int(call)) if call else row


def ensure_embeddings(
    stores: Stores,
    ref: LayerRef,
    keys: Keys,
    *,
    device: str | torch.device | None = None,
    batch: int | None = None,
    progress: bool = True,
) -> str:
    """Compute and store the rows that are missing. Returns the id of the activation set.

    Args:
        stores: The open workspace.
        ref: The layer.
        keys: The images, in any order; a key may come twice.
        device: Where to run; by default an accelerator, else the CPU.
        batch: Images at once; by default as many as fit.
        progress: Show a progress bar, if anything is missing.

    Raises:
        UnknownNameError: There is no such checkpoint, layer or pooling.
        ShapeError: The model refuses the images, or the layer gives another length for some of them.
        SpaceError: It takes more than the budget leaves; nothing was run.
    """
    row = check_layer(stores, ref)
    wanted = np.unique(np.asarray(keys, np.int64))
    seconds = _ready(stores, ref.set_id)
    if seconds is not None:
        rows = rows_of(stores, ref.set_id)
        if not len(rows.missing(wanted)):
            record(stores, ref.set_id, seconds * len(wanted) / max(1, len(rows.coverage())))
            return ref.set_id
    with growing(stores, ref) as growth:
        missing = growth.missing(wanted)
        if len(missing):
            keep_to_budget(stores, 4 * len(missing) * _width(row.shape, ref.pooling), spare=[ref.set_id])
            runnable = Runnable.load(stores, ref.checkpoint, device=device, batch=batch)
            writer = _Writer(growth.add)
            with progress_bar(f"{ref.layer} of {ref.checkpoint}", len(missing), show=progress) as done:
                for part, vectors in _embed(stores, runnable, ref, missing):
                    writer.add(part, vectors)
                    check()
                    done(len(part))
            writer.flush()
    return ref.set_id


def embeddings_of_inputs(
    stores: Stores,
    ref: LayerRef,
    keys: Keys,
    *,
    device: str | torch.device | None = None,
    batch: int | None = None,
    progress: bool = True,
) -> NDArray[np.float32]:
    """The vectors (n, d) of images, each that of the input that holds it; computed each time.

    They are not stored: an input is made of the images that are asked for.

    Args:
        stores: The open workspace.
        ref: The layer, of a model that takes several images as one input.
        keys: The images, which make the inputs.
        device: Where to run.
        batch: Inputs at once.
        progress: Show a progress bar.

    Raises:
        DataError: The images make no such inputs, or some belong to none since the input leaves them out.
    """
    check_layer(stores, ref, several=True)
    runnable = Runnable.load(stores, ref.checkpoint, device=device, batch=batch)
    wanted = list(dict.fromkeys(keys.tolist()))
    inputs = plan_inputs(stores, runnable.model.input, wanted, runnable.model.id)
    rows: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
    with (
        _captured(runnable, ref) as take,
        progress_bar(f"{ref.layer} of {ref.checkpoint}", len(inputs), show=progress) as done,
    ):
        read = stores.columns.array(ARRAY).read_together
        size = image_bytes_of(stores)
        for part, tensor in input_batches(runnable.input, inputs, runnable.pipeline, read, runnable.batch, size):
            rows.append((part, runnable.run(tensor, take).numpy()))
            check()
            done(len(part))
    vectors = np.concatenate([found for _, found in rows])[np.argsort(np.concatenate([part for part, _ in rows]))]
    owner = dict(zip(inputs.keys.tolist(), np.repeat(np.arange(len(inputs)), inputs.sizes).tolist(), strict=True))
    if outside := [key for key in wanted if key not in owner]:
        raise DataError(
            f"{len(outside):,} of {len(wanted):,} images are in no input ({'; '.join(inputs.notes)}), the first of key "
            f"{outside[0]}: leave them out."
        )
    of_images: NDArray[np.float32] = vectors[[owner[key] for key in keys.tolist()]]
    return of_images


def _width(shape: Sequence[int] | None, pooling: str) -> int:
    """Numbers of a vector, at most; 0 where it is not known before it runs."""
    if shape is None:
        return 0
    if pooling == "flatten":
        return prod(shape)
    return shape[-1] if len(shape) == 2 else shape[0]


def embeddings(stores: Stores, ref: LayerRef, keys: Keys, **how: Any) -> NDArray[np.float32]:
    """The vectors (n, d) of images, in the order of the keys; what is missing is computed first.

    If the model takes several images as one input, each image has the vector of its input.

    Args:
        stores: The open workspace.
        ref: The layer.
        keys: The images.
        how: ``device``, ``batch``, ``progress`` of `ensure_embeddings`.
    """
    if input_of(stores, ref.checkpoint).several:
        return embeddings_of_inputs(stores, ref, np.asarray(keys, np.int64), **how)
    with reading(stores, [ref.set_id]):
        set_id = ensure_embeddings(stores, ref, keys, **how)
        found: NDArray[np.float32] = rows_of(stores, set_id).read(np.asarray(keys, np.int64))
    return found


def vector_of(stores: Stores, ref: LayerRef, pixels: NDArray[Any]) -> NDArray[np.float32]:
    """The vector (d,) of an image (h, w, bands) that is not stored.

    Raises:
        ShapeError: The model refuses it.
    """
    check_layer(stores, ref)
    runnable = Runnable.load(stores, ref.checkpoint, batch=1)
    with _captured(runnable, ref) as take:
        found: NDArray[np.float32] = runnable.run(to_inputs(runnable.pipeline, pixels[None]), take).numpy()[0]
    return found


class _Writer:
    """Gathers rows into segments of a good size, each with the seconds that computing it took."""

    def __init__(self, write: Any) -> None:
        self._write = write
        self._began = time.perf_counter()
        self._keys: list[Keys] = []
        self._rows: list[NDArray[np.float32]] = []
        self._bytes = 0
        self._length: int | None = None

    def add(self, keys: Keys, rows: NDArray[np.float32]) -> None:
        if self._length not in (None, rows.shape[1]):
            raise ShapeError(
                f"The layer gives {self._length} numbers of one image and {rows.shape[1]} of another, since "
                "their sizes differ: choose pooling='mean' or 'max', or add the model with a preprocess= that resizes."
            )
        self._length = rows.shape[1]
        self._keys.append(keys)
        self._rows.append(rows)
        self._bytes += rows.nbytes
        if self._bytes >= SEGMENT_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._keys:
            passed = time.perf_counter() - self._began
            self._write(np.concatenate(self._keys), np.concatenate(self._rows), seconds=passed)
        self._keys, self._rows, self._bytes = [], [], 0
        self._began = time.perf_counter()


def _embed(stores: Stores, runnable: Runnable, ref: LayerRef, keys: Keys) -> Any:
    with _captured(runnable, ref) as take:
        for block, images in pixel_blocks(stores, keys, least=runnable.batch):
            for start in range(0, len(block), runnable.batch):
                part = slice(start, start + runnable.batch)
                yield block[part], runnable.run(to_inputs(runnable.pipeline, images[part]), take).numpy()


@contextmanager
def _captured(runnable: Runnable, ref: LayerRef) -> Iterator[Callable[[object], Tensor]]:
    """A function that takes the layer's vectors (n, d) after a run."""
    pool = POOLINGS.get(ref.pooling)
    with captured(runnable.module, [ref.layer], reduce=pool) as outputs:

        def take(_: object) -> Tensor:
            if ref.layer not in outputs:
                raise QueryError(f"The layer {ref.layer!r} of {runnable.model.id!r} does not run: choose another.")
            vectors = outputs[ref.layer]
            if vectors.ndim != 2:
                raise ShapeError(
                    f"The pooling {ref.pooling!r} gave {tuple(vectors.shape)} for the layer {ref.layer!r}, and one "
                    "vector an image is (n, d): choose another layer or pooling."
                )
            return vectors

        yield take


def _ready(stores: Stores, set_id: str) -> float | None:
    """The seconds that computing a set took; None where no set is ready."""
    rows = stores.graph.read(
        f"MATCH (s:ActivationSet {{id: $id}}) WHERE {alive('ActivationSet', 's')} "
        "RETURN coalesce(s.odin_seconds, 0.0) AS seconds",
        {"id": set_id},
    )
    return float(rows[0]["seconds"]) if rows else None
