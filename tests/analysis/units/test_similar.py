"""Similar units against NumPy's matrix of all correlations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from odin_graph.analysis.units import similar
from odin_graph.analysis.units.similar import SimilarUnits, _products, similar_units
from odin_graph.errors import QueryError
from tests.analysis.units.activations import pixels, slabs, units

VALUES = st.sampled_from([0.0, -0.0, 1.0, 2.0, -3.0, 1e-45, 3e38, np.nan, np.inf])


def compare(found: SimilarUnits, values: NDArray[np.float32], threshold: float) -> None:
    wide = values.astype(np.float64)
    whole = np.isfinite(wide).all(axis=1)
    varied = np.array([len({*row.tolist()}) > 1 for row in wide]) & whole
    assert found.not_finite.tolist() == np.flatnonzero(~whole).tolist()
    assert found.constant.tolist() == np.flatnonzero(whole & ~varied).tolist()
    groups: dict[tuple[float, ...], list[int]] = {}
    for unit in np.flatnonzero(varied).tolist():
        groups.setdefault(tuple((wide[unit] + 0).tolist()), []).append(unit)
    assert {*found.duplicates} == {tuple(group) for group in groups.values() if len(group) > 1}
    first = sorted(group[0] for group in groups.values())
    expected = {}
    with np.errstate(invalid="ignore"):
        r = np.atleast_2d(np.corrcoef(wide[first] / np.maximum(np.abs(wide[first]).max(1, keepdims=True), 1e-300)))
    for one in range(len(first)):
        for two in range(one + 1, len(first)):
            if abs(r[one, two]) >= threshold:
                expected[first[one], first[two]] = r[one, two]
    pairs = dict(zip(zip(found["unit"], found["other"], strict=True), found["r"], strict=True))
    # What lies at the threshold to the last digit may fall to either side.
    at = {pair for pair in pairs.keys() ^ expected.keys() if abs(abs({**pairs, **expected}[pair]) - threshold) < 1e-12}
    assert pairs.keys() - at == expected.keys() - at
    for pair in pairs.keys() & expected.keys():
        assert pairs[pair] == pytest.approx(expected[pair], abs=1e-12)
    assert (np.diff(np.abs(found["r"])) <= 0).all(), "the highest first"
    assert found.units == len(values)


@pytest.mark.parametrize("threshold", [0.3, 0.7, 0.95])
def test_digits_and_a_network(threshold: float) -> None:
    for values, _ in (pixels(), units()):
        compare(similar_units(slabs(values), threshold), values, threshold)


@given(data=st.data(), n=st.integers(3, 6), threshold=st.sampled_from([0.1, 0.5, 0.999, 1.0]))
def test_any_numbers(data: st.DataObject, n: int, threshold: float) -> None:
    rows = st.lists(VALUES, min_size=n, max_size=n)
    values = np.array(data.draw(st.lists(rows, min_size=1, max_size=8)), np.float32)
    compare(similar_units(slabs(values, 3), threshold), values, threshold)


@pytest.mark.parametrize("memory", [0, 100_000, 2**30])
def test_units_beyond_the_memory_wait_in_a_file(memory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left of it, and strips of any size give the same."""
    values, _ = units()
    for strip in (1, 50_000):
        monkeypatch.setattr(similar, "_STRIP", strip)
        compare(similar_units(slabs(values), 0.8, folder=tmp_path, memory=memory), values, 0.8)
    assert list(tmp_path.iterdir()) == []


def test_many_units_of_few_images_are_multiplied_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The product of two strips is the square of their rows, however short these are."""
    monkeypatch.setattr(similar, "_ROWS", 5)
    held = []
    monkeypatch.setattr(similar, "_products", lambda left, *rest: held.append(len(left.rows)) or _products(left, *rest))
    values = units()[0][:, :8]
    compare(similar_units(slabs(values, 100), 0.9), values, 0.9)
    assert max(held) < 10


def test_a_pair_that_float32_would_miss_is_found() -> None:
    """Within a rounding of the threshold on either side."""
    draw = np.random.default_rng(0)
    values = draw.normal(size=(40, 5_000)).astype(np.float32)
    values[20:] = values[:20] + draw.normal(size=(20, 5_000)) * 0.3
    exact = np.sort([np.corrcoef(values[at], values[at + 20])[0, 1] for at in range(20)])
    for r in exact:
        assert len(similar_units(slabs(values), r - 1e-12)) == len(similar_units(slabs(values), r + 1e-12)) + 1


def test_it_prints() -> None:
    draw = np.random.default_rng(0)
    values = draw.normal(size=(6, 50)).astype(np.float32)
    values[1], values[2], values[3], values[5, 3] = values[0], -values[0], 1, np.nan
    found = similar_units(slabs(values))
    assert found.to_pandas().to_numpy().tolist() == [[0, 2, pytest.approx(-1)]]
    assert found.duplicates == ((0, 1),)
    assert str(found).splitlines()[0] == "1 pair of 6 units with |r| >= 0.95 over 50 images; 1 group of duplicates"
    assert str(found).splitlines()[-3:] == [
        "- exactly equal: 0, 1",
        "- left out: 1 unit, constant",
        "- left out: 1 unit, not finite for every image",
    ]


def test_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(20, 9)).astype(np.float32)
    for threshold in (0, -0.5, 1.1, float("nan")):
        with pytest.raises(QueryError, match="Correlations are compared with a threshold above 0, at most 1, not"):
            similar_units(slabs(values), threshold)
    with pytest.raises(QueryError) as caught:
        similar_units(slabs(values[:, :2]))
    assert str(caught.value) == "Two units always correlate over 2 images: ask about 3 at least."
    monkeypatch.setattr(similar, "MOST", 5)
    with pytest.raises(QueryError) as caught:
        similar_units(slabs(values), 0.01)
    assert str(caught.value) == (
        "More than 5 pairs of units have |r| >= 0.01: raise the threshold, or ask about fewer units."
    )
