"""A forward pass that gives the outputs of layers, each pooled in several ways, and runs no further than needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from odin_graph.errors import QueryError, ShapeError
from odin_graph.runtime.layers.hooks import CALL, Reduce, captured
from odin_graph.runtime.layers.pooling import POOLINGS as ROW_POOLINGS
from odin_graph.runtime.layers.unit_pooling import shape_by, units_by
from odin_graph.runtime.models.determinism import Measured, Noise, measure_noise
from odin_graph.runtime.models.loaded import Wanted, shared
from odin_graph.runtime.models.model import Runnable, layers_of
from odin_graph.runtime.pixels.inputs import to_inputs
from odin_graph.runtime.pixels.pixels import pixel_blocks
from odin_graph.stores import Stores

Keys = NDArray[np.int64]
Shape: TypeAlias = tuple[int, ...]

_BATCH_BYTES: Final = 256 << 20
"""Bytes of memory that the layers of a batch may take."""


@dataclass(frozen=True, slots=True)
class Part:
    """Numbers that a pass gives: a layer's output, pooled in one way. Sets of several codecs are made of them."""

    layer: str
    pooling: str
    rows: bool = False
    """Embeddings, whose poolings are those of `runtime.pooling`."""

    @property
    def reduce(self) -> Reduce:
        """Outputs (n, ...) in, numbers (n, d) of float32 out, on the device of the output."""
        return ROW_POOLINGS.get(self.pooling) if self.rows else units_by(self.pooling)

    @property
    def is_placed(self) -> bool:
        """Whether a number belongs to a place in the image."""
        return not self.rows and self.pooling in ("units", "channels-argmax")


Outputs: TypeAlias = dict[Part, NDArray[np.float32]]
"""The output (n, units) of each part for some images."""


@contextmanager
def running(
    runnable: Runnable, parts: Sequence[Part], *, known: Mapping[str, Shape] | None = None
) -> Iterator[Callable[[Tensor], Outputs]]:
    """A function that runs inputs (n, bands, h, w), and gives each part's output for them.

    Args:
        runnable: The model.
        parts: What is wanted of it.
        known: Shapes of a layer's output for one image, where they have to be as they were before.

    Raises:
        QueryError: In a run: a layer does not run.
        ShapeError: In a run: the model refuses the inputs, or a layer gives no row an image.
    """
    by_layer: dict[str, list[Part]] = {}
    for part in parts:
        by_layer.setdefault(part.layer, []).append(part)
    widths: dict[str, list[int]] = {}
    shapes: dict[str, Shape] = dict(known or {})

    def together(layer: str, output: Tensor) -> Tensor:
        shape = tuple(output.shape[1:])
        before = shapes.setdefault(layer, shape)
        if before != shape and prod(before) == prod(shape) and any(part.is_placed for part in by_layer[layer]):
            raise sizes_differ(layer, before, shape)  # as many units, of other places
        _check_rows(layer, output)
        pooled = [part.reduce(output) for part in by_layer[layer]]
        if any(values.ndim != 2 for values in pooled):
            raise _no_rows(layer, output)
        widths[layer] = [values.shape[1] for values in pooled]
        return pooled[0] if len(pooled) == 1 else torch.cat(pooled, dim=1)

    reduce = {layer: partial(together, layer) for layer in by_layer}
    with captured(runnable.module, by_layer, reduce=reduce, stop=_are_counted(runnable, by_layer)) as outputs:

        def take(_: object) -> Tensor:
            _check_ran(runnable, by_layer, outputs)
            taken = [outputs[layer] for layer in by_layer]
            return taken[0] if len(taken) == 1 else torch.cat(taken, dim=1)

        def run(inputs: Tensor) -> Outputs:
            whole, found, place = runnable.run(inputs, take), Outputs(), 0
            for layer, ours in by_layer.items():
                for part, width in zip(ours, widths[layer], strict=True):
                    found[part] = whole[:, place : place + width].numpy()
                    place += width
            return found

        yield run


def sizes_differ(layer: str, one: int | Shape, other: int | Shape) -> ShapeError:
    """The error of a layer that gives other units of another image: how many, or of which shape."""
    first, second = (f"{size} units" if isinstance(size, int) else f"outputs of shape {size}" for size in (one, other))
    return ShapeError(
        f"The layer {layer!r} gives {first} of one image and {second.removesuffix(' units')} of another, since their "
        "sizes differ: ask for its channels, or add the model with a preprocess= that resizes."
    )


