"""Taking each way to answer a question in turns, all under the same conditions, for `benchmarks.policy`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest.mock import patch

import numpy as np

from benchmarks.policy_questions import Ask, Asked, Keys
from benchmarks.report import WrongAnswer
from odin_graph.arrays.unit_cache import boot
from odin_graph.catalog.activations.unit_sets import unit_sets, units_array
from odin_graph.neurons.costs import Option
from odin_graph.query.expressions.nodes import UnitGroup
from odin_graph.query.units import unit_source
from odin_graph.query.units.calibration import Calibration
from odin_graph.query.units.unit_reader import UnitReader
from odin_graph.query.units.unit_source import Choose
from odin_graph.stores import Stores

TURNS: Final = 5
LONG: Final = 0.6
"""Seconds after which a way is not taken again: what takes long is told well by one turn."""


class Cache:
    """Which columns of a group the cache holds now.

    Args:
        stores: The open workspace.
        one: The layer.
        group: Its units.
    """

    def __init__(self, stores: Stores, one: Asked, group: UnitGroup) -> None:
        self._stores, self._one, self._group = stores, one, group
        self._before = {place for place in self._places() if self._is_there(*place)}

    def as_it_was(self) -> None:
        """Let go what came since."""
        for file, place in self._places():
            if (file, place) not in self._before and file.exists():
                with file.open("r+b") as out:
                    out.seek(place)
                    out.write(b"\0")

    def _places(self) -> Iterator[tuple[Path, int]]:
        """Where the files of columns say whether those of the group are there."""
        sets = unit_sets(self._stores, self._one.checkpoint, self._one.layer, self._one.view)
        held = self._stores.columns.segments_of([units_array(one.id) for one in sets])
        for info in (info for segments in held.values() for info in segments):
            file = self._stores.cache / "units" / f"{info.id}.{boot()}.units"
            for unit in self._group.numbers:
                yield file, info.shape[0] * info.rows * np.dtype(info.dtype).itemsize + unit

    @staticmethod
    def _is_there(file: Path, place: int) -> bool:
        if not file.exists():
            return False
        with file.open("rb") as held:
            held.seek(place)
            return held.read(1) == b"\1"


def in_turns(
    asked: Callable[[], tuple[list[Any], float]],
    ways: Sequence[tuple[str, str | None]],
    cache: Cache,
    answer: list[Any],
) -> dict[tuple[str, str | None], float]:
    """Seconds that a question takes in each way: the median of some turns, of which nothing is learnt."""
    turns: dict[tuple[str, str | None], list[float]] = {way: [] for way in ways}
    for turn in range(TURNS):
        for way in sorted(ways, key=str, reverse=bool(turn % 2)):
            took = turns[way]
            if sum(took) > LONG:
                continue
            cache.as_it_was()
            with choosing(taking(*way)), learning_nothing():
                found, seconds = asked()
            took.append(seconds)
            if found != answer:
                raise WrongAnswer(f"{way} answers {found[:5]} instead of {answer[:5]}")
    return {way: median(took) for way, took in turns.items()}


@contextmanager
def learning_nothing() -> Iterator[None]:
    with patch.object(Calibration, "keep"), patch.object(Calibration, "keep_machine"):
        yield


def timed(stores: Stores, group: UnitGroup, keys: Keys, ask: Ask) -> tuple[list[Any], float]:
    began = time.perf_counter()
    found = ask.of(UnitReader(stores, group, keys))
    return found, time.perf_counter() - began


def taking(way: str, codec: str | None) -> Choose:
    """Take a way, also to store in a codec that odin_graph would not choose."""
    return lambda given, _: next(
        (one for one in given if (one.way, one.codec) == (way, codec)),
        Option(way, codec, 0.0, 0.0),  # type: ignore[arg-type]
    )


@contextmanager
def choosing(choose: Choose) -> Iterator[None]:
    before = unit_source.best
    unit_source.best = choose
    try:
        yield
    finally:
        unit_source.best = before
