"""Units without purged images: what is left is sound, and says nothing of what went."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from odin_graph.arrays import codes, units
from odin_graph.arrays.forgetting import forgetting
from odin_graph.arrays.units import SLACK, Slab, UnitCodec, coded, decoded
from tests.arrays.test_codes import FLOATS, LARGEST, LEAST, RELU
from tests.shares import share

Floats = NDArray[np.float32]


@st.composite
def purges(draw: st.DrawFn) -> tuple[Floats, list[NDArray[np.bool_]]]:
    """Units (units, n), and which images stay in one purge after the other."""
    n = draw(st.integers(2, 30))
    values = draw(arrays(np.float32, (draw(st.integers(1, 3)), n), elements=draw(st.sampled_from([FLOATS, RELU]))))
    steps = []
    for _ in range(draw(st.integers(1, 3))):
        kept = draw(arrays(np.bool_, n))
        if kept.any():
            steps.append(kept)
            n = int(kept.sum())
    return values, steps


def after(values: Floats, steps: list[NDArray[np.bool_]], codec: UnitCodec) -> tuple[Floats, Slab]:
    slab = coded(values, codec)
    for kept in steps:
        slab, values = forgetting(slab, kept), values[:, kept]
    assert (slab.values.shape, slab.scales.shape) == (values.shape, (len(values), units.SCALES))
    assert np.isfinite(slab.scales).all()
    return values, slab


def tables(slab: Slab) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return codes.tables(slab.scales, slab.scales[:, SLACK])


def assert_sound(values: Floats, slab: Slab) -> None:
    low, high = tables(slab)
    assert (low <= high).all()
    said, wide = slab.values, values.astype(np.float64)
    finite = np.isfinite(values)
    assert (said[~finite] == codes.NOT_FINITE).all()
    assert (np.take_along_axis(low, said, 1)[finite] <= wide[finite]).all()
    assert (wide[finite] <= np.take_along_axis(high, said, 1)[finite]).all()


@given(purges())
@example((np.array([[-LARGEST, LARGEST, 0, 1]], np.float32), [np.array([False, True, True, True])]))
@example((np.array([[1e30, 1e30 * (1 + 2**-23), 1e30 * (1 + 2**-22), -1]], np.float32), [np.array([1, 1, 0, 0], bool)]))
@example((np.array([[LEAST, 0, 2 * LEAST, 1]], np.float32), [np.array([True, True, True, False])]))
@example((np.array([[np.nan, 3, 3, np.inf]], np.float32), [np.array([True, False, False, True])]))
@settings(max_examples=share(400))
def test_every_code_that_is_left_is_a_sound_interval(drawn: tuple[Floats, list[NDArray[np.bool_]]]) -> None:
    values, slab = after(*drawn, "u8")
    assert_sound(values, slab)
    first = coded(drawn[0], "u8").scales
    for row, unit in enumerate(values):
        nans, infinities = np.isnan(unit).sum(), np.isinf(unit).sum()
        assert slab.scales[row, 2:4].sum() == nans + infinities
        if not first[row, 2:4].all():
            assert slab.scales[row, 2:4].tolist() == [nans, infinities]


@given(purges())
@settings(max_examples=share(200))
def test_float_columns_that_are_left_are_as_good_as_before(drawn: tuple[Floats, list[NDArray[np.bool_]]]) -> None:
    values, slab = after(*drawn, "f32")
    assert slab.values.tobytes() == values.tobytes()
    np.testing.assert_array_equal(slab.scales, coded(values, "f32").scales)
    values, slab = after(*drawn, "f16")
    found, finite = decoded(slab.values, slab.scales), np.isfinite(values)
    np.testing.assert_array_equal(found[~finite], values[~finite])
    off = np.abs(np.where(finite, found, 0).astype(np.float64) - np.where(finite, values, 0))
    assert (off <= units.error("f16", slab.scales)[:, None]).all()
    np.testing.assert_array_equal(slab.scales[:, 2:4], coded(values, "f16").scales[:, 2:4])


def test_half_precision_of_small_values_beside_a_large_one_that_went() -> None:
    """They were coarse because of it, and still are."""
    values = np.array([[3, 2.2e-5, 1e6], [1, 0, 7]], np.float32)
    left, slab = after(values, [np.array([True, True, False]), np.array([False, True])], "f16")
    off = np.abs(decoded(slab.values, slab.scales).astype(np.float64) - left).max(axis=1)
    error = units.error("f16", slab.scales)
    assert (off <= error).all()
    assert off[0] > 2**-11 * left[0, 0]
    assert error[0] < 0.1
    assert slab.scales[:, 1].tolist() == [decoded(slab.values, slab.scales)[0, 0], 0]


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("codec", ["u8", "f16", "f32"])
def test_an_extreme_value_that_went_is_nowhere(codec: UnitCodec, relu: bool) -> None:
    """Neither in the scales, nor where the steps that are left lead."""
    values = np.random.default_rng(3).normal(size=(300, 60)).astype(np.float32)
    values = np.maximum(values, 0) if relu else values
    kept = np.ones(60, np.bool_)
    kept[[5, 40]] = False
    values[:150, 5] = values[:150].max(axis=1) * np.float32(1.37)
    values[150:, 40] = (1 if relu else -1) * np.abs(values[150:]).max(axis=1) * np.float32(2.61)
    left, slab = after(values, [kept], codec)
    ends = np.stack([values.min(axis=1), values.max(axis=1)], axis=1)
    own = np.stack([left.min(axis=1), left.max(axis=1)], axis=1)
    went = ends != own
    assert went.any(axis=1).all()
    assert not (slab.scales[:, :2] == ends)[went].any()
    if codec != "u8":
        np.testing.assert_allclose(slab.scales[:, :2], own, rtol=2**-11)
        return
    assert_sound(left, slab)
    low, high = slab.scales[:, :1], slab.scales[:, 1:2]
    first = low == 0
    step = (high - low) / np.where(first, 254, 255)
    lead = (low + step * np.arange(-1024, 1024)).astype(np.float32)
    for end, gone in zip(ends.T, went.T, strict=True):
        assert not (lead == end[:, None])[gone].any()
    old = (ends[:, 1:] - ends[:, :1]) / np.where(ends[:, :1] == 0, 254, 255)
    grain = 2 * slab.scales[:, SLACK : SLACK + 1] * step
    assert (np.log2(grain).round(9) % 1 == 0).all(), "the ends are multiples of a power of two"
    assert (old <= grain).all()
    assert ((slab.scales[:, :2] / grain.round(12)) % 1 < 1e-6).all()


def test_units_of_which_only_middling_values_went_keep_their_codes() -> None:
    values = np.random.default_rng(4).normal(size=(40, 500)).astype(np.float32)
    values[::2] = np.maximum(values[::2], 0)
    slab, kept = coded(values, "u8"), np.ones(500, np.bool_)
    kept[17] = False
    values[:, 17] = 0.5
    slab = coded(values, "u8")
    new = forgetting(slab, kept)
    np.testing.assert_array_equal(new.values, slab.values[:, kept])
    np.testing.assert_array_equal(new.scales, slab.scales)


def test_new_intervals_are_two_or_three_times_as_wide_and_zero_stays_exact() -> None:
    values = np.random.default_rng(5).normal(size=(50, 400)).astype(np.float32)
    values[:25] = np.maximum(values[:25], 0)
    values[:, 9] = values.max(axis=1) * np.float32(1.01)
    slab, kept = coded(values, "u8"), np.ones(400, np.bool_)
    kept[9] = False
    new = forgetting(slab, kept)
    (low, high), (before, beyond) = tables(new), tables(slab)
    said, was = new.values, slab.values[:, kept]
    width = np.take_along_axis(high - low, said, 1)
    old = np.take_along_axis(beyond - before, was, 1)
    assert (width[:25][values[:25, kept] == 0] == 0).all()
    assert (said[:25] == 0).tolist() == (values[:25, kept] == 0).tolist()
    ratio = np.median(width[old > 0] / old[old > 0])
    assert 1.5 < ratio < 3.1