def shapes_of(runnable: Runnable, parts: Sequence[Part], image: Tensor) -> dict[Part, Shape]:
    """The shape of each part's output for one image, found by running it."""
    whole: dict[str, Shape] = {}

    def look(layer: str, output: Tensor) -> Tensor:
        _check_rows(layer, output)
        whole[layer] = tuple(output.shape[1:])
        return torch.zeros(len(output), 1)

    layers = list(dict.fromkeys(part.layer for part in parts))
    with captured(runnable.module, layers, reduce={layer: partial(look, layer) for layer in layers}) as outputs:

        def take(_: object) -> Tensor:
            _check_ran(runnable, layers, outputs)
            return outputs[layers[0]]

        runnable.run(image, take)
    with running(runnable, parts) as run:
        result = run(image)
    return {
        part: (result[part].shape[1],) if part.rows else shape_by(part.pooling, whole[part.layer]) for part in parts
    }


def noise_of(
    runnable: Runnable, parts: Sequence[Part], sample: Tensor, shapes: Mapping[Part, Shape]
) -> dict[Part, Noise]:
    """How far each part may lie off when it is run again; see `measure_noise`.

    Raises:
        ModelError: The model gives other outputs for the same images.
    """

    def runner(of: Runnable) -> Callable[[Tensor], Outputs]:
        def run_parts(inputs: Tensor) -> Outputs:
            with running(of, parts) as run:
                return run(inputs)

        return run_parts

    what = {part: Measured(part.layer, shapes[part], part.pooling == "channels-argmax") for part in parts}
    return measure_noise(runnable, runner, sample, what)


def sample_of(stores: Stores, runnable: Runnable, keys: Keys, number: int) -> Tensor:
    """The inputs of some of the images, spread over all; of one image where they differ in shape.

    Raises:
        QueryError: There are no images.
    """
    chosen = np.unique(keys)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(number, len(chosen))).astype(np.int64)]
    if not len(chosen):
        raise QueryError("There are no images to run.")
    images = [image for _, block in pixel_blocks(stores, chosen) for image in block]
    try:
        return to_inputs(runnable.pipeline, images)
    except ShapeError:
        return to_inputs(runnable.pipeline, images[:1])


def batch_of(runnable: Runnable, widths: Sequence[int]) -> int:
    """Images at once in bounded memory: what is kept of each, and on a CPU what the widest layers hold meanwhile."""
    widest = max((row.units or 0 for row in layers_of(runnable.model)), default=0)
    temporary = 3 * widest if runnable.device.type == "cpu" else 0
    row = 4 * (temporary + 3 * sum(widths))  # 0 where the shapes are not known, nor anything is kept
    return max(1, min(runnable.batch, _BATCH_BYTES // row)) if row else runnable.batch


def _check_rows(layer: str, output: Tensor) -> None:
    if output.ndim == 0:
        raise _no_rows(layer, output)


def _no_rows(layer: str, output: Tensor) -> ShapeError:
    return ShapeError(f"The layer {layer!r} gives outputs of shape {tuple(output.shape)}: no numbers an image.")


def units_of_pixels(stores: Stores, checkpoint: str, part: Part, pixels: NDArray[Any]) -> NDArray[np.float32]:
    """The output (d,) of all units of a part for an image (h, w, bands) that is not stored.

    Raises:
        ShapeError: The model refuses it.
    """
    with shared(Wanted(stores, checkpoint)) as (runnable, _), running(runnable, [part]) as run:
        units: NDArray[np.float32] = run(to_inputs(runnable.pipeline, pixels[None]))[part][0]
    return units


def _are_counted(runnable: Runnable, layers: Mapping[str, object]) -> bool:
    """Whether it is known how often each runs: then nothing after the last of them has to run."""
    calls = {row.name: row.calls for row in layers_of(runnable.model)}
    return all(calls.get(layer.partition(CALL)[0], 0) for layer in layers)


def _check_ran(runnable: Runnable, layers: Sequence[str] | Mapping[str, object], outputs: Mapping[str, Tensor]) -> None:
    if lost := [layer for layer in layers if layer not in outputs]:
        raise QueryError(f"The layer {lost[0]!r} of {runnable.model.id!r} does not run: choose another.")
