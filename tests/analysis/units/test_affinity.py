"""Affinity against SciPy, one unit and one hypothesis at a time."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from odin_graph.analysis.units.affinity import Affinity, affinity
from odin_graph.analysis.units.hypotheses import HYPOTHESES, Effects, Prepared, Rows
from odin_graph.analysis.units.kinds import Hypothesis, kind_of
from odin_graph.errors import ConflictError, DataError, QueryError, ShapeError, UnknownNameError
from tests.analysis.units.activations import maps, pixels, slabs, units

MISSING = {"pearson": None, "spearman": None, "auc": None, "kruskal-wallis": None, "kruskal-wallis-eta": None}


def by_scipy(measure: str, values: NDArray[np.float64], said: NDArray[Any]) -> tuple[float, float]:
    """Effect and p."""
    if measure == "pearson":
        return tuple(stats.pearsonr(values, said.astype(float)))
    if measure == "spearman":
        rho, p = stats.spearmanr(values, said.astype(float))
        return rho, max(p, 2 / factorial(len(values)))  # which no test of all orders gets below
    if measure == "auc":
        true = said.astype(bool)
        u, p = stats.mannwhitneyu(values[true], values[~true], method="asymptotic")
        return u / (true.sum() * (~true).sum()), p
    groups = [values[said == name] for name in np.unique(said)]
    h, p = stats.kruskal(*groups)
    n, k = len(values), len(groups)
    return (h / (n - 1) if measure == "kruskal-wallis" else (h - k + 1) / (n - k)), p


def compare(found: Affinity, values: NDArray[np.float32], said: dict[str, Any]) -> None:
    rows = found.to_pandas()
    for row in rows.to_dict("records"):
        held = said[row["hypothesis"]]
        wide = values[row["unit"]].astype(np.float64)
        used = np.isfinite(wide) & pd.Series(held).notna().to_numpy()
        assert row["n"] in (used.sum(), 0)
        wide, of = wide[used], np.array([value for value, use in zip(held, used, strict=True) if use])
        distinct = len(np.unique(of)) if len(of) else 0
        groups = row["measure"].startswith("kruskal")
        if used.sum() < 3 or np.ptp(wide) == 0 or distinct < 2 or (groups and distinct == used.sum()):
            assert np.isnan([row["p"], row["effect"], row["p_bh"], row["p_bonferroni"]]).all()
            continue
        effect, p = by_scipy(row["measure"], wide, of)
        assert row["effect"] == pytest.approx(effect, rel=1e-8, abs=1e-9)
        # 1 - r is known to 16 digits after the point, so that a p near r = 1 is.
        assert row["p"] == pytest.approx(p, rel=1e-6, abs=1e-7 if abs(effect) > 1 - 1e-7 else 1e-300)
    ps = rows["p"].dropna()
    assert found.tests == len(ps)
    if len(ps):
        np.testing.assert_allclose(rows["p_bh"][: len(ps)], stepped_up(ps.to_numpy()), rtol=1e-12)
        np.testing.assert_allclose(rows["p_bonferroni"][: len(ps)], np.minimum(1, ps * len(ps)))
        assert ps.is_monotonic_increasing, "the most significant first"


def stepped_up(p: NDArray[np.float64]) -> list[float]:
    """Benjamini and Hochberg as they wrote it, of sorted p: the smallest level at which each is rejected."""
    m = len(p)
    return [min(1.0, min(p[j] * m / (j + 1) for j in range(i, m))) for i in range(m)]


def hypotheses(labels: NDArray[np.int64]) -> dict[str, Any]:
    draw = np.random.default_rng(4)
    n = len(labels)
    some = draw.random(n) > 0.2
    return {
        "number": draw.normal(size=n) + labels,
        "whole number": np.round(labels / 2),
        "true": labels > 4,
        "few true": labels == 3,
        "category": np.array([f"class {label % 4}" for label in labels], object),
        "number, some missing": np.where(some, labels**2.0, np.nan),
        "true, some missing": [bool(label % 2) if one else None for label, one in zip(labels, some, strict=True)],
        "category, some missing": [str(label) if one else None for label, one in zip(labels, some, strict=True)],
    }


def test_digits_and_a_network() -> None:
    for values, labels in (pixels(), units()):
        few, said = np.ascontiguousarray(values[::5]), hypotheses(labels)
        found = affinity(slabs(few), said)
        assert len(found) == len(few) * (8 + 3), "numbers are measured twice"
        compare(found, few, said)


def test_what_is_no_finite_number_is_left_out_of_its_own_unit() -> None:
    values, labels = units()
    few = values[::20].copy()
    few[1, ::7] = np.nan
    few[2, 5] = np.inf
    few[3, :] = np.nan
    few[4, 3:] = -np.inf
    few[:, 11] = np.nan
    said = hypotheses(labels)
    compare(affinity(slabs(few), said), few, said)


@given(data=st.data(), n=st.integers(3, 12))
def test_any_few_numbers(data: st.DataObject, n: int) -> None:
    numbers = st.sampled_from([0.0, -0.0, 1.0, 2.0, 2.5, -3.0, np.nan, np.inf])
    values = np.array(
        data.draw(st.lists(st.lists(numbers, min_size=n, max_size=n), min_size=1, max_size=4)), np.float32
    )
    said = {
        "number": data.draw(st.lists(st.sampled_from([None, 1.0, 2.0, 5.0]), min_size=n, max_size=n)),
        "true": data.draw(st.lists(st.sampled_from([None, True, False]), min_size=n, max_size=n)),
        "category": data.draw(st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=n, max_size=n)),
    }
    said = {name: held for name, held in said.items() if n - held.count(None) >= 3}
    said = {name: held for name, held in said.items() if 2 <= len({*held} - {None}) < n - held.count(None)}
    if said:
        compare(affinity(slabs(values, 2), said), values, said)


def test_the_measures_of_a_hypothesis_can_be_said() -> None:
    values, labels = pixels()
    few = values[18:22]
    found = affinity(slabs(few), {"digit": Hypothesis(labels, measures=("kruskal-wallis", "kruskal-wallis-eta"))})
    assert sorted({*found["measure"]}) == ["kruskal-wallis", "kruskal-wallis-eta"]
    compare(found, few, {"digit": labels})
    with pytest.raises(UnknownNameError) as caught:
        affinity(slabs(few), {"digit": Hypothesis(labels, measures="kruskal")})
    assert str(caught.value).startswith("There is no measure of a hypothesis 'kruskal'. Did you mean 'kruskal-wallis'?")


def test_a_measure_of_a_users_own() -> None:
    """A registered one is asked for by its name; one at hand as it is."""

    @dataclass(frozen=True)
    class Concordance:
        name: str = "mean-apart"
        effect: str = "difference"
        maps: bool = False
        most: int = 99

        def prepare(self, name: str, values: Any) -> Prepared:
            held = np.asarray(values, bool)
            return Prepared(held, np.ones(len(held), bool))

        def __call__(self, units: Rows, values: NDArray[Any]) -> Effects:
            apart = units.values[:, values].mean(1) - units.values[:, ~values].mean(1)
            return Effects(apart, np.abs(apart), apart, np.full(len(apart), 0.5)[: self.most])

    held = Concordance()
    try:
        HYPOTHESES.register("mean-apart")(held)
        with pytest.raises(ConflictError):
            HYPOTHESES.register("auc")(held)
        for by in ("mean-apart", held, (held,)):
            found = affinity(slabs([[1, 1, 3, 3]]), {"h": Hypothesis([True, True, False, False], measures=by)})
            assert found.to_pandas()[["measure", "effect", "p_bh"]].to_numpy().tolist() == [["mean-apart", -2, 0.5]]
        with pytest.raises(ShapeError) as caught:
            affinity(
                slabs([[1, 2, 3, 3]] * 2), {"h": Hypothesis([True, True, False, False], measures=Concordance(most=1))}
            )
        assert str(caught.value) == "The measure 'mean-apart' gave p (1,) of 2 units: one number a unit is needed."
    finally:
        HYPOTHESES._entries.pop("mean-apart", None)


def test_of_a_hypothesis_and_of_what_is_significant() -> None:
    values, labels = pixels()
    draw = np.random.default_rng(0)
    found = affinity(slabs(values), {"three": labels == 3, "noise": draw.normal(size=len(labels))})
    assert found.images == 1797
    three = found.of("three")
    assert {*three["hypothesis"]} == {"three"}
    assert three.tests == found.tests, "the adjustment stays that of all tests"
    said = found.significant(0.01)
    assert {*said["hypothesis"]} == {"three"}
    assert (said["p_bh"] <= 0.01).all()
    assert len(said) == (found["p_bh"] <= 0.01).sum(), "constant units are not significant"
    with pytest.raises(UnknownNameError, match="There is no hypothesis 'thre'"):
        found.of("thre")
    assert str(found).splitlines()[0] == (
        f"64 units and 2 hypotheses over 1,797 images: {(found['p_bh'] <= 0.05).sum()} of {found.tests} tests with "
        "p_bh <= 0.05"
    )
    assert found.sorted("strength", descending=True)["strength"][0] == np.nanmax(found["strength"])


def test_noise_is_rarely_significant() -> None:
    """Of 20 runs over nothing but noise about one may have any row below 0.05."""
    draw = np.random.default_rng(1)
    runs = 0
    for _ in range(20):
        said = {
            "a": draw.normal(size=200),
            "b": draw.random(200) > 0.7,
            "c": [str(one) for one in draw.integers(0, 3, 200)],
        }
        runs += len(affinity(slabs(draw.normal(size=(40, 200))), said).significant()) > 0
    assert runs <= 4


def test_channels_are_compared_by_a_summary_of_their_maps() -> None:
    held, labels = maps()
    said = {"digit": labels.astype(float)}
    for summary in ("max", "mean"):
        expected = affinity(slabs(getattr(np, summary)(held, axis=(2, 3))), said)
        found = affinity(slabs(held), said, summary=summary)
        pd.testing.assert_frame_equal(found.to_pandas(), expected.to_pandas())
    with pytest.raises(UnknownNameError, match="There is no summary of maps 'sum'"):
        affinity(slabs(held), said, summary="sum")


def test_kinds() -> None:
    assert kind_of([1, None, 2.5]) == kind_of(pa.array([1, None])) == kind_of(np.arange(3)) == "number"
    assert kind_of([True, None]) == kind_of(pa.array([True, None])) == kind_of(np.ones(3, bool)) == "boolean"
    assert kind_of(["a", None]) == kind_of(pa.array(["a"]).dictionary_encode()) == "category"
    assert kind_of(np.ones((2, 3, 3), bool)) == kind_of([None, np.ones((3, 3))]) == "masks"
    with pytest.raises(DataError, match="A hypothesis is not a time"):
        kind_of(pd.to_datetime(["2026-01-01"]))


def test_nonsense_is_refused() -> None:
    values = np.arange(8, dtype=np.float32).reshape(2, 4)

    def said(held: dict[str, Any]) -> str:
        with pytest.raises((DataError, QueryError)) as caught:
            affinity(slabs(values), held)
        return str(caught.value)

    assert said({}) == 'There is no hypothesis to compare the units with: give at least one, {"age": F("age")}.'
    assert said({"age": [1.0, 2.0, 3.0]}) == (
        "The hypothesis 'age' has 3 values, and the units are looked at for 4 images: give one an image, in the order "
        "of their keys, None where there is none."
    )
    assert said({"age": [7, 7, None, 7]}) == (
        "The hypothesis 'age' is 7.0 for every image that has a value, so no unit can depend on it: leave it out, or "
        "ask about images that differ in it."
    )
    assert said({"dme": [False] * 4}).startswith("The hypothesis 'dme' is False for every image")
    assert said({"eye": ["left"] * 4}).startswith("The hypothesis 'eye' is 'left' for every image")
    for empty in ([None] * 4, [float("nan")] * 4):
        assert said({"age": empty}) == (
            "The hypothesis 'age' has no value for any of 4 images: check the field's name, or set values first."
        )
    assert said({"age": [1, 2, None, None]}) == (
        "The hypothesis 'age' has a value for 2 of 4 images, and a test needs 3 at least: ask about more images."
    )
    assert said({"id": list("abcd")}) == (
        "The hypothesis 'id' has another category for each of 4 images, so it groups nothing: give a field with fewer "
        "values."
    )
    assert said({"x": Hypothesis([1, 2, 3, 4], measures="auc")}) == (
        "The hypothesis 'x' must be true or false for an image, but has other numbers: compare it, as in F('age') > "
        "60, or leave out measures=."
    )
    assert said({"x": Hypothesis(list("aabb"), measures="pearson")}).endswith("leave out measures=.")
    assert said({"vessel": np.eye(3, dtype=bool)[None].repeat(4, 0)}) == (
        "The hypothesis 'vessel' is of masks, and the units have one value an image and no place in it: ask for a "
        "layer whose channels have maps."
    )
    with pytest.raises(ShapeError):
        affinity(slabs(values), {"age": [1.0, 2.0, 3.0]})
