"""A model that says something else the second time is refused with the reason; the noise of others is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from odin_graph.catalog.activations.unit_sets import UnitSet
from odin_graph.catalog.models.checkpoints import add_checkpoint
from odin_graph.catalog.models.models import add_model
from odin_graph.errors import ModelError, NotFiniteWarning
from odin_graph.runtime.models.describe import describe
from odin_graph.runtime.passes.materialize import materialize
from odin_graph.runtime.passes.rerun import Rerun
from odin_graph.runtime.passes.unit_plan import Want
from odin_graph.stores import Stores
from tests.runtime.digits import PREPROCESS, add_digits, add_trained

pytestmark = pytest.mark.one_engine


class Dropping(nn.Module):
    """Drops also when it is evaluated, as F.dropout does where nobody says otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(784, 8))
        self.block = Inner()

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.body(x))


class Inner(nn.Module):
    """A block of its own, which the message names."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.5)


class Remembering(nn.Module):
    """Adds what it said before."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.flatten(x + self.calls)


class OfTheBatch(nn.Module):
    """Subtracts the mean of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        return self.flatten(x - x.mean(0))


class Dividing(nn.Module):
    """Says NaN of black pixels, and infinity of others."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        black = x.flatten(1)[:, :4] * 0
        return self.last(torch.cat([x.flatten(1)[:, :4], black / 0, 1 / black], 1))


def checkpoint(stores: Stores, kind: type[nn.Module]) -> str:
    name = kind.__name__.lower()
    add_model(stores, describe(stores, name, kind, preprocess=PREPROCESS, input_shape=(1, 28, 28)))
    return add_checkpoint(stores, name, kind(), id=f"{name}/1")


def test_what_draws_at_random_is_refused_by_name(stores: Stores) -> None:
    keys, held = add_digits(stores, 20), checkpoint(stores, Dropping)
    with pytest.raises(ModelError) as caught:
        materialize(stores, held, [Want("block")], keys)
    said = str(caught.value)
    assert "The layer 'block' of 'dropping' gives another output for the same images the second time" in said
    assert "draws at random: " in said
    assert "in 'block' (Inner)" in said
    assert "F.dropout(x, training=self.training)" in said
    assert stores.graph.read("MATCH (s:ActivationSet) RETURN count(s) AS n") == [{"n": 0}]
    assert materialize(stores, held, [Want("body")], keys), "what comes before may be stored"


def test_what_keeps_a_state_is_refused(stores: Stores) -> None:
    keys, held = add_digits(stores, 20), checkpoint(stores, Remembering)
    with pytest.raises(ModelError, match="draws nothing at random, so it may be a state that it keeps"):
        materialize(stores, held, [Want("flatten")], keys)


def test_what_depends_on_the_batch_is_refused(stores: Stores) -> None:
    keys, held = add_digits(stores, 20), checkpoint(stores, OfTheBatch)
    with pytest.raises(ModelError, match="depends on the other images of its batch: it differs by"):
        materialize(stores, held, [Want("flatten")], keys)


def test_what_is_not_finite_is_counted_and_reported(stores: Stores) -> None:
    keys, held = add_digits(stores, 20), checkpoint(stores, Dividing)
    with pytest.warns(NotFiniteWarning, match="gave NaN 80 times and infinity 80 times, in 8 of its 12 units over 20"):
        (made,) = materialize(stores, held, [Want("last")], keys)
    assert UnitSet.open(stores, made).not_finite() == (80, 80)


def test_noise_bounds_what_a_run_of_few_images_says(stores: Stores) -> None:
    keys, held = add_digits(stores), add_trained(stores)
    (made,) = materialize(stores, held, [Want("relu#2", codec="f32")], keys, batch=64)
    found = UnitSet.open(stores, made)
    group = np.arange(found.record.units)
    noise = found.noise(group)
    assert noise.shape == group.shape
    assert noise.max() < 1e-3
    again = Rerun.of(stores, found.record, held, "relu#2", group)
    chosen = np.random.default_rng(0).permutation(keys)[:21]
    for size in (1, 2, 21):
        off = np.abs(again(chosen[:size]).astype(np.float64) - found.values(group, chosen[:size]))
        assert (off <= noise).all()
    assert again.images == 24


def test_a_rerun_gives_the_keys_as_they_were_asked(stores: Stores) -> None:
    keys, held = add_digits(stores, 100), add_trained(stores)
    (made,) = materialize(stores, held, [Want("head", codec="f32")], keys)
    group = np.array([7, 2, 2])
    again = Rerun(stores, held, "head", group, batch=8)
    for asked in (keys[[5, 3, 3, 99]], keys[:0], np.random.default_rng(1).permutation(keys)):
        expected = UnitSet.open(stores, made).values(group, asked)
        np.testing.assert_allclose(again(asked), expected, atol=1e-5)


def test_autocast_is_another_set_and_recorded(stores: Stores) -> None:
    keys, held = add_digits(stores, 30), add_trained(stores)
    (exact,) = materialize(stores, held, [Want("relu#2")], keys)
    (half,) = materialize(stores, held, [Want("relu#2")], keys, autocast=torch.bfloat16)
    assert half != exact
    assert UnitSet.open(stores, exact).record.device == "cpu"
    assert UnitSet.open(stores, half).record.device == "cpu bfloat16"
