"""Units of one image against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import percentileofscore

from odin_graph.analysis.units.image import top_units, unusual_units
from odin_graph.errors import QueryError, ShapeError, UnknownNameError
from tests.analysis.units.activations import pixels, slabs, units

VALUES = st.sampled_from([0.0, -0.0, 1.0, 1.5, -2.0, np.nan, np.inf, -np.inf])


def compare(values: NDArray[np.float32], own: NDArray[np.float32]) -> None:
    found = unusual_units(slabs(values), np.arange(len(own)), own)
    assert len(found) == len(own)
    for row in found.to_pandas().to_dict("records"):
        held = values[row["unit"]].astype(np.float64)
        held = held[np.isfinite(held)]
        value = float(own[row["unit"]])
        assert row["n"] == len(held)
        if not len(held) or np.isnan(value):
            assert np.isnan([row["z"], row["percentile"]]).all()
            continue
        assert row["percentile"] == pytest.approx(percentileofscore(held, value, kind="mean"), abs=1e-10)
        if np.ptp(held):
            assert row["z"] == pytest.approx((value - held.mean()) / held.std(), rel=1e-9, abs=1e-12)
        else:
            assert row["z"] == (0 if value == held[0] else np.copysign(np.inf, value - held[0]))


def test_digits_and_a_network() -> None:
    for values, _ in (pixels(), units()):
        for place in (0, 17):
            compare(np.ascontiguousarray(np.delete(values, place, axis=1)), values[:, place])


@given(data=st.data(), n=st.integers(1, 6))
def test_any_numbers(data: st.DataObject, n: int) -> None:
    values = np.array(data.draw(st.lists(st.lists(VALUES, min_size=n, max_size=n), min_size=1, max_size=6)), np.float32)
    compare(values, np.array(data.draw(st.lists(VALUES, min_size=len(values), max_size=len(values))), np.float32))


def test_the_most_unusual_come_first() -> None:
    values = np.array([[0, 0, 0, 0], [1, 2, 3, 4], [1, 1, 1, 9], [5, 5, 5, 5], [0, 1, 2, 3]], np.float32)
    own = np.array([1, 10, 3, 5, np.nan], np.float32)
    found = unusual_units(slabs(values), np.arange(5), own)
    assert found["unit"].tolist() == [0, 1, 2, 3, 4], "a dead unit that fires, then by z, then what is missing"
    assert found["z"][0] == np.inf
    assert unusual_units(slabs(values), np.arange(5), own, 2, measure="percentile")["unit"].tolist() == [0, 1]
    assert str(found).splitlines()[0] == "5 units of an image against 4 images"


def test_units_are_matched_by_their_numbers() -> None:
    values = np.array([[0, 1], [2, 4], [6, 8]], np.float32)
    found = unusual_units(slabs(values, 2), np.array([9, 2, 1]), np.array([5, 7, 3], np.float32))
    assert dict(zip(found["unit"].tolist(), found["mean"].tolist(), strict=True)) == {1: 3, 2: 7}
    assert found["z"].tolist() == [0, 0]
    with pytest.raises(QueryError, match="None of the image's units is among those of the data set"):
        unusual_units(slabs(values), np.array([9]), np.ones(1, np.float32))


def test_top_units() -> None:
    values = np.array([1, 5, np.nan, 5, -1, np.inf, 0], np.float32)
    found = top_units(np.arange(10, 17), values, 4)
    assert found["unit"].tolist() == [15, 11, 13, 10], "of equal ones the first"
    assert found["value"].tolist() == [np.inf, 5, 5, 1]
    assert len(top_units(np.arange(7), values, 99)) == 6
    assert str(found).splitlines()[0] == "The 4 units of the highest values"
    assert str(found).splitlines()[-1] == "- 1 unit of value NaN left out"


def test_nonsense_is_refused() -> None:
    one = np.ones(3, np.float32)
    with pytest.raises(QueryError) as caught:
        top_units(np.arange(3), one, 0)
    assert str(caught.value) == "At least 1 unit is asked for, not k=0."
    with pytest.raises(ShapeError) as caught:
        top_units(np.arange(4), one, 1)
    assert str(caught.value) == "(4,) units have values (3,) of the image: one value a unit is needed."
    with pytest.raises(UnknownNameError) as caught:
        unusual_units(slabs(np.ones((3, 2))), np.arange(3), one, measure="rank")
    assert str(caught.value) == "There is no measure of unusual units 'rank'. There is: percentile, z."
