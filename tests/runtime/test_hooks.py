"""Hooks: what they keep is what the layer said, and the model comes back as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from odin_graph.errors import ModelError, UnknownNameError
from odin_graph.runtime.layers.hooks import captured
from tests.runtime.networks import SmallNet

IMAGES = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_outputs_are_those_of_the_layer_before_an_in_place_relu() -> None:
    model = SmallNet().train()
    with captured(model, ["first", "relu#1", "relu#2", "head"]) as outputs, torch.no_grad():
        model(torch.rand(2, 1, 28, 28))
        said = model(IMAGES)
    model.eval()
    with torch.no_grad():
        first = model.first(IMAGES)
        second = model.norm(model.second(first.relu())).relu()
    torch.testing.assert_close(outputs["first"], first)
    torch.testing.assert_close(outputs["relu#1"], first.relu())
    torch.testing.assert_close(outputs["relu#2"], second)
    torch.testing.assert_close(outputs["head"], said)


def test_a_layer_that_runs_twice_must_be_numbered() -> None:
    model = SmallNet()
    with captured(model, ["relu"]), torch.no_grad(), pytest.raises(ModelError, match=r"relu#1, relu#2"):
        model(IMAGES)
    assert hooks(model) == 0


@pytest.mark.parametrize("fails", [False, True])
def test_modes_and_hooks_come_back(fails: bool) -> None:
    model = SmallNet().train()
    model.norm.eval()
    before = modes(model)
    shape = (1, 2, 28, 28) if fails else (1, 1, 28, 28)
    try:
        with captured(model, ["head"]):
            assert not any(modes(model))
            model(torch.rand(shape))
    except RuntimeError:
        assert fails
    assert modes(model) == before
    assert hooks(model) == 0


def test_an_unknown_layer_lists_the_layers() -> None:
    model = SmallNet()
    with pytest.raises(UnknownNameError, match=r"no layer 'haed'. Did you mean 'head'\?"), captured(model, ["haed"]):
        pass
    assert hooks(model) == 0


def test_the_first_tensor_of_a_tuple_is_the_output() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(28, 6, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.lstm(x[:, 0])[0][:, -1]

    model = Recurrent()
    with captured(model, ["lstm"]) as outputs, torch.no_grad():
        model(IMAGES)
    torch.testing.assert_close(outputs["lstm"], model.lstm(IMAGES[:, 0])[0])


def test_a_reduction_runs_before_the_copy() -> None:
    model = SmallNet()
    with captured(model, ["first"], reduce=lambda held: held.amax((2, 3))) as outputs, torch.no_grad():
        model(IMAGES)
    torch.testing.assert_close(outputs["first"], model.first(IMAGES).amax((2, 3)))
