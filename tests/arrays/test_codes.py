"""The codec u8: whatever was said, its code's interval holds it; what is not finite is counted. And the codec f16."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from odin_graph.arrays import codes, halves
from tests.shares import share

LARGEST = float(np.finfo(np.float32).max)
LEAST = float(np.float32(1e-45))
SINGLE = st.floats(width=32)
FLOATS = st.one_of(
    SINGLE,
    st.floats(0, 10, width=32),
    st.floats(-1, 1, width=32),
    st.sampled_from([0.0, -0.0, LEAST, -LEAST, 1e-40, 1e-38, LARGEST, -LARGEST, np.inf, -np.inf, np.nan, 1.0]),
)
RELU = st.one_of(
    st.just(0.0),
    st.floats(0, 10, width=32),
    st.floats(0, width=32, allow_infinity=False),
    st.just(-0.0),
    st.just(LEAST),
)


def blocks(elements: st.SearchStrategy[float]) -> st.SearchStrategy[NDArray[np.float32]]:
    shapes = st.tuples(st.integers(1, 4), st.integers(1, 40))
    return arrays(np.float32, shapes, elements=elements, fill=elements)


def assert_sound(values: NDArray[np.float32]) -> None:
    said, scales = codes.encode(values)
    low, high = codes.tables(scales)
    assert (low <= high).all()
    wide = values.astype(np.float64)
    finite = np.isfinite(values)
    assert (said == codes.NOT_FINITE).tolist() == (~finite).tolist()
    at_least, at_most = np.take_along_axis(low, said, 1), np.take_along_axis(high, said, 1)
    assert (at_least[finite] <= wide[finite]).all()
    assert (wide[finite] <= at_most[finite]).all()
    assert scales[:, 2].tolist() == np.isnan(values).sum(1).tolist()
    assert scales[:, 3].tolist() == np.isinf(values).sum(1).tolist()
    assert (low[:, 255] == -np.inf).all()
    assert (high[:, 255] == np.inf).all()
    for row, unit in enumerate(values):
        ends = unit[np.isfinite(unit)]
        if ends.size and ends.min() == 0:
            assert (low[row, 0], high[row, 0]) == (0, 0), "code 0 of a ReLU unit is exactly zero"
            assert ((said[row] == 0) == (unit == 0)).all(), "and nothing else has it"
        if ends.size and ends.min() == ends.max():
            assert (low[row, :255] == ends[0]).all(), "a constant is exact"
            assert (high[row, :255] == ends[0]).all()


@given(blocks(FLOATS))
@example(np.array([[np.nan, np.nan], [np.inf, -np.inf]], np.float32))
@example(np.array([[-LARGEST, LARGEST, 0], [0, LARGEST, LEAST]], np.float32))
@example(np.array([[0, LEAST, 2 * LEAST], [-LEAST, LEAST, 0]], np.float32))
@example(np.array([[0, -0.0], [5, 5]], np.float32))
@settings(max_examples=share(400))
def test_every_code_is_a_sound_interval(values: NDArray[np.float32]) -> None:
    assert_sound(values)


@given(blocks(RELU))
@settings(max_examples=share(200))
def test_zero_is_exact_of_a_relu_unit(values: NDArray[np.float32]) -> None:
    assert_sound(values)


@given(st.floats(2**-20, 2**20, width=32), st.integers(0, 2**32))
def test_values_at_the_steps_themselves(largest: float, seed: int) -> None:
    """Where rounding decides on which side of a step a value falls."""
    steps = np.float32(largest) * (np.arange(255, dtype=np.float64) / 254)
    near = steps.astype(np.float32)
    assert_sound(np.stack([near, np.nextafter(near, np.float32(np.inf)), np.nextafter(near, np.float32(0))]))
    assert_sound(np.stack([near - np.float32(largest / 3)]))
    draw = np.random.default_rng(seed)
    assert_sound(np.maximum(draw.normal(size=(3, 500)), 0).astype(np.float32) * np.float32(largest))


@pytest.mark.soak
@given(blocks(FLOATS))
@settings(max_examples=20_000)
def test_every_code_is_sound_many_times(values: NDArray[np.float32]) -> None:
    assert_sound(values)


def test_intervals_are_a_254th_of_the_range() -> None:
    draw = np.random.default_rng(0).normal(size=(2, 10_000)).astype(np.float32)
    _, scales = codes.encode(np.stack([np.maximum(draw[0], 0), draw[1]]))
    low, high = codes.tables(scales)
    width = (high - low)[:, 1:254]
    np.testing.assert_allclose(width[0], scales[0, 1] / 254, rtol=1e-3)
    np.testing.assert_allclose(width[1], (scales[1, 1] - scales[1, 0]) / 255, rtol=1e-3)


def test_a_unit_far_from_zero_has_all_its_codes_where_it_is() -> None:
    _, scales = codes.encode(np.linspace(1000, 1001, 500, dtype=np.float32)[None])
    low, high = codes.tables(scales)
    assert (high - low)[0, :255].max() < 0.005


def test_units_are_coded_alike_alone_and_among_others() -> None:
    """One that is not tame, or not finite, does not change its neighbors."""
    draw = np.random.default_rng(1).normal(size=(40, 9_000)).astype(np.float32)
    draw[::3] = np.maximum(draw[::3], 0)
    draw[4, 7], draw[5] = np.nan, 1e-42
    draw[9, 3] = LARGEST
    together, scales = codes.encode(draw)
    for row in range(40):
        alone, scale = codes.encode(draw[row : row + 1])
        np.testing.assert_array_equal(alone[0], together[row])
        np.testing.assert_array_equal(scale[0], scales[row])


def test_no_images_and_no_units() -> None:
    for shape in ((3, 0), (0, 3)):
        said, scales = codes.encode(np.empty(shape, np.float32))
        assert (said.shape, scales.shape) == (shape, (shape[0], 4))


@given(blocks(FLOATS))
@settings(max_examples=share(300))
def test_halves_lie_within_their_bound(values: NDArray[np.float32]) -> None:
    scales = codes.scales(values)
    back = halves.unpack(halves.pack(values, scales), scales)
    finite = np.isfinite(values)
    np.testing.assert_array_equal(back[~finite], values[~finite])
    assert np.isfinite(back[finite]).all()
    distance = np.abs(np.where(finite, back, 0).astype(np.float64) - np.where(finite, values, 0))
    assert (distance <= halves.error(scales)[:, None]).all()
