"""Splits: shares kept, groups whole, the same seed the same parts, whatever order the images come in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odin_graph.errors import DataError
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
    parts = split_positions(len(patient), PARTS, group=patient.tolist(), seed=seed)
    held = [set(patient[positions].tolist()) for positions in parts.values()]
    assert set.union(*held) == set(range(patients))
    assert sum(map(len, held)) == patients


def test_groups_keep_the_shares_of_classes_as_far_as_they_can() -> None:
    patient = np.repeat(np.arange(100), 5)
    label = np.where(patient < 70, "healthy", "ill")
    parts = split_positions(500, PARTS, stratify=label.tolist(), group=patient.tolist(), seed=1)
    for name, share in PARTS.items():
        assert abs(len(parts[name]) - 500 * share) <= 10
        assert abs((label[parts[name]] == "ill").sum() - 150 * share) <= 10


def test_images_without_a_group_are_each_their_own() -> None:
    parts = split_positions(100, PARTS, group=[None] * 100)
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
            group=None if group is None else [group[n] for n in order],
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
            {"fractions": PARTS, "group": ["p", "q"] * 5},
            "2 groups cannot be split into 3 parts (train, validation, test)",
        ),
        ({"fractions": PARTS, "stratify": [1]}, "10 images, but 1 values to split by"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(DataError) as caught:
        split_positions(10, **arguments)
    assert message in str(caught.value)
