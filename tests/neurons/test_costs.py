"""The cost model: by hand, and what must hold of every choice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odin_graph.neurons.costs import (
    BYTES,
    CODECS,
    NEAR,
    TILE,
    Held,
    Kind,
    MachineSpeeds,
    ModelSpeeds,
    Option,
    Question,
    best,
    options,
)

MACHINE = MachineSpeeds(
    begin={"": 0.01, " warm": 0.002, "u8": 0.03},
    value={"u8": 1e-7, "f16": 2e-7, "f32": 4e-7, "rows": 1e-9, " warm": 1e-8},
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
    held = [Held("u8", 0, 100_000), Held("f32", 0, 20_000, warm=True), Held("rows", 0, 10_000)]
    found = by_way(Question(10_000, 10), held, loaded=False)
    codes, values, rows = (found["read", codec] for codec in ("u8", "f32", "rows"))
    # Columns that lie apart are decoded in whole tiles: two of them hold 100,000 images of one unit.
    assert codes.each == pytest.approx(0.03 + 1e-7 * 10 * 2 * TILE + 0.02 + 0.001 * 30)
    assert codes.once == 0.5  # the model is loaded for what they leave
    assert values.once == 0
    assert values.each == pytest.approx(0.002 + 1e-8 * 20_000 * 10)
    assert rows.each == pytest.approx(0.01 + 1e-9 * 10_000 * 1_000)


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


def test_a_whole_layer_is_decoded_once() -> None:
    assert Held("f32", 0, 1_000).values(units=500, width=500) == 1_000 * 500
    assert Held("f32", 0, 1_000).values(units=5, width=5_000) == 5 * TILE
    assert Held("f32", 0, 1_000, warm=True).values(units=5, width=5_000) == 5_000
    assert Held("rows", 0, 1_000).values(units=5, width=5_000) == 5_000_000


def test_codes_tell_no_values() -> None:
    """Of each image the model has to say what they leave open."""
    found = by_way(Question(10_000, 10, "every"), [Held("u8", 0, 10_000)])
    assert found["read", "u8"].each > found["run", None].each


def test_what_a_set_lacks_is_run_each_time_or_stored_once() -> None:
    found = by_way(Question(10_000, 10), [Held("f32", 4_000, 6_000)])
    read, store = found["read", "f32"], found["store", "f32"]
    tiles = 4e-7 * 10 * TILE
    assert read.each == pytest.approx(0.01 + tiles + 0.02 + 4.0)
    assert store.once == pytest.approx(1.0 + 0.5 + 0.02 + 4.0 + 4e-8 * 4_000 * 1_000)
    assert store.each == pytest.approx(0.01 + tiles)
    assert store.bytes == 4 * 4_000 * 1_000


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


def test_fewer_bytes_are_worth_a_tenth() -> None:
    one, other = Option("store", "f32", 1.0, 1.0, 400), Option("store", "u8", 1.0, 1.09, 100)
    assert best([one, other], 1.0) is other
    assert best([one, replace(other, each=1.3)], 1.0) is one


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
    held=st.lists(st.tuples(st.sampled_from([*CODECS, "rows"]), st.integers(0, 10**6)), unique_by=lambda one: one[0]),
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
    known = [Held(codec, min(images, missing), images) for codec, missing in held]  # type: ignore[arg-type]
    given_ = options(Question(images, units, kind, later), known, model, MACHINE, loaded=loaded)
    assert len({(one.way, one.codec) for one in given_}) == len(given_)
    assert all(one.once >= 0 and one.each >= 0 for one in given_)
    taken = best(given_, later)
    assert taken.cost(later) <= NEAR * min(one.cost(later) for one in given_)
    assert all(one.bytes == 0 for one in given_ if one.way != "store")
    for one in given_:
        if one.way == "store":
            assert one.codec is not None
            lacking = next((held.missing for held in known if held.codec == one.codec), images)
            assert one.bytes == BYTES[one.codec] * lacking * model.width > 0
