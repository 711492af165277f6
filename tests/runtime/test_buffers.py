"""Memory of batches is taken again when nobody holds a tensor of it, and never before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from odin_graph.runtime.training.buffers import Buffers


def batch(number: int) -> np.ndarray:
    return np.full((4, 5, 6, 3), number, np.uint8)


@pytest.mark.parametrize(
    "keep",
    [
        lambda tensor: tensor,
        lambda tensor: tensor[1:2],
        lambda tensor: tensor.numpy(),
        lambda tensor: tensor.permute(0, 2, 3, 1)[0],
        lambda tensor: torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(tensor)),
        lambda tensor: (tensor * torch.ones((), requires_grad=True)).grad_fn,
    ],
)
def test_what_is_held_is_left_alone(keep: Callable[[torch.Tensor], Any]) -> None:
    buffers = Buffers()
    held = [keep(buffers.as_tensor(batch(number))) for number in range(12)]
    for number, one in enumerate(held):
        if isinstance(one, torch.Tensor | np.ndarray):
            assert set(np.unique(np.asarray(one))) == {number}
        else:  # what autograd keeps: the gradient of the factor is the batch
            _, gradient = one(torch.ones(4, 3, 5, 6))
            assert set(gradient.unique().tolist()) == {number}


def test_what_is_let_go_is_taken_again() -> None:
    buffers = Buffers()
    addresses = set()
    for number in range(20):
        tensor = buffers.as_tensor(batch(number))
        assert torch.equal(tensor, torch.full((4, 3, 5, 6), float(number)))
        addresses.add(tensor.data_ptr())
    assert len(addresses) <= 2  # one is written while the last is held


def test_other_shapes_have_room_of_their_own() -> None:
    buffers = Buffers()
    for number in range(1, 30):
        pixels = np.full((number % 7 + 1, 5, 6, 3), number, np.uint16)
        tensor = buffers.as_tensor(pixels)
        assert tuple(tensor.shape) == (number % 7 + 1, 3, 5, 6)
        assert set(tensor.unique().tolist()) == {number}
