"""The cost model: by hand, and what must hold of every choice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from odin_graph.arrays.units import tile_of
from odin_graph.neurons.costs import (
    BYTES,
    TILE,
    Held,
    Kind,
    MachineSpeeds,
    ModelSpeeds,
    Option,
    Question,
    best,
    options,
    storing,
)

MACHINE = MachineSpeeds(
    begin={"u8": 0.01, "f16": 0.01, "f32": 0.01, "rows": 0.03},
    warm={"u8": 0.003, "f16": 0.003, "f32": 0.002, "rows": 0.03},
    decode={"u8": 1e-7, "f16": 2e-7, "f32": 4e-7, "rows": 1e-9},
    look={"u8": 1e-8, "f16": 2e-8, "f32": 3e-8, "rows": 4e-8},
    make=1.0,
    write={"u8": 2e-8, "f16": 3e-8, "f32": 4e-8},
)
KINDS: tuple[Kind, ...] = ("first", "beyond", "every")
MODEL = ModelSpeeds(image=0.001, call=0.02, load=0.5, width=1_000, left={"u8 first": 30.0, "f16 first": 10.0})


def by_way(question: Question, held: list[Held], *, loaded: bool = True) -> dict[tuple[str, str | None], Option]:
    return {(one.way, one.codec): one for one in options(question, held, MODEL, MACHINE, loaded=loaded)}


def test_running_costs_its_images_and_loading_once() -> None:
    run = by_way(Question(10_000, 10), [], loaded=False)["run", None]
    assert run.once == 0.5
    assert run.each == pytest.approx(0.02 + 10.0)
    assert run.cost(later=1) == pytest.approx(10.27)
    assert by_way(Question(10_000, 10), [])["run", None].once == 0


def test_reading_costs_its_columns_and_what_bounds_leave() -> None:
    held = [Held("u8", 0, TILE, 1), Held("f32", 0, 20_000, 2, cold=0), Held("rows", 0, 10_000, 3)]
    found = by_way(Question(10_000, 10), held, loaded=False)
    codes, values, rows = (found["read", codec] for codec in ("u8", "f32", "rows"))
    distinct = 1_000 * (1 - (1 - 1 / 1_000) ** 10)  # of ten that may fall together
    assert codes.each == pytest.approx(0.01 + TILE * (1e-7 * distinct + 1e-8 * 10) + 0.02 + 0.001 * 30)
    assert codes.once == 0.5  # the model is loaded for what they leave
    assert values.once == 0
    assert values.each == pytest.approx(2 * 0.002 + 3e-8 * 20_000 * 10)
    assert rows.each == pytest.approx(3 * 0.03 + 1e-9 * 10_000 * 1_000 + 4e-8 * 10_000 * 10)


def test_what_bounds_leave_depends_on_the_question() -> None:
    held = [Held("u8", 0, 10_000)]
    known = replace(MODEL, left={"u8 first": 30.0, "u8 beyond": 300.0})
    first, beyond, every = (
        next(
            one.each
            for one in options(Question(10_000, 10, kind), held, known, MACHINE, loaded=True)
            if one.way == "read"
        )
        for kind in KINDS
    )
    assert beyond - first == pytest.approx(0.27)
    assert every - first == pytest.approx(0.001 * 9_970)


def decoded(held: Held, units: int, width: int) -> float:
    only = MachineSpeeds(
        begin={held.codec: 0.0}, warm={held.codec: 0.0}, decode={held.codec: 1.0}, look={held.codec: 0.0}
    )
    return held.reckoned(units, width, only)


@pytest.mark.parametrize(("width", "rows"), [(2_048, 8_000), (500, 1_000), (12_544, 1_600), (7, 30), (300, TILE)])
def test_units_that_lie_apart_are_decoded_by_the_tile(width: int, rows: int) -> None:
    """As many values as the tiles hold into which units fall that are drawn by chance."""
    together, _ = tile_of(width, rows)
    draw, counts = np.random.default_rng(0), []
    for _ in range(300):
        units = draw.choice(width, min(width, 10), replace=False)
        counts.append(len(np.unique(units // together)) * together * rows)
    assert decoded(Held("f32", 0, rows, 1), min(width, 10), width) == pytest.approx(np.mean(counts), rel=0.1)


def test_what_the_cache_holds_is_not_decoded() -> None:
    whole = decoded(Held("f32", 0, 8_000, 1), 10, 2_048)
    assert 0 < decoded(Held("f32", 0, 8_000, 1, cold=2), 10, 2_048) < whole / 4
    assert decoded(Held("f32", 0, 8_000, 1, cold=0), 10, 2_048) == 0
    assert decoded(Held("rows", 0, 8_000, 1), 10, 2_048) == 8_000 * 2_048


def test_what_was_measured_corrects_reading_and_storing() -> None:
    question, held = Question(10_000, 10), [Held("u8", 4_000, 6_000, 1)]
    slow = replace(MACHINE, reading=3.0, storing=0.5)
    run, read, store, values = options(question, held, MODEL, MACHINE, loaded=False)
    slow_run, slow_read, slow_store, slow_values = options(question, held, MODEL, slow, loaded=False)
    assert slow_run == run
    assert slow_read.each - read.each == pytest.approx(2 * held[0].reckoned(10, 1_000, MACHINE))
    assert slow_store.once == pytest.approx(store.once / 2)
    assert slow_values.each == pytest.approx(3 * values.each)


def test_codes_tell_no_values() -> None:
    """Of each image the model has to say what they leave open."""
    found = by_way(Question(10_000, 10, "every"), [Held("u8", 0, 10_000)])
    assert found["read", "u8"].each > found["run", None].each


def test_what_a_set_lacks_is_run_each_time_or_stored_once() -> None:
    held = Held("f32", 4_000, 6_000, 1)
    found = by_way(Question(10_000, 10), [held])
    read, store = found["read", "f32"], found["store", "f32"]
    assert read.each == pytest.approx(held.reckoned(10, 1_000, MACHINE) + 0.02 + 4.0)
    assert store.once == pytest.approx(1.0 + 0.02 + 4.0 + 4e-8 * 4_000 * 1_000)
    assert store.each == pytest.approx(Held("f32", 0, 10_000, 2).reckoned(10, 1_000, MACHINE))
    assert store.bytes == 4 * 4_000 * 1_000


def test_values_are_stored_and_codes_of_what_has_codes() -> None:
    """A layer that is stored as a user wanted it gets more of the same; of any other, every question is answered."""
    held = [Held("u8", 4_000, 6_000, 1), Held("rows", 4_000, 6_000, 1), Held("f16", 0, 10_000, 1)]
    assert [one.codec for one in options(Question(10_000, 10), [], MODEL, MACHINE, loaded=True)] == [None, "f32"]
    found = options(Question(10_000, 10), held, MODEL, MACHINE, loaded=True)
    assert [one.codec for one in found if one.way == "store"] == ["u8", "f32"]
    store = next(one for one in found if (one.way, one.codec) == ("store", "u8"))
    assert store.once == pytest.approx(storing(4_000, "u8", replace(MODEL, load=0.0), MACHINE))


def test_the_more_is_asked_the_more_is_stored() -> None:
    """Running is right for a question that comes once, and storing for one that comes again and again."""
    question = Question(5_000, 10)
    ways = [best(options(question, [], MODEL, MACHINE, loaded=True), later).way for later in (0.0, 0.5, 5.0, 50.0)]
    assert ways[0] == "run"
    assert ways[-1] == "store"
    assert ways == sorted(ways)


def test_wide_layers_are_not_stored_for_few_questions() -> None:
    wide = replace(MODEL, width=3_000_000)
    assert best(options(Question(5_000, 10), [], wide, MACHINE, loaded=True), 1.0).way == "run"


positive = st.floats(1e-9, 10.0)
speeds = st.builds(
    ModelSpeeds,
    image=positive,
    call=positive,
    load=positive,
    width=st.integers(1, 10**7),
    left=st.dictionaries(st.sampled_from(["u8 first", "f16 beyond"]), st.floats(0, 10**6)),
)


@given(
    model=speeds,
    images=st.integers(1, 10**6),
    units=st.integers(1, 1_000),
    kind=st.sampled_from(KINDS),
    later=st.floats(0, 100),
    loaded=st.booleans(),
    held=st.lists(
        st.tuples(st.sampled_from(["u8", "f16", "f32", "rows"]), st.integers(0, 10**6)), unique_by=lambda one: one[0]
    ),
)
def test_what_holds_of_every_choice(
    model: ModelSpeeds,
    images: int,
    units: int,
    kind: Kind,
    later: float,
    loaded: bool,
    held: list[tuple[str, int]],
) -> None:
    known = [Held(codec, min(images, missing), images, 1) for codec, missing in held]  # type: ignore[arg-type]
    given_ = options(Question(images, units, kind, later), known, model, MACHINE, loaded=loaded)
    assert len({(one.way, one.codec) for one in given_}) == len(given_)
    assert all(one.once >= 0 and one.each >= 0 for one in given_)
    taken = best(given_, later)
    assert taken.cost(later) == min(one.cost(later) for one in given_)
    assert all(one.bytes == 0 for one in given_ if one.way != "store")
    for one in given_:
        if one.way == "store":
            assert one.codec is not None
            lacking = next((held.missing for held in known if held.codec == one.codec), images)
            assert one.bytes == BYTES[one.codec] * lacking * model.width > 0
