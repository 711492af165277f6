"""Statistics against NumPy, unit by unit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from odin_graph.analysis.units.slab import Slab
from odin_graph.analysis.units.stats import QUANTILES, UnitStats, unit_stats
from odin_graph.errors import UnknownNameError
from tests.analysis.units.activations import pixels, slabs, units

NUMBERS = st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, 1e-45, np.nan, np.inf, -np.inf])


def compare(found: UnitStats, values: NDArray[np.float32]) -> None:
    for row in found.to_pandas().to_dict("records"):
        every = values[row["unit"]].astype(np.float64)
        held = every[np.isfinite(every)]
        assert (row["n"], row["nan"], row["infinite"]) == (len(held), np.isnan(every).sum(), np.isinf(every).sum())
        if not len(held):
            assert all(np.isnan(row[name]) for name in ("mean", "deviation", "sparsity", *QUANTILES))
            assert (row["dead"], row["constant"]) == (False, False)
            continue
        size = np.abs(held).max()
        np.testing.assert_allclose(row["mean"], held.mean(), rtol=1e-12, atol=1e-12 * size)
        np.testing.assert_allclose(row["deviation"], held.std(), rtol=1e-9, atol=1e-12 * size)
        assert row["sparsity"] == (held == 0).sum() / len(held)
        for name, share in QUANTILES.items():
            np.testing.assert_allclose(row[name], np.quantile(held, share), rtol=1e-12, atol=1e-14 * size)
        assert row["dead"] == (not held.any())
        assert row["constant"] == (held == held[0]).all()


def test_digits_and_a_network() -> None:
    for values, _ in (pixels(), units()):
        compare(unit_stats(slabs(values)), values)


@given(values=arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=NUMBERS))
def test_any_numbers(values: NDArray[np.float32]) -> None:
    """NaN, infinity, subnormals, negative zero, constants, and whatever nobody thought of."""
    before = values.copy()
    compare(unit_stats(slabs(values, 3)), values)
    np.testing.assert_array_equal(values, before)


def test_sums_are_of_float64() -> None:
    """A million values beside a large one: float32 would lose them."""
    values = np.full((1, 1_000_001), 0.1, np.float32)
    values[0, 0] = 1e8
    found = unit_stats([Slab(np.array([4]), values)])
    assert found["mean"][0] == pytest.approx(values.astype(np.float64).mean(), rel=1e-14)
    assert found["unit"].tolist() == [4]


def test_it_prints_and_sorts() -> None:
    values = np.array([[0, 0, 0], [1, 2, 3], [np.nan, 5, 5], [0, 0, 9]], np.float32)
    found = unit_stats(slabs(values))
    assert str(found).splitlines()[0] == "4 units over 3 images, 1 dead, 2 constant"
    assert "- 1 unit with values that are no finite number, which are left out: see nan, infinite" in str(found)
    assert found._repr_html_().startswith("<b>4 units over 3 images, 1 dead, 2 constant</b><table")
    assert found.dead.tolist() == [0]
    assert found.sorted("mean", descending=True)["unit"].tolist() == [2, 3, 1, 0]
    assert found.sorted("mean").to_pandas()["unit"].tolist() == [0, 1, 3, 2]
    assert found["mean"].tolist() == [0, 2, 5, 3], "sorting makes another"
    with pytest.raises(UnknownNameError, match=r"There is no column 'sparse'\. Did you mean 'sparsity'\?"):
        found.sorted("sparse")
    many = unit_stats(slabs(pixels()[0]))
    assert str(many).splitlines()[-1] == "- 54 more rows: to_pandas() has all"


def test_what_is_nan_comes_last_in_any_order() -> None:
    found = unit_stats(slabs(np.array([[np.nan], [1], [2]], np.float32)))
    assert found.sorted("mean")["unit"].tolist() == [1, 2, 0]
    assert found.sorted("mean", descending=True)["unit"].tolist() == [2, 1, 0]
