"""The inputs that images make are those of the obvious loop, whatever the images, their order and the rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odin_graph.catalog.images.batch import ImageBatch
from odin_graph.catalog.images.images import add_images, keys_of
from odin_graph.catalog.inputs.input import Few, Input, Many
from odin_graph.catalog.inputs.inputs import PADDING, plan_inputs
from odin_graph.errors import DataError
from odin_graph.stores import Stores
from tests.shares import share

PATIENTS, VISITS = 5, 7


@st.composite
def inputs(draw: st.DrawFn) -> Input:
    size = draw(st.none() | st.integers(1, VISITS + 1))
    if size is None:
        return Input.group("patient", order="visit")
    few: Few = draw(st.sampled_from(("raise", "skip", "pad")))
    if draw(st.booleans()):
        views = draw(st.permutations(range(VISITS)))[: min(size, VISITS)]
        many: Many = draw(st.sampled_from(("raise", "skip", "first")))
        return Input.group("patient", order="visit", views=views, few=few, many=many)
    many = draw(st.sampled_from(("raise", "skip", "first", "spread")))
    return Input.group("patient", order="visit", size=size, few=few, many=many)


def by_loop(what: Input, images: list[tuple[int, int, int]]) -> dict[int, list[int]] | None:
    """Key lists by patient from (key, patient, visit); None where a group is an error."""
    made: dict[int, list[int]] = {}
    for patient in dict.fromkeys(patient for _, patient, _ in images):
        visits = {visit: key for key, of, visit in images if of == patient}
        if what.number is None:
            made[patient] = [visits[visit] for visit in sorted(visits)]
            continue
        wanted = list(what.views or sorted(visits)[: what.number])
        chosen = [visits.get(int(visit), PADDING) for visit in wanted]
        chosen += [PADDING] * (what.number - len(chosen))
        few, many = PADDING in chosen, len(set(visits.values()) - set(chosen)) > 0
        if (few and what.few == "raise") or (many and what.many == "raise" and not (few and what.few == "skip")):
            return None
        if few and what.few == "pad" and set(chosen) == {PADDING}:
            return None
        if (few and what.few == "skip") or (many and what.many == "skip"):
            if many and what.many == "raise":
                return None
            continue
        if many and what.many == "spread":
            order = sorted(visits)
            chosen = [
                visits[order[round(at * (len(order) - 1) / max(1, what.number - 1))]] for at in range(what.number)
            ]
        made[patient] = chosen
    return made or None


def test_inputs_are_those_of_a_loop(stores: Stores) -> None:
    number = PATIENTS * VISITS
    fields: dict[str, Any] = {
        "patient": [place % PATIENTS for place in range(number)],
        "visit": [place // PATIENTS for place in range(number)],
    }
    ids = [f"image-{place}" for place in range(number)]
    add_images(stores, ImageBatch(ids, np.zeros((number, 4, 4), np.uint8), metadata=fields))
    keys = keys_of(stores, ids).tolist()
    rows = list(zip(keys, fields["patient"], fields["visit"], strict=True))

    @settings(max_examples=share(60))
    @given(what=inputs(), chosen=st.lists(st.sampled_from(rows), min_size=1, unique=True))
    def check(what: Input, chosen: list[tuple[int, int, int]]) -> None:
        assert Input.from_text(what.to_text()) == what
        expected = by_loop(what, chosen)
        given_keys = [key for key, _, _ in chosen]
        if expected is None:
            with pytest.raises(DataError, match="model 'net'"):
                plan_inputs(stores, what.to_text(), given_keys, "net")
            return
        planned = plan_inputs(stores, what.to_text(), given_keys, "net")
        assert [planned.of(at).tolist() for at in range(len(planned))] == list(expected.values())
        assert planned.names == tuple(f"The group patient={patient}" for patient in expected)
        assert planned.first.tolist() == [next(key for key in one if key != PADDING) for one in expected.values()]
        backwards = planned.take(np.arange(len(planned))[::-1])
        assert [backwards.of(at).tolist() for at in range(len(planned))] == list(expected.values())[::-1]

    check()
