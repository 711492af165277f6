"""The digest of what feeds a layer: the same for the same, another for everything that may say something else."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models import efficientnet_b0, resnet18, swin_t, vit_b_16

from odin_graph.catalog.activations.unit_sets import UnitSet, unit_sets
from odin_graph.catalog.models.checkpoints import add_checkpoint
from odin_graph.catalog.models.models import add_model
from odin_graph.catalog.records.deletion import delete
from odin_graph.ops import Normalize, ToFloat
from odin_graph.runtime.models.describe import describe
from odin_graph.runtime.models.subnetwork import layer_digests, trace
from odin_graph.runtime.passes.materialize import materialize
from odin_graph.runtime.passes.unit_plan import Want
from odin_graph.stores import Stores
from tests.runtime.digits import PREPROCESS, add_digits, add_trained, trained
from tests.runtime.networks import Fixed, SmallNet, Tied

SHAPE = (1, 28, 28)


def traced(module: nn.Module, shape: tuple[int, ...] = SHAPE) -> dict[str, str]:
    found = trace(module, shape)
    assert found is not None
    return found


def changed(module: nn.Module, name: str) -> nn.Module:
    """A copy with one number of a parameter or buffer changed."""
    held = deepcopy(module)
    with torch.no_grad():
        held.state_dict()[name].view(-1)[0] += 1
    return held


def differing(one: dict[str, str], two: dict[str, str]) -> set[str]:
    return {name for name in one if one[name] != two[name]}


@pytest.mark.parametrize(
    ("make", "shape"),
    [(resnet18, 64), (efficientnet_b0, 64), (swin_t, 64), (vit_b_16, 224)],
    ids=lambda it: str(it)[:20],
)
def test_another_head_leaves_the_backbone_what_it_is(make: Callable[[], nn.Module], shape: int) -> None:
    torch.manual_seed(0)
    module = make().train()
    head = [name for name, held in module.named_modules() if isinstance(held, nn.Linear)][-1]
    before = traced(module, (3, shape, shape))
    assert module.training
    assert traced(deepcopy(module), (3, shape, shape)) == before
    other = differing(before, traced(changed(module, f"{head}.weight"), (3, shape, shape)))
    parents = {head.rsplit(".", cut)[0] for cut in range(head.count(".") + 1)} | {head, ""}
    assert other == {name for parent in parents for name in (parent, f"{parent}#1")}


def test_what_comes_before_counts_and_what_comes_after_does_not() -> None:
    module = SmallNet()
    before = traced(module)
    calls = {"first": {"first"}, "relu#1": {"relu#1"}, "second": {"second"}, "norm": {"norm"}, "relu#2": {"relu#2"}}
    assert calls.keys() < before.keys()
    for name, same in {
        "first.weight": set[str](),
        "second.bias": {"first", "relu#1"},
        "norm.running_mean": {"first", "relu#1", "second"},
        "norm.weight": {"first", "relu#1", "second"},
        "head.bias": {"first", "relu#1", "second", "norm", "relu#2", "drop"},
    }.items():
        other = differing(before, traced(changed(module, name)))
        assert same.isdisjoint(other), name
        assert {"head"} <= other
        assert {"first", "relu#1", "second", "norm", "relu#2", "drop"} - same <= other, name


def test_constants_count_as_weights_do() -> None:
    module = SmallNet()
    other = deepcopy(module)
    other.norm.eps = 0.1
    assert "norm" in differing(traced(module), traced(other))
    assert "second" not in differing(traced(module), traced(other))


def test_names_do_not_count() -> None:
    class Wrapped(nn.Module):
        def __init__(self, body: nn.Module) -> None:
            super().__init__()
            self.backbone = body
            self.extra = nn.Linear(10, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.extra(self.backbone(x))

    module = SmallNet()
    inner, outer = traced(module), traced(Wrapped(module))
    for name in ("first", "relu#2", "head"):
        assert outer[f"backbone.{name}"] == inner[name]


def test_what_is_written_in_place_counts() -> None:
    class InPlace(nn.Module):
        def __init__(self, factor: float, late: bool) -> None:
            super().__init__()
            self.relu = nn.ReLU()
            self.same = nn.Identity()
            self.factor, self.late = factor, late

        def forward(self, x: Tensor) -> Tensor:
            held = self.relu(x)
            if not self.late:
                held[:, :, :3].mul_(self.factor)  # through a view
            held = self.same(held)
            if self.late:
                held[:, :, :3].mul_(self.factor)
            return held * 2

    two, three = traced(InPlace(2, False)), traced(InPlace(3, False))
    assert two["relu"] == three["relu"]
    assert two["same"] != three["same"]
    late_two, late_three = traced(InPlace(2, True)), traced(InPlace(3, True))
    assert late_two["same"] == late_three["same"], "it was written to after the layer had said it"
    assert late_two[""] != late_three[""]
    assert two["same"] != late_two["same"]


def test_which_part_of_a_tensor_counts() -> None:
    class Part(nn.Module):
        def __init__(self, place: int) -> None:
            super().__init__()
            self.place, self.same = place, nn.Identity()

        def forward(self, x: Tensor) -> Tensor:
            return self.same(x[:, :, self.place : self.place + 1])

    assert traced(Part(0))["same"] != traced(Part(1))["same"]
    assert traced(Part(1))["same"] == traced(Part(1))["same"]


def test_tied_weights_and_tuples(stores: Stores) -> None:
    assert {"encode", "decode"} < traced(Tied()).keys()

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(28, 6, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.lstm(x[:, 0])[0][:, -1]

    module = Recurrent()
    assert "lstm" in differing(traced(module), traced(changed(module, "lstm.bias_hh_l0")))


def test_what_depends_on_the_input_is_not_told() -> None:
    class Branching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 10 else -x

    assert trace(Branching(), SHAPE) is None


def test_what_is_computed_beside_torch_is_not_mistaken() -> None:
    class Beside(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.same, self.factor = nn.Identity(), factor

        def forward(self, x: Tensor) -> Tensor:
            return self.same(torch.from_numpy(x.numpy() * np.float32(self.factor)))

    assert traced(Beside(2))["same"] != traced(Beside(3))["same"]
    assert traced(Beside(2))["same"] == traced(Beside(2))["same"]


def fine_tuned() -> nn.Module:
    return changed(trained(), "head.weight")


def test_checkpoints_that_share_a_backbone_store_it_once(stores: Stores) -> None:
    keys, first = add_digits(stores, 50), add_trained(stores)
    second = add_checkpoint(stores, "small", fine_tuned(), id="small/fine-tuned")
    wants = [Want("relu#2"), Want("head", codec="f32")]
    backbone, head = materialize(stores, first, wants, keys)
    again, other = materialize(stores, second, wants, keys)
    assert again == backbone
    assert other != head
    links = stores.graph.read(
        "MATCH (s:ActivationSet {id: $id})-[e:DERIVED_FROM]->(c:Checkpoint) "
        "RETURN c.id AS id, e.layer AS layer ORDER BY id",
        {"id": backbone},
    )
    assert links == [{"id": second, "layer": "relu#2"}, {"id": first, "layer": "relu#2"}]
    assert {held.id for held in unit_sets(stores, second)} == {backbone, other}
    materialize(stores, second, wants, keys)
    assert len(stores.graph.read("MATCH (:ActivationSet)-[e:DERIVED_FROM]->(:Checkpoint) RETURN e.layer AS l")) == 4

    delete(stores, "Checkpoint", [first])
    assert {held.id for held in unit_sets(stores)} == {backbone, other}, "what the other shares stays"
    assert len(UnitSet.open(stores, backbone).coverage()) == 50
    delete(stores, "Checkpoint", [second])
    assert unit_sets(stores) == []


def test_other_preprocessing_is_another_set(stores: Stores) -> None:
    first = add_trained(stores)
    pipeline = (ToFloat(), Normalize(mean=0.2, std=0.31))
    record = describe(stores, "paler", SmallNet, preprocess=pipeline, classes=tuple(range(10)), input_shape=SHAPE)
    add_model(stores, record)
    second = add_checkpoint(stores, "paler", trained(), id="paler/trained")
    one, two = layer_digests(stores, first), layer_digests(stores, second)
    assert one.keys() == two.keys()
    assert not set(one.values()) & set(two.values())
    assert layer_digests(stores, first) == one, "from the cache"


def test_a_model_without_an_input_shape_shares_nothing(stores: Stores) -> None:
    add_model(stores, describe(stores, "fixed", Fixed, preprocess=PREPROCESS))
    torch.manual_seed(0)
    module = Fixed()
    first = add_checkpoint(stores, "fixed", module, id="fixed/1")
    second = add_checkpoint(stores, "fixed", changed(module, "head.bias"), id="fixed/2")
    assert layer_digests(stores, first)["body"] != layer_digests(stores, second)["body"]
    keys = add_digits(stores, 20)
    (made,) = materialize(stores, first, [Want("body", codec="f32")], keys)
    assert UnitSet.open(stores, made).record.shape == (32,)
