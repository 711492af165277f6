"""What the engine refuses, and how it says so."""

from __future__ import annotations

import numpy as np
import pytest

from odin_graph.errors import QueryError, ShapeError, StoreError, UnknownNameError
from odin_graph.neurons import Block, Values, aggregate, compare, highest, highest_estimate, nearest
from odin_graph.neurons.aggregates import AGGREGATES
from odin_graph.neurons.measure import Measure

from .coder import Captured, coded, stored

KEYS = np.arange(50)
VALUES = np.random.default_rng(0).standard_normal((50, 3)).astype(np.float32)


@pytest.fixture
def block() -> Block:
    return coded(KEYS, VALUES, relu=False)


def test_unknown_names_list_what_there_is() -> None:
    with pytest.raises(UnknownNameError) as caught:
        aggregate("meen")
    assert str(caught.value) == (
        "There is no aggregate of units 'meen'. Did you mean 'mean'? There is: l1, l2, max, mean, min, sum, weighted. "
        "A package that registers it (entry points 'odin_graph.unit_aggregates') may be missing here."
    )
    with pytest.raises(UnknownNameError, match="There is no distance of units 'l3'"):
        nearest([], np.ones(3), "l3", 5)


def test_weights_are_checked() -> None:
    with pytest.raises(QueryError, match="A weighted sum of units needs weights="):
        aggregate("weighted")
    with pytest.raises(QueryError, match="The aggregate 'mean' takes no weights: weighted does"):
        aggregate("mean", [1, 2])
    with pytest.raises(QueryError, match=r"and not below 0: that of unit 1 of the group is -2.0\."):
        nearest([], np.ones(2), "l1", 1, weights=[1, -2])
    with pytest.raises(QueryError, match="of unit 0 of the group is nan"):
        aggregate("weighted", [np.nan, 1])
    with pytest.raises(ShapeError, match="There are 2 units, and 3 weights: give one each"):
        nearest([], np.ones(2), "l1", 1, weights=[1, 2, 3])


def test_units_must_agree(block: Block) -> None:
    with pytest.raises(ShapeError, match=r"are of the same units, not of \[2, 3\]"):
        nearest([block], np.ones(2), "l2", 1)
    with pytest.raises(ShapeError, match=r"are of the same units, not of \[1, 3\]"):
        highest([block, stored(KEYS + 50, VALUES[:, :1])], aggregate("sum"), 1)
    with pytest.raises(ShapeError, match=r"are \(3, 3\), not \(3, 2\)"):
        highest([block], aggregate("sum"), 3, exact=lambda keys: np.ones((len(keys), 2), np.float32)[:3])
    with pytest.raises(ShapeError, match="A block of 3 units over 49 images"):
        Block(KEYS[1:], block.codes, block.low, block.high)
    with pytest.raises(ShapeError, match="Values of 49 images"):
        Values(KEYS[1:], VALUES.T)


def test_questions_are_checked(block: Block) -> None:
    with pytest.raises(QueryError, match="k is the number of images, at least 1, not 0"):
        highest([block], aggregate("sum"), 0)
    with pytest.raises(ShapeError, match="The value to search with is inf at unit 1 of the group"):
        nearest([block], [0, np.inf, 1], "l2", 1)
    with pytest.raises(QueryError, match="'~' is not a comparison: write one of < <= == != >= >"):
        compare([block], aggregate("sum"), "~", 0.0)  # type: ignore[arg-type]
    with pytest.raises(QueryError, match="Nothing is less than, greater than or equal to NaN"):
        compare([block], aggregate("sum"), ">", np.nan)


def test_codes_that_do_not_decide_say_so(block: Block) -> None:
    with pytest.raises(StoreError, match="Codes alone do not decide between"):
        highest([block], aggregate("sum"), 3)
    assert len(highest_estimate([block], aggregate("sum"), 3).keys) == 3
    assert highest([stored(KEYS, VALUES)], aggregate("sum"), 3).verified == 0


def test_values_that_contradict_their_codes_are_no_answer(block: Block) -> None:
    other = Captured(KEYS, VALUES + 1)
    with pytest.raises(StoreError, match="are not where its stored codes say"):
        highest([block], aggregate("sum"), 3, exact=other)
    with pytest.raises(StoreError, match="are not where its stored codes say"):
        compare([block], aggregate("sum"), ">", 0.01, exact=other)
    found = highest([block], aggregate("sum"), 3, exact=other, noise=np.full(3, 1e-6))
    assert found.work.beyond == found.verified > 0


def test_nothing_stored_is_an_empty_answer() -> None:
    found = highest([], aggregate("sum"), 3, among=np.array([4, 7]))
    assert len(found.keys) == 0
    np.testing.assert_array_equal(found.uncovered, [4, 7])
    assert len(compare([], aggregate("sum"), ">", 0.0).true) == 0


def test_nothing_is_near_to_a_vector_of_zeros_by_angle(block: Block) -> None:
    assert len(nearest([block], np.zeros(3), "cosine", 3).keys) == 0
    assert len(nearest([block], np.ones(3), "cosine", 3, weights=[0, 0, 0]).keys) == 0


def test_an_aggregate_of_ones_own_needs_no_sketch(block: Block) -> None:
    class Spread(Measure):
        """The largest less the smallest."""

        def value(self, values: np.ndarray) -> np.ndarray:
            return np.asarray(values.max(axis=0).astype(np.float64) - values.min(axis=0))

        def box(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            least = np.maximum(low.max(axis=0) - high.min(axis=0), 0)
            return least, high.max(axis=0) - low.min(axis=0)

    AGGREGATES.register("spread")(Spread)
    try:
        found = highest([block], aggregate("spread"), 5, exact=Captured(KEYS, VALUES))
    finally:
        del AGGREGATES._entries["spread"]
    spread = np.ptp(VALUES.astype(np.float64), axis=1)
    np.testing.assert_array_equal(found.keys, np.argsort(-spread, kind="stable")[:5])
