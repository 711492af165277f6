"""How the output of a layer becomes one vector an image."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from odin_graph.registry import Registry


class Pooling(Protocol):
    """Outputs (n, ...) in, vectors (n, d) out, on the device of the outputs."""

    def __call__(self, outputs: Tensor) -> Tensor:
        """Pool over the positions of each image."""
        ...


POOLINGS: Registry[Pooling] = Registry("pooling", group="odin_graph.poolings")


@POOLINGS.register("mean")
def mean(outputs: Tensor) -> Tensor:
    """The mean over positions: of maps (n, channels, h, w), of tokens (n, tokens, channels)."""
    positions = _positions(outputs)
    return outputs.float().mean(dim=positions) if positions else outputs.float()


@POOLINGS.register("max")
def maximum(outputs: Tensor) -> Tensor:
    """The largest value over positions."""
    positions = _positions(outputs)
    return outputs.float().amax(dim=positions) if positions else outputs.float()


@POOLINGS.register("flatten")
def flatten(outputs: Tensor) -> Tensor:
    """Every value of the layer."""
    return outputs.float().flatten(1)


def _positions(outputs: Tensor) -> tuple[int, ...]:
    """The axes to pool over. Vectors (n, d) have none; three axes are tokens, as in a transformer."""
    if outputs.ndim == 3:
        return (1,)
    return tuple(range(2, outputs.ndim))
