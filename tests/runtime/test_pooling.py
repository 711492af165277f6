"""Poolings give one vector an image."""

from __future__ import annotations

import pytest
import torch

from odin_graph.errors import UnknownNameError
from odin_graph.runtime.layers.pooling import POOLINGS

MAPS = torch.randn(3, 4, 5, 6)
TOKENS = torch.randn(3, 7, 4)


def test_maps_and_tokens_are_pooled_over_positions() -> None:
    torch.testing.assert_close(POOLINGS.get("mean")(MAPS), MAPS.flatten(2).mean(2))
    torch.testing.assert_close(POOLINGS.get("max")(MAPS), MAPS.flatten(2).max(2).values)
    torch.testing.assert_close(POOLINGS.get("mean")(TOKENS), TOKENS.mean(1))
    assert POOLINGS.get("flatten")(MAPS).shape == (3, 120)


@pytest.mark.parametrize("name", ["mean", "max", "flatten"])
def test_vectors_stay_and_halves_become_floats(name: str) -> None:
    vectors = torch.randn(3, 9).half()
    torch.testing.assert_close(POOLINGS.get(name)(vectors), vectors.float())


def test_an_unknown_pooling_lists_them() -> None:
    with pytest.raises(UnknownNameError, match="There is: flatten, max, mean"):
        POOLINGS.get("men")
