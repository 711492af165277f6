"""Statistics are near what counting says."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odin_graph.columns.statistics import statistics_of

SOME = st.lists(st.none() | st.integers(-5, 5), min_size=1, max_size=60)


@given(values=SOME, asked=st.integers(-6, 6))
def test_of_few_values_the_shares_are_counted(values: list[int | None], asked: int) -> None:
    held = statistics_of(pa.array(values, pa.int64()))
    present = [value for value in values if value is not None]
    assert (held.rows, held.nulls, held.distinct) == (len(values), len(values) - len(present), len(set(present)))
    assert held.equal(asked) == pytest.approx(present.count(asked) / len(values))
    assert held.present == pytest.approx(len(present) / len(values))


@pytest.mark.parametrize("draw", ["uniform", "normal", "skewed"])
def test_of_many_values_they_are_near(draw: str) -> None:
    rng = np.random.default_rng(3)
    drawn = {
        "uniform": rng.integers(0, 1000, 200_000),
        "normal": rng.normal(0, 1, 200_000),
        "skewed": rng.zipf(1.5, 200_000),
    }[draw]
    held = statistics_of(pa.array(drawn))
    for bound in np.quantile(drawn, [0.01, 0.1, 0.5, 0.9, 0.99]).tolist():
        share = (drawn < bound).mean() + (drawn == bound).mean() / 2
        assert held.below(bound) == pytest.approx(share, abs=0.03 if draw != "skewed" else 0.35)
    values, counts = np.unique(drawn, return_counts=True)
    often = values[counts.argmax()].item()
    assert held.equal(often) == pytest.approx(counts.max() / len(drawn), abs=0.02)
    if draw != "skewed":  # of a long tail a sample knows little
        assert held.distinct == pytest.approx(len(values), rel=0.8)


def test_every_type_of_column_has_them() -> None:
    days = [date(2020, 1, 1) + timedelta(days=n) for n in range(100)]
    held = statistics_of(pa.array(days))
    assert held.below(date(2020, 2, 20)) == pytest.approx(0.5, abs=0.03)
    flags = statistics_of(pa.array([True, False, False, None]))
    assert (flags.equal(True), flags.equal(False), flags.below(True)) == (0.25, 0.5, None)
    assert statistics_of(pa.array(["a", "b", "b"])).equal("b") == pytest.approx(2 / 3)
    assert statistics_of(pa.array([["a"], ["b", "c"]])).rows == 2
    empty = statistics_of(pa.array([], pa.int64()))
    assert (empty.rows, empty.present, empty.equal(1)) == (0, 0, 0)
    assert statistics_of(pa.nulls(3, pa.string())).present == 0
