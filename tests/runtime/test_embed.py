"""Embeddings: pooled outputs of the layer, computed once, and found again by the index."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from odin_graph.catalog.activations.activations import LayerRef, rows_array
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.runtime.passes import embed
from odin_graph.runtime.passes.embed import embeddings, ensure_embeddings
from odin_graph.stores import Stores
from tests.runtime.digits import add_digits, add_trained, as_inputs, digits, trained

pytestmark = pytest.mark.one_engine  # outputs of models, which no graph has

LAYER = LayerRef("small/trained", "relu#2")


def by_hand(pooling: str) -> NDArray[np.float32]:
    module = trained()
    with torch.no_grad():
        maps = module.norm(module.second(module.first(as_inputs(digits()[0])).relu())).relu()
    pooled = {"mean": maps.mean((2, 3)), "max": maps.amax((2, 3)), "flatten": maps.flatten(1)}
    return pooled[pooling].numpy()


@pytest.mark.parametrize("pooling", ["mean", "max", "flatten"])
def test_they_are_what_torch_pools_by_hand(stores: Stores, pooling: str) -> None:
    keys, checkpoint = add_digits(stores), add_trained(stores)
    order = np.array([5, 3, 3, 299, 0])
    found = embeddings(stores, LayerRef(checkpoint, "relu#2", pooling), keys[order], batch=3)
    np.testing.assert_allclose(found, by_hand(pooling)[order], atol=1e-5)


def test_only_what_is_missing_is_computed(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, _ = add_digits(stores), add_trained(stores)
    ran: list[int] = []
    real = embed._embed

    def counted(*args: object) -> object:
        for part, rows in real(*args):
            ran.extend(part.tolist())
            yield part, rows

    monkeypatch.setattr(embed, "_embed", counted)
    ensure_embeddings(stores, LAYER, keys[:100])
    ensure_embeddings(stores, LAYER, keys[50:200])
    ensure_embeddings(stores, LAYER, keys[:200])
    assert sorted(ran) == sorted(keys[:200])
    assert [held.rows for held in segments_of(stores, rows_array(LAYER.set_id))] == [100, 100]
    np.testing.assert_allclose(embeddings(stores, LAYER, keys[:200]), by_hand("mean")[:200], atol=1e-5)
    (row,) = stores.graph.read(
        "MATCH (s:ActivationSet)-[:DERIVED_FROM]->(c:Checkpoint) "
        "RETURN s.state AS state, s.lease_owner AS owner, c.id AS id"
    )
    assert row == {"state": "ready", "owner": None, "id": "small/trained"}


def test_many_small_segments_become_one(stores: Stores) -> None:
    keys, _ = add_digits(stores), add_trained(stores)
    for start in range(0, 50, 5):
        ensure_embeddings(stores, LAYER, keys[start : start + 5])
    assert len(segments_of(stores, rows_array(LAYER.set_id))) <= 3
    np.testing.assert_allclose(embeddings(stores, LAYER, keys[:50]), by_hand("mean")[:50], atol=1e-5)


def test_a_break_keeps_what_was_written(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, _ = add_digits(stores), add_trained(stores)
    monkeypatch.setattr(embed, "SEGMENT_BYTES", 1)
    real = embed._embed

    def breaking(*args: object) -> object:
        for place, held in enumerate(real(*args)):
            if place == 2:
                raise KeyboardInterrupt
            yield held

    monkeypatch.setattr(embed, "_embed", breaking)
    with pytest.raises(KeyboardInterrupt):
        ensure_embeddings(stores, LAYER, keys, batch=50)
    assert sum(held.rows for held in segments_of(stores, rows_array(LAYER.set_id))) == 100
    assert embed._ready(stores, LAYER.set_id) is None
    monkeypatch.setattr(embed, "_embed", real)
    np.testing.assert_allclose(embeddings(stores, LAYER, keys), by_hand("mean"), atol=1e-5)


def test_names_are_checked_before_anything_runs(stores: Stores) -> None:
    add_trained(stores)
    with pytest.raises(UnknownNameError, match=r"no layer of the model 'small': 'haed'. Did you mean 'head'"):
        embed.check_layer(stores, LayerRef("small/trained", "haed"))
    with pytest.raises(QueryError, match=r"'relu' runs 2 times in a pass: say which call you mean, relu#1, relu#2"):
        embed.check_layer(stores, LayerRef("small/trained", "relu"))
    with pytest.raises(QueryError, match=r"'relu#3' names no call of 'relu'"):
        embed.check_layer(stores, LayerRef("small/trained", "relu#3"))
    with pytest.raises(UnknownNameError, match="There is: flatten, max, mean"):
        embed.check_layer(stores, LayerRef("small/trained", "head", "median"))
