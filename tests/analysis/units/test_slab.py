"""Streams of slabs: checked, and of no influence on the answer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from odin_graph.analysis.units import slab as module
from odin_graph.analysis.units.affinity import affinity
from odin_graph.analysis.units.selectivity import selectivity
from odin_graph.analysis.units.similar import similar_units
from odin_graph.analysis.units.slab import Slab, checked
from odin_graph.analysis.units.stats import unit_stats
from odin_graph.errors import QueryError, ShapeError, TimeLimitError
from tests.analysis.units.activations import pixels, slabs


@pytest.mark.parametrize("size", [1, 5, 64])
@pytest.mark.parametrize("cells", [1, 4_000, 2**21])
def test_however_units_are_cut_the_answer_is_the_same(size: int, cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values, labels = pixels()
    values, labels = values[:, :300], labels[:300]
    said = {"label": labels.astype(str), "even": labels % 2 == 0, "number": labels}
    ask = {
        "stats": lambda stream: unit_stats(stream),
        "selectivity": lambda stream: selectivity(stream, labels),
        "affinity": lambda stream: affinity(stream, said),
        "similar": lambda stream: similar_units(stream, 0.6),
    }
    whole = {name: answer([Slab(np.arange(64), values)]) for name, answer in ask.items()}
    monkeypatch.setattr(module, "_CELLS", cells)
    for name, answer in ask.items():
        found, expected = (of.to_pandas() for of in (answer(slabs(values, size)), whole[name]))
        pd.testing.assert_frame_equal(found, expected, rtol=1e-12, obj=name)


def test_no_unit_and_no_image_are_errors() -> None:
    with pytest.raises(QueryError) as caught:
        unit_stats([])
    assert str(caught.value) == "There is no unit to look at: choose at least one."
    with pytest.raises(QueryError) as caught:
        unit_stats([Slab(np.arange(3), np.empty((3, 0), np.float32))])
    assert str(caught.value) == "There is no image to look at the units with: the query selects none."


def test_slabs_of_other_images_are_refused() -> None:
    with pytest.raises(ShapeError) as caught:
        unit_stats(
            [Slab(np.arange(2), np.ones((2, 5), np.float32)), Slab(np.arange(2, 4), np.ones((2, 6), np.float32))]
        )
    assert str(caught.value) == (
        "The units from 2 on have values of 6 images and not of 5: give all units the same images, in the order of "
        "their keys."
    )
    with pytest.raises(ShapeError) as caught:
        unit_stats([Slab(np.arange(2), np.ones((2, 5, 3, 3), np.float32))])
    assert str(caught.value) == (
        "The units from 0 on are (2, 5, 3, 3), and asked for are one value an image (units, images)."
    )
    with pytest.raises(ShapeError, match="one row for each unit"):
        Slab(np.arange(3), np.ones((2, 5), np.float32))


def test_slabs_are_taken_one_by_one() -> None:
    """What was looked at is not held: a layer is larger than the memory."""
    taken = []

    def stream() -> object:
        for held in slabs(np.ones((20, 4)), 5):
            taken.append(held.units[0])
            yield held

    for count, _ in enumerate(checked(stream()), start=1):  # type: ignore[arg-type]
        assert len(taken) == count


def test_a_time_limit_stops_between_slabs() -> None:
    from odin_graph.deadline import deadline

    with pytest.raises(TimeLimitError), deadline(1e-6):
        unit_stats(slabs(np.ones((20, 4)), 5))
