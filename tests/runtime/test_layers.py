"""The table of layers: shapes and counts as torch has them."""

from __future__ import annotations

import pytest
import torch
from torchvision.models import inception_v3, vgg16_bn

from odin_graph.errors import ShapeError
from odin_graph.runtime.layers.layers import LayerRow, layer_table
from tests.runtime.networks import Fixed, SmallNet, Tied

pytestmark = pytest.mark.one_engine


def test_shapes_calls_and_parameters() -> None:
    rows = {row.name: row for row in layer_table(SmallNet(width=4), (1, 28, 28))}
    assert rows["first"] == LayerRow("first", "Conv2d", 4 * 9 + 4, (4, 28, 28), 1)
    assert rows["first"].units == 4 * 28 * 28
    assert rows["relu"].calls == 2
    assert rows["relu"].of_call(1).shape == (4, 28, 28)
    assert rows["relu"].of_call(2).shape == rows["relu"].shape == (8, 13, 13)
    assert rows["drop"].shape == (8,)
    assert rows[""].parameters == sum(p.numel() for p in SmallNet(width=4).parameters())
    for row in rows.values():
        assert LayerRow.from_json(row.to_json()) == row


def test_without_an_input_shape_there_are_no_shapes() -> None:
    assert {row.shape for row in layer_table(SmallNet(), None)} == {None}


def test_a_shared_weight_counts_once() -> None:
    assert layer_table(Tied(), (1, 28, 28))[0].parameters == 784 * 784


def test_an_input_that_the_model_refuses_names_the_layer() -> None:
    with pytest.raises(ShapeError, match=r"\(1, 32, 32\).*layer 'body.1' fails"):
        layer_table(Fixed(), (1, 32, 32))


def test_the_networks_of_the_retina_papers() -> None:
    """One input channel and two outputs: the counts that the published experiments give."""
    with torch.device("meta"):
        vgg = vgg16_bn(num_classes=2)
        vgg.features[0] = torch.nn.Conv2d(1, 64, 3, padding=1)
        inception = inception_v3(num_classes=2, aux_logits=True, init_weights=False, transform_input=False)
        inception.Conv2d_1a_3x3.conv = torch.nn.Conv2d(1, 32, 3, stride=2, bias=False)
    assert layer_table(vgg, (1, 224, 224))[0].parameters == 134_276_034
    table = layer_table(inception, (1, 299, 299))
    assert table[0].parameters == 24_348_324
    assert table[0].shape == (2,)
