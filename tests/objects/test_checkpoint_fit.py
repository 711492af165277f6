"""Weights that nobody could load are refused when they are stored, with what is wrong and what to do."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import odin_graph as og
from odin_graph.errors import ModelError
from odin_graph.runtime.models import fit, trust
from tests.kept import kept


class Net(nn.Module):
    """Two classes of images of 4 x 4."""

    def __init__(self, hidden: int = 3) -> None:
        super().__init__()
        self.features = nn.Linear(16, hidden)
        self.head = nn.Linear(hidden, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x.flatten(1)))


class Wrapper(nn.Module):
    """What Lightning and its like put around a network."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Net()


def weights(**changed: Any) -> dict[str, Tensor]:
    return {**Net().state_dict(), **changed}


@kept
def world(db: og.Workspace) -> og.Workspace:
    db.models.add("net", Net, input_shape=(1, 4, 4), classes=["a", "b"], preprocess=[og.ops.ToFloat()])
    return db


REFUSED = [
    (lambda: Wrapper(), "unexpected: model.features.bias", "run.add_checkpoint(..., prefix='model.')"),
    (lambda: Net(hidden=5), "other shapes: features.weight (5, 16) for (3, 16)", "Give the module"),
    (lambda: {"features.weight": torch.zeros(3, 16)}, "missing: features.bias, head.bias, head.weight", "Give the"),
    (lambda: weights(extra=torch.zeros(1)), "unexpected: extra", "Give the module"),
]


@pytest.mark.parametrize(("given", "says", "remedy"), REFUSED)
def test_weights_that_do_not_fit_are_refused_where_they_are_stored(
    world: og.Workspace, given: Any, says: str, remedy: str
) -> None:
    with world.run("net", id="e") as run:
        with pytest.raises(ModelError) as caught:
            run.add_checkpoint(given())
        assert says in str(caught.value)
        assert remedy in str(caught.value)
        assert run.experiment.checkpoints() == []


def test_a_prefix_is_taken_off_where_that_is_asked(world: og.Workspace) -> None:
    wrapper = Wrapper()
    with world.run("net", id="e") as run:
        checkpoint = run.add_checkpoint(wrapper, prefix="model.")
        with pytest.raises(ModelError, match=r"No weight's name begins with 'net\.'"):
            run.add_checkpoint(wrapper, prefix="net.")
    loaded = checkpoint.load()
    assert torch.equal(loaded.head.weight, wrapper.model.head.weight)


def test_the_training_goes_on_with_the_same_random_numbers(world: og.Workspace) -> None:
    fit._shapes.clear()
    torch.manual_seed(0)
    net, expected = Net(), torch.rand(3)
    torch.manual_seed(0)
    net = Net()
    with world.run("net", id="e") as run:
        run.add_checkpoint(net)
    assert torch.equal(torch.rand(3), expected)


def test_names_are_compared_where_the_code_may_not_run(world: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model whose code nobody vouched for is not built to check weights, and a wrapper is noticed all the same."""

    def refuse(*_: Any) -> None:
        raise og.errors.TrustError("nobody vouched for it")

    fit._shapes.clear()
    monkeypatch.setattr(trust, "check", refuse)
    with world.run("net", id="e") as run:
        with pytest.raises(ModelError, match=r"prefix='model\.'"):
            run.add_checkpoint(Wrapper())
        run.add_checkpoint(Net())
