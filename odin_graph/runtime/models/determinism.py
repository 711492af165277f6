"""Whether a model gives the same output for an image again: refused where it does not; small differences are measured.

A stored value stands for the model only if running it again gives that value. The same batch twice must give the same
bits. In a batch of another size, or on another device, sums are made in another order: that noise is small, and its
size is kept beside what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from odin_graph.errors import ModelError
from odin_graph.runtime.layers.hooks import evaluating
from odin_graph.runtime.models.model import Runnable

SAMPLE: Final = 16
"""Images that are run for it."""
SIZES: Final = (1, 3)
"""Batches that are compared with the whole sample at once."""
_MARGIN: Final = 2.0
"""The noise of other images may be larger than that of the sample."""
_ROUNDINGS: Final = 4
"""Of float32, relative to the largest value: noise that is not zero counts as at least so much."""
_MOST: Final = 1e-3
_MOST_HALF: Final = 5e-2
"""Noise beyond this share of a layer's largest output is no noise: images change the outputs of others."""

Name = TypeVar("Name")
Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Noise:
    """The measured noise of one layer."""

    units: NDArray[np.float64]
    """(units,) how far a value may lie off in another batch or on another device."""
    largest: float
    """The largest output of the layer for the sample."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A layer whose noise is measured."""

    layer: str
    shape: tuple[int, ...]
    """Of the output for one image."""
    places: bool = False
    """Positions of largest values: of two that are nearly equal the other may be the largest the next time."""


def measure_noise(
    runnable: Runnable,
    run: Callable[[Runnable], Callable[[Tensor], dict[Name, Rows]]],
    inputs: Tensor,
    layers: Mapping[Name, Measured],
) -> dict[Name, Noise]:
    """The noise of some layers' outputs, over a sample of real inputs.

    Args:
        runnable: The model, on the device that is used.
        run: Makes the function that runs it: inputs in, outputs (n, units) by name out.
        inputs: (n, bands, h, w).
        layers: The layers to measure, by name.

    Raises:
        ModelError: The same batch gives something else the second time, or images change the outputs of others.
    """
    forward = run(runnable)
    first = {name: output.copy() for name, output in forward(inputs).items()}
    for name, again in forward(inputs).items():
        if not np.array_equal(first[name], again, equal_nan=True):
            raise _changing(runnable, layers[name].layer, inputs)
    off = {name: np.zeros(output.shape[1]) for name, output in first.items()}
    for size in (size for size in SIZES if size < len(inputs)):
        for start in range(0, len(inputs), size):
            part = slice(start, start + size)
            _widen(off, first, forward(inputs[part]), part)
    if runnable.device.type != "cpu":  # who verifies it later may have no such device
        with on_the_cpu(runnable) as on_cpu:
            _widen(off, first, run(on_cpu)(inputs), slice(0, len(inputs)))
    return {name: _noise(runnable, layers[name], off[name], first[name]) for name in first}


@contextmanager
def on_the_cpu(runnable: Runnable) -> Iterator[Runnable]:
    """Move a model to the CPU for the block: one of torch.export cannot be copied."""
    cpu = torch.device("cpu")
    try:
        yield replace(runnable, module=runnable.module.to(cpu), device=cpu)
    finally:
        runnable.module.to(runnable.device)


def _noise(runnable: Runnable, what: Measured, off: NDArray[np.float64], outputs: Rows) -> Noise:
    largest = float(np.abs(outputs, where=np.isfinite(outputs), out=np.zeros_like(outputs)).max(initial=0.0))
    most = _MOST if runnable.autocast is None and runnable.device.type == "cpu" else _MOST_HALF
    if what.places:
        return Noise(off, largest)
    if off.max(initial=0.0) > most * max(largest, 1e-30):
        raise ModelError(
            f"The output of the layer {what.layer!r} of {runnable.model.id!r} for an image depends on the other images "
            f"of its batch: it differs by {off.max():.2g} of {largest:.2g} in a batch of another size. Nothing of it "
            "is stored. A normalization over the batch does that: let the model use its running statistics in "
            "evaluation."
        )
    noise = _MARGIN * _alike(off, what.shape)
    # Where sums are made in another order, a few roundings of the largest terms may not show in the sample.
    least = _ROUNDINGS * float(np.finfo(np.float32).eps) * largest if noise.any() else 0.0
    return Noise(np.maximum(noise, least), largest)


def _alike(off: NDArray[np.float64], shape: Sequence[int]) -> NDArray[np.float64]:
    """Units of one channel have their weights in common, so that the worst of them speaks for all."""
    if len(shape) == 3:  # maps (c, h, w)
        channels = off.reshape(shape[0], -1).max(axis=1)
        found = np.repeat(channels, off.size // shape[0])
    elif len(shape) == 2:  # tokens (t, c)
        found = np.tile(off.reshape(shape[0], -1).max(axis=0), shape[0])
    else:
        found = off
    spread = found[found > 0]
    return np.maximum(found, np.median(spread)) if spread.size else found


def _widen(off: dict[Name, NDArray[np.float64]], first: dict[Name, Rows], again: dict[Name, Rows], part: slice) -> None:
    for name, output in again.items():
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.abs(first[name][part].astype(np.float64) - output)
        distance[~np.isfinite(distance)] = 0  # NaN or infinity: coded as missing, and never verified
        np.maximum(off[name], distance.max(axis=0), out=off[name])


def _changing(runnable: Runnable, name: str, inputs: Tensor) -> ModelError:
    message = f"The layer {name!r} of {runnable.model.id!r} gives another output for the same images the second time"
    with torch.no_grad(), evaluating(runnable.module):
        random = random_operations(runnable.module, inputs[:1].to(runnable.device))
    if random:
        listed = ", ".join(f"{operation} in {where}" for where, operation in random[:5])
        return ModelError(
            f"{message}, since its forward pass draws at random: {listed}. Nothing of it is stored. Let it draw in "
            "training alone, for example F.dropout(x, training=self.training)."
        )
    accelerators = [kind for kind in ("cuda", "mps") if runnable.device.type == kind]
    reason = (
        "operations that add in any order on this device" if accelerators else "a state that it keeps from call to call"
    )
    return ModelError(
        f"{message}. It draws nothing at random, so it may be {reason}. Nothing of it is stored. "
        + (
            "Give device='cpu', or call torch.use_deterministic_algorithms(True)."
            if accelerators
            else "Let its forward depend on its input and its weights alone."
        )
    )


def random_operations(module: nn.Module, inputs: Tensor) -> list[tuple[str, str]]:
    """Where a forward pass draws at random: (layer and its type, operation), each once."""
    running: list[str] = []

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        found: dict[tuple[str, str], None] = {}  # noqa: RUF012 - the class is made for one call

        def __torch_dispatch__(self, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if torch.Tag.nondeterministic_seeded in getattr(func, "tags", ()):
                where = running[-1] if running else type(module).__name__
                self.found[where, str(func).split(".")[1].removeprefix("native_").rstrip("_")] = None
            return func(*args, **(kwargs or {}))

    def enter(name: str, child: nn.Module, _args: object) -> None:
        running.append(f"{name!r} ({type(child).__name__})" if name else type(child).__name__)

    def leave(*_: object) -> None:
        running.pop()

    watch = Watch()  # type: ignore[no-untyped-call]
    with ExitStack() as undo:
        for name, child in module.named_modules():
            undo.enter_context(child.register_forward_pre_hook(partial(enter, name)))
            undo.enter_context(child.register_forward_hook(leave))
        undo.enter_context(watch)
        module(inputs)
    return list(watch.found)
