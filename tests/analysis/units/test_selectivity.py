"""Selectivity against scikit-learn and the plainest loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import entropy, rankdata
from sklearn.metrics import mutual_info_score, roc_auc_score

from odin_graph.analysis.units.selectivity import Selectivity, selectivity
from odin_graph.errors import DataError, QueryError, ShapeError, UnknownNameError
from tests.analysis.units.activations import pixels, slabs, units

VALUES = [0.0, -0.0, 0.5, 1.0, 2.0, np.nan, np.inf, -np.inf]
FAR_APART = st.sampled_from([*VALUES, 3e38, 1e-45])
SIGNED = st.sampled_from([*VALUES, 2.0**-20, -1.0])
"""Without numbers far apart: of 1, 1e-45 and -1 the order of the sum decides whether anything is left."""


def compare(found: Selectivity, values: NDArray[np.float32], labels: list[Any], bins: int) -> None:
    frame = found.to_pandas()
    known = np.array([label is not None for label in labels])
    for row in frame.to_dict("records"):
        every = values[row["unit"]].astype(np.float64)
        used = known & np.isfinite(every)
        held, said = every[used], np.array([label for label, use in zip(labels, used, strict=True) if use])
        means = {name: held[said == name].mean() for name in found.classes if (said == name).any()}
        if means:
            assert row["class"] == max(means, key=lambda name: means[name])
            best = means.pop(max(means, key=lambda name: means[name]))
        if len(means) and min(means.values()) >= 0 and best > 0:
            rest = np.mean(list(means.values()))
            assert row["selectivity"] == pytest.approx((best - rest) / (best + rest), abs=1e-12)
        else:
            assert np.isnan(row["selectivity"])
        for name in found.classes:
            is_one = said == name
            if len(held) and is_one.any() and not is_one.all():
                assert row[f"auc={name}"] == pytest.approx(roc_auc_score(is_one, held), abs=1e-12)
            else:
                assert np.isnan(row[f"auc={name}"])
        if len(held):
            binned = np.floor((rankdata(held, "min") - 1) * bins / len(held))
            assert row["mutual_information"] == pytest.approx(mutual_info_score(said, binned), abs=1e-12)
        else:
            assert np.isnan(row["mutual_information"])


@pytest.mark.parametrize("bins", [2, 10, 33])
def test_digits_and_a_network(bins: int) -> None:
    for values, labels in (pixels(), units()):
        few = values[::3], labels.tolist()
        renumbered = np.ascontiguousarray(few[0])
        compare(selectivity(slabs(renumbered), labels, bins=bins), renumbered, few[1], bins)


@given(data=st.data(), n=st.integers(3, 14))
def test_any_numbers_and_missing_labels(data: st.DataObject, n: int) -> None:
    labels = data.draw(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=n, max_size=n))
    known = [label for label in labels if label is not None]
    if len(known) < 3 or len({*known}) in (0, 1, len(known)):
        with pytest.raises(DataError):
            selectivity(slabs(np.ones((1, n))), labels)
        return
    rows = st.lists(data.draw(st.sampled_from([FAR_APART, SIGNED])), min_size=n, max_size=n)
    values = np.array(data.draw(st.lists(rows, min_size=1, max_size=5)), np.float32)
    compare(selectivity(slabs(values, 2), labels, bins=4), values, labels, 4)


def test_a_unit_of_one_class_and_one_of_none() -> None:
    labels = ["a"] * 4 + ["b"] * 4 + [None] * 2
    values = np.array([[1] * 4 + [0] * 4 + [9] * 2, [1, 2] * 5, [0] * 10, [-1] * 10], np.float32)
    found = selectivity(slabs(values), labels)
    np.testing.assert_array_equal(found["selectivity"], [1, 0, np.nan, np.nan])
    np.testing.assert_allclose(found["mutual_information"], [np.log(2), 0, 0, 0], atol=1e-15)
    np.testing.assert_array_equal(found.auc("a"), [1, 0.5, 0.5, 0.5])
    assert (found.images, found.unlabeled, found.classes) == (8, 2, ("a", "b"))
    assert found.label_entropy == pytest.approx(entropy([0.5, 0.5]))
    assert str(found).splitlines()[0] == (
        "4 units and 2 classes over 8 images, 2 more without a label; the label has 0.693 nats"
    )
    assert "- 2 units without a selectivity: dead, or the mean of a class is negative" in str(found)
    with pytest.raises(UnknownNameError, match="'auc=c'"):
        found.auc("c")


def test_the_kind_of_column_is_of_no_influence() -> None:
    values, labels = pixels()
    few = values[20:24]
    expected = selectivity(slabs(few), labels).table
    held = labels.tolist()
    for column in (
        held,
        pa.array(held),
        pa.chunked_array([held[:9], held[9:]]),
        pd.Series(held),
        labels.astype(object),
    ):
        assert selectivity(slabs(few), column).table.equals(expected)
    assert expected.column("class").type.value_type == pa.int64(), "a class keeps its type"
    mixed = selectivity(slabs(few), ["other", *held[1:]])
    assert mixed.classes == (*range(10), "other")
    assert mixed.table.column("class").type.value_type == pa.string()
    missing = pa.array([None, *held[1:]])
    assert selectivity(slabs(few), missing).unlabeled == 1
    assert selectivity(slabs(few), [float("nan"), *held[1:]]).unlabeled == 1


def test_independent_units_have_the_bias_that_is_said() -> None:
    draw = np.random.default_rng(0)
    found = selectivity(slabs(draw.normal(size=(200, 2_000))), draw.integers(0, 5, 2_000), bins=10)
    assert found["mutual_information"].mean() == pytest.approx(9 * 4 / (2 * 2_000), rel=0.1)


def test_nonsense_is_refused() -> None:
    values = np.ones((2, 4), np.float32)

    def said(labels: Any, **how: Any) -> str:
        with pytest.raises((DataError, QueryError)) as caught:
            selectivity(slabs(values), labels, **how)
        return str(caught.value)

    assert said([None, None, None, "a"]) == (
        "1 of 4 images have a label, and selectivity needs 3 at least: set labels, or give another field, group_by=..."
    )
    assert said(["a"] * 4) == (
        "All 4 images that have a label are of the class 'a', so no unit can tell classes apart: ask about images of "
        "two classes at least."
    )
    assert said([1, 2, 3, 4]) == (
        "Each of 4 images is of a class of its own, so the label groups nothing: give a field with fewer values, or "
        "ask for the affinity to a number."
    )
    assert said([["a"], ["b"], ["a", "b"], []]) == (
        "An image has several classes in the label: ask about one class at a time, whether it is among an image's, as "
        "a hypothesis that is true or false."
    )
    assert said("aabb", bins=1) == "A mutual information takes bins, at least 2, not bins=1."
    with pytest.raises(ShapeError) as caught:
        selectivity(slabs(values), ["a", "a", "b"])
    assert str(caught.value) == (
        "The units from 0 on have values of 4 images and not of 3: give all units the same images, in the order of "
        "their keys."
    )
