"""Splits: shares kept, groups whole, the same seed the same parts, whatever order the images come in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odin_graph.errors import DataError
from odin_graph.ingest.sampling import sample_positions
from odin_graph.ingest.shares import missed
from odin_graph.ingest.split import split_positions

PARTS = {"train": 0.6, "validation": 0.2, "test": 0.2}


@given(n=st.integers(20, 300), seed=st.integers(0, 99))
def test_every_image_is_in_one_part(n: int, seed: int) -> None:
    parts = split_positions(n, PARTS, seed=seed)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(n))
    for name, share in PARTS.items():
        assert abs(len(parts[name]) - share * n) <= 1


@given(counts=st.lists(st.integers(10, 60), min_size=2, max_size=6), seed=st.integers(0, 99))
def test_each_class_keeps_its_share(counts: list[int], seed: int) -> None:
    labels = np.repeat([f"class {c}" for c in range(len(counts))], counts)
    parts = split_positions(len(labels), PARTS, stratify=labels.tolist(), seed=seed)
    for name, share in PARTS.items():
        for label, count in zip(np.unique(labels), counts, strict=True):
            assert abs((labels[parts[name]] == label).sum() - share * count) < 2


@given(seed=st.integers(0, 99), patients=st.integers(5, 60))
def test_no_group_is_torn_apart(seed: int, patients: int) -> None:
    draw = np.random.default_rng(seed)
    patient = np.concatenate([np.arange(patients), draw.integers(0, patients, 100)])
    parts = split_positions(len(patient), PARTS, group_by=patient.tolist(), seed=seed)
    held = [set(patient[positions].tolist()) for positions in parts.values()]
    assert set.union(*held) == set(range(patients))
    assert sum(map(len, held)) == patients


def test_groups_keep_the_shares_of_classes_as_far_as_they_can() -> None:
    patient = np.repeat(np.arange(100), 5)
    label = np.where(patient < 70, "healthy", "ill")
    parts = split_positions(500, PARTS, stratify=label.tolist(), group_by=patient.tolist(), seed=1)
    for name, share in PARTS.items():
        assert abs(len(parts[name]) - 500 * share) <= 10
        assert abs((label[parts[name]] == "ill").sum() - 150 * share) <= 10


def test_images_without_a_group_are_each_their_own() -> None:
    parts = split_positions(100, PARTS, group_by=[None] * 100)
    assert [len(positions) for positions in parts.values()] == [60, 20, 20]


@given(seed=st.integers(0, 9), order=st.permutations(range(40)), grouped=st.booleans())
def test_the_order_of_the_images_makes_no_difference(seed: int, order: list[int], grouped: bool) -> None:
    ids = [f"i{n:02}" for n in range(40)]
    label = [n % 3 for n in range(40)]
    group = [n // 4 if n % 5 else None for n in range(40)] if grouped else None

    def said(order: list[int]) -> dict[str, set[str]]:
        parts = split_positions(
            40,
            PARTS,
            ids=[ids[n] for n in order],
            stratify=[label[n] for n in order],
            group_by=None if group is None else [group[n] for n in order],
            seed=seed,
        )
        return {name: {ids[order[position]] for position in positions} for name, positions in parts.items()}

    assert said(order) == said(list(range(40)))


def test_another_seed_deals_otherwise() -> None:
    first, same, other = (split_positions(200, PARTS, seed=seed)["train"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert set(first) != set(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fractions": {"a": 0.5, "b": 0.4}}, "above 0 and sum to 1, not {'a': 0.5, 'b': 0.4} (sum 0.9)"),
        ({"fractions": {"a": 1.5, "b": -0.5}}, "above 0 and sum to 1"),
        ({"fractions": {}}, "above 0 and sum to 1"),
        ({"fractions": {"a@1": 1.0}}, "'a@1' cannot be the name of a part"),
        ({"fractions": {"a": 0.999, "b": 0.001}}, "10 images leave nothing for 'b'"),
        (
            {"fractions": PARTS, "group_by": ["p", "q"] * 5},
            "2 groups cannot be split into 3 parts (train, validation, test)",
        ),
        ({"fractions": PARTS, "stratify": [1]}, "10 images, but 1 values to split by"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        split_positions(10, **arguments)
    assert message in str(caught.value)


HOW = ("chance", "stratified", "grouped", "grouped and stratified", "time")


@given(seed=st.integers(0, 999), how=st.sampled_from(HOW), corrected=st.integers(0, 5), new=st.integers(0, 30))
def test_who_has_a_side_keeps_it_and_only_what_is_new_is_dealt(seed: int, how: str, corrected: int, new: int) -> None:
    """Some labels are corrected, some images go, others come: whoever was in a part is in that part again."""
    draw = np.random.default_rng(seed)
    n, patients = 60, 15
    patient = np.concatenate([np.arange(patients), draw.integers(0, patients, n - patients)])
    label, day = draw.integers(0, 3, n), draw.integers(0, 40, n)

    def arguments(patient: np.ndarray, label: np.ndarray, day: np.ndarray) -> dict[str, list[int]]:
        chosen = {"stratify": label} if "stratified" in how else {}
        chosen |= {"group_by": patient} if "grouped" in how else {"time": day} if how == "time" else {}
        return {name: values.tolist() for name, values in chosen.items()}

    first = split_positions(n, PARTS, **arguments(patient, label, day), seed=seed)
    side = {int(at): name for name, positions in first.items() for at in positions}
    stay = np.sort(draw.permutation(n)[:50])
    label[draw.integers(0, n, corrected)] = 2
    patient = np.concatenate([patient[stay], draw.integers(0, patients + 5, new)])
    label = np.concatenate([label[stay], draw.integers(0, 3, new)])
    day = np.concatenate([day[stay], draw.integers(-10, 50, new)])
    sides = [side[int(at)] for at in stay] + [None] * new
    again = split_positions(len(sides), PARTS, **arguments(patient, label, day), sides=sides, seed=seed)

    of = {int(at): name for name, positions in again.items() for at in positions}
    assert sorted(of) == list(range(len(sides)))
    assert [of[at] for at in range(50)] == sides[:50]
    if "grouped" in how:
        held = [set(patient[positions].tolist()) for positions in again.values()]
        assert sum(map(len, held)) == len(set.union(*held)), "no patient is on two sides"
    if how == "time":
        for before, after in (("train", "validation"), ("validation", "test")):
            assert day[again[before]].max() < day[again[after]].min(), "the order holds for what is new, too"
    if how == "chance":
        for name, share in PARTS.items():  # as near to the shares as what is kept allows
            there = sides.count(name)
            assert len(again[name]) <= max(there, share * len(sides) + 1)


def test_a_group_on_two_sides_is_refused_with_the_remedy() -> None:
    with pytest.raises(DataError, match=r"1 groups have images in two parts already, first 'p'.*redraw=True"):
        split_positions(
            6, {"a": 0.5, "b": 0.5}, group_by=["p", "p", "q", "r", "s", "t"], sides=["a", "b", None, None, None, None]
        )


def test_zeros_of_both_signs_are_one_group_and_nan_is_none() -> None:
    values = [0.0, -0.0] * 10 + [float("nan")] * 20
    parts = split_positions(40, {"a": 0.5, "b": 0.5}, group_by=values)
    assert any(set(range(20)) <= set(positions.tolist()) for positions in parts.values())
    assert [len(positions) for positions in parts.values()] == [20, 20], "images without a value are dealt one by one"


def said(parts: dict[str, list[int]], fractions: dict[str, float], **by: object) -> list[str]:
    return missed({name: np.array(at) for name, at in parts.items()}, fractions, **by)  # type: ignore[arg-type]


def test_a_split_that_reaches_what_was_asked_says_nothing() -> None:
    halves = {"a": 0.5, "b": 0.5}
    assert said({"a": [0, 2], "b": [1, 3]}, halves, stratify=("label", ["x", "x", "y", "y"])) == []
    assert said({"a": [0, 1], "b": [2]}, halves) == [], "an image more or less is none"


def test_shares_that_groups_forbid_are_said_with_what_was_reached() -> None:
    parts = {"train": list(range(990)), "test": list(range(990, 1000))}
    patient = ["p"] * 990 + [f"q{n}" for n in range(10)]
    (only,) = said(parts, {"train": 0.8, "test": 0.2}, group_by=("patient", patient))
    assert only.startswith(
        "The shares are train 0.99 (asked 0.8), test 0.01 (asked 0.2), because images with the same "
    )
    assert only.endswith("its most frequent value, 'p', has 990 of 1,000 images.")


@pytest.mark.parametrize("stratified", [True, False])
def test_a_class_that_is_in_the_test_alone_is_named(stratified: bool) -> None:
    labels = ["common"] * 9 + ["rare"]
    by = {"stratify" if stratified else "labels": ("label", labels)}
    (only,) = said({"train": list(range(8)), "test": [8, 9]}, {"train": 0.8, "test": 0.2}, **by)
    assert "'rare' (test 1 of 1)" in only


def test_a_class_that_the_test_should_have_and_lacks_is_named() -> None:
    """One image less than there is chance for is no word; a class that cannot be measured is."""
    parts, shares = {"train": list(range(8)), "test": [8, 9]}, {"train": 0.8, "test": 0.2}
    (only,) = said(parts, shares, labels=("label", ["b"] * 5 + ["a"] * 5))
    assert only == "1 values of 'label' are not in every part: 'b' (train 5 of 5)."
    assert said(parts, shares, labels=("label", ["b"] * 4 + ["a"] * 6)) == []


@pytest.mark.parametrize("seed", [-1, 1.5, "x", None])
def test_what_is_no_seed_is_refused(seed: Any) -> None:
    with pytest.raises(DataError, match="give a whole number from 0 on"):
        split_positions(10, PARTS, seed=seed)
    with pytest.raises(DataError, match="give a whole number from 0 on"):
        sample_positions(10, 5, seed=seed)


@pytest.mark.parametrize("fractions", [["train", "test"], {"train": "a", "test": 0.5}, {1: 0.5, 2: 0.5}, {}])
def test_what_are_no_shares_is_refused(fractions: Any) -> None:
    with pytest.raises(DataError, match=r"shares|name of a part"):
        split_positions(10, fractions)


@pytest.mark.parametrize("number", [2.5, "x", True, 0])
def test_what_is_no_number_of_images_is_refused(number: Any) -> None:
    with pytest.raises(DataError, match="of 10 images cannot be drawn"):
        sample_positions(10, number)


def test_classes_of_one_fold_alone_are_named() -> None:
    labels = ["a", "a", "b", "b", "c", "c"]
    (only,) = said({"1": [0, 1, 2], "2": [3, 4, 5]}, {"1": 0.5, "2": 0.5}, labels=("label", labels), folds=True)
    assert only.startswith("2 values of 'label' are not in more than one fold: 'a' (1 2 of 2), 'c' (2 2 of 2)")
