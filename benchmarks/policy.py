"""Store or run again: how often the choice is near the best that could have been done.

python -m benchmarks.policy [--quick] [--json FILE]

A workload of questions to layers of two networks, over few and many images, is asked one after the other, as the
library chooses. Then every way that was open is taken again, the chosen one too, some times in turns and with the cache
as the question found it, and the median counts. Storing that was not chosen is done as well, timed and taken away
again, where it might be better than what was chosen; else, and where a part is stored already, what it would cost is
known from storing the layer before. A way costs what it costs once, spread over the questions that were expected, and
what it costs each time (timing a model that nobody knows comes before, and is no way's cost): the choice is right where
that is within 1.2 of the least of all ways, whatever the codec. How often store or run again alone was decided well is
told beside it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray

import odin_graph as og
from benchmarks.neuron_models import VggLike
from benchmarks.pictures import crops, fashion
from benchmarks.report import Row, WrongAnswer, run
from odin_graph import neurons
from odin_graph.arrays.unit_cache import boot
from odin_graph.arrays.units import UnitCodec
from odin_graph.catalog.unit_sets import UnitSet, drop, unit_sets, units_array
from odin_graph.neurons.costs import Option, best
from odin_graph.query import unit_source
from odin_graph.query.calibration import Calibration
from odin_graph.query.nodes import UnitGroup
from odin_graph.query.unit_lists import keeping
from odin_graph.query.unit_reader import UnitReader
from odin_graph.query.unit_source import Choose, Sources
from odin_graph.runtime.materialise import materialise
from odin_graph.runtime.rerun import Rerun
from odin_graph.runtime.unit_plan import Want
from odin_graph.stores import Stores

Keys = NDArray[np.int64]

NEAR: Final = 1.2
SHARE: Final = 0.95
CODECS: Final[tuple[UnitCodec, ...]] = ("u8", "f16", "f32")
K: Final = 20
SIDE: Final = 96
"""Of photographs."""
WIDE: Final = 3_000
"""Units of a layer that the quick run leaves out."""
RUN: Final = "run None"
TURNS: Final = 5
MAYBE: Final = 2.0
"""What is thought to cost up to so many times what was chosen is looked at."""
LONG: Final = 0.6
"""Seconds after which a way is not taken again: what takes long is told well by one turn."""
SHOW: Final = bool(os.environ.get("ODIN_SHOW_MISSES"))
"""Print each choice that was not near."""


@dataclass(frozen=True)
class Asked:
    """A layer, and how often the workload asks it."""

    checkpoint: str
    layer: str
    view: Any
    width: int
    keys: Keys
    weight: int


@dataclass(frozen=True)
class Kept:
    """What storing a layer in a codec takes beside the run, and what reading it takes then: measured before."""

    once: float
    image: float
    """Seconds an image."""
    ask: float
    value: float
    """Seconds a value of the group."""

    def making(self, images: int) -> float:
        """Seconds of storing so many."""
        return self.once + self.image * images

    def asking(self, values: int) -> float:
        """Seconds of a question."""
        return self.ask + self.value * values


def measure(quick: bool) -> list[Row]:
    """Every figure."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, og.connect(Path(name) / "bench.odin") as db:
        stores: Stores = db._stores  # noqa: SLF001 - below what users hold
        layers = prepared(db, 1_000 if quick else 8_000, 64 if quick else 300)
        if quick:
            layers = [one for one in layers if one.width <= WIDE]
        known = {(one.layer, one.view, codec): kept(stores, one, codec) for one in layers for codec in CODECS}
        shutil.rmtree(stores.cache / "speeds", ignore_errors=True)
        return workload(stores, layers, known, 24 if quick else 240)


def prepared(db: og.Workspace, number: int, photographs: int) -> list[Asked]:
    """Images, and networks whose layers are narrow, wide, cheap and dear."""
    pixels, _ = fashion()
    db.images.add(images=pixels[:number], metadata={"of": ["fashion"] * number}, progress=False)
    db.images.add(
        images=crops(photographs, SIDE), metadata={"of": ["photographs"] * photographs}, prefix="crop", progress=False
    )
    small = db.models.add(
        "vgg-like", VggLike(), preprocess=[og.ops.ToFloat()], classes=list("0123456789"), input_shape=(1, 28, 28)
    )
    with db.run(small) as training:
        cheap = training.checkpoint(VggLike().eval(), best=True).id
    from torchvision.models import resnet18

    large = db.models.add(
        "resnet18",
        resnet18(),
        preprocess=[og.ops.ToFloat()],
        classes=[str(n) for n in range(1000)],
        input_shape=(3, SIDE, SIDE),
    )
    with db.run(large) as training:
        dear = training.checkpoint(resnet18().eval(), best=True).id
    every = db.images().where(og.F("of") == "fashion").keys()
    some = db.images().where(og.F("of") == "photographs").keys()
    return [
        Asked(cheap, "relu", "units", 2048, every, 6),
        Asked(cheap, "features.1", "units", 16 * 28 * 28, every, 2),
        Asked(cheap, "features.4", "channels-max", 32, every, 3),
        Asked(cheap, "head", "units", 10, every, 3),
        Asked(dear, "layer4", "units", 512 * 3 * 3, some, 2),
        Asked(dear, "layer3", "channels-mean", 256, some, 2),
    ]


def kept(stores: Stores, one: Asked, codec: UnitCodec) -> Kept:
    """Store the layer of few and of all images, ask it, and take it away again."""
    again = Rerun(stores, one.checkpoint, one.layer, np.arange(1), pooling=one.view)
    again(one.keys[:64])
    few, number = max(8, len(one.keys) // 10), len(one.keys)
    took = []
    for some in (one.keys[:few], one.keys):
        before = again.seconds
        again(some)
        ran, began = again.seconds - before, time.perf_counter()
        want = Want(one.layer, one.view, codec)
        (made,) = materialise(stores, one.checkpoint, [want], some, beside=keeping(stores), progress=False)
        took.append(time.perf_counter() - began - ran)
        if len(some) < number:
            drop(stores, made)
    each = max(0.0, (took[1] - took[0]) / (number - few))
    draw, asks = np.random.default_rng(1), []
    mean, widest = neurons.aggregate("mean"), min(one.width, 50)
    for size in (1, widest):
        turns = []
        for _ in range(3):
            numbers = tuple(draw.choice(one.width, size, replace=False).tolist())
            reader = UnitReader(stores, UnitGroup("", one.layer, numbers, one.checkpoint, one.view), one.keys)
            with _choosing(_taking("read", codec)):
                began = time.perf_counter()
                reader.highest(mean, K, one.keys, largest=True)
                turns.append(time.perf_counter() - began)
        asks.append(median(turns))
    drop(stores, made)
    value = max(0.0, (asks[1] - asks[0]) / (number * (widest - 1)))
    return Kept(max(0.0, took[0] - each * few), each, asks[0], value)


def workload(stores: Stores, layers: Sequence[Asked], known: Mapping[Any, Kept], number: int) -> list[Row]:
    """Ask, and hold each choice against what the other ways took."""
    draw = np.random.default_rng(0)
    likely = np.array([one.weight for one in layers], float)
    near, right, ratios, policy, hindsight, ran = 0, 0, [], 0.0, 0.0, 0.0
    ways: dict[str, int] = {}
    guessed = open_ways = 0
    for _ in range(number):
        one = layers[int(draw.choice(len(layers), p=likely / likely.sum()))]
        keys, group, ask = question(draw, one)
        taken, costs, estimated, told = compared(stores, one, keys, group, ask, known)
        ratio = costs[taken] / min(costs.values())
        stored = min((cost for way, cost in costs.items() if way != RUN), default=costs[RUN])
        better = min(costs[RUN], stored if taken == RUN else costs[taken])
        near += ratio <= NEAR
        guessed += estimated
        open_ways += len(costs)
        right += costs[taken] <= NEAR * better
        ratios.append(ratio)
        if SHOW and ratio > NEAR:
            print(one.layer, len(keys), len(group.numbers), taken, told, flush=True)
        policy += costs[taken]
        hindsight += min(costs.values())
        ran += costs[RUN]
        ways[taken] = ways.get(taken, 0) + 1
    share = near / number
    return [
        Row(
            f"{number} questions: within {NEAR:g} x of the best of store, in whatever codec, and run again",
            100 * share,
            "%",
            ">= 95",
            share >= SHARE,
        ),
        Row(
            f"within {NEAR:g} x, where what is stored is taken in the codec that was chosen", 100 * right / number, "%"
        ),
        Row("its cost against the best way's, all together", policy / hindsight, "x"),
        Row("against running the model every time", policy / ran, "x"),
        Row("the worst choice against the best way", max(ratios), "x"),
        Row(
            "ways to store that were known from before and not done again, of all ways", 100 * guessed / open_ways, "%"
        ),
        *(Row(f"chosen: {way.removesuffix(' None')}", count, "times") for way, count in sorted(ways.items())),
    ]


@dataclass(frozen=True, eq=False)
class Ask:
    """What is asked."""

    of: Callable[[UnitReader], list[Any]]
    every: bool = False
    """Whether the value of each image is wanted."""


def question(draw: np.random.Generator, one: Asked) -> tuple[Keys, UnitGroup, Ask]:
    """A question to a layer: a group of units, some of its images, one of four kinds."""
    share = float(draw.choice([0.002, 0.02, 0.2, 1.0], p=[0.2, 0.2, 0.25, 0.35]))
    number = max(K + 1, int(share * len(one.keys)))
    start = int(draw.integers(len(one.keys) - number + 1))
    keys = one.keys[start : start + number]
    size = min(one.width, int(draw.choice([1, 3, 10, 100])))
    numbers = tuple(np.sort(draw.choice(one.width, size, replace=False)).tolist())
    group = UnitGroup("", one.layer, numbers, one.checkpoint, one.view)
    mean = neurons.aggregate("mean")
    kind = draw.choice(["highest", "nearest", "condition", "values"], p=[0.4, 0.3, 0.15, 0.15])
    if kind == "highest":
        return keys, group, Ask(lambda reader: reader.highest(mean, K, keys, largest=True).keys.tolist())
    if kind == "nearest":
        to = draw.normal(size=size)
        return keys, group, Ask(lambda reader: reader.nearest(to, "l2", K, keys, None).keys.tolist())
    if kind == "condition":
        edge = float(draw.normal())
        return keys, group, Ask(lambda reader: reader.compare(mean, ">", edge, keys).true.tolist())
    return keys, group, Ask(lambda reader: np.round(reader.measured(mean, keys).values, 3).tolist(), every=True)


def compared(
    stores: Stores, one: Asked, keys: Keys, group: UnitGroup, ask: Ask, known: Mapping[Any, Kept]
) -> tuple[str, dict[str, float], int, str]:
    """The way that is chosen, what each costs, how many of them were not taken, and that beside what was reckoned."""
    chosen: list[tuple[Option, Sequence[Option], float]] = []

    def noting(given: Sequence[Option], later: float) -> Option:
        chosen.append((best(given, later), given, later))
        return chosen[-1][0]

    lacking = {
        record.codec: len(UnitSet(stores, record).missing(keys))
        for record in unit_sets(stores, one.checkpoint, one.layer, one.view)
    }
    cache = Cache(stores, one, group)

    def asked() -> tuple[list[Any], float]:
        return _timed(stores, group, keys, ask)

    Sources(stores, group, keys).options("first")
    with _choosing(noting):
        answer, first = asked()
    taken, given, later = chosen[-1]
    ways = {(option.way, option.codec) for option in given}
    reads = [way for way in ways | {("run", None)} if way[0] != "store"]
    if taken.way == "store":
        reads.append(("read", taken.codec))
    each = in_turns(asked, reads, cache, answer)
    ran = each["run", None]
    costs = {way: seconds for way, seconds in each.items() if way in ways or way == ("run", None)}
    if taken.way == "store" and ("read", taken.codec) in ways:  # what it lacked is there by now
        costs["read", taken.codec] += ran / len(keys) * lacking.get(taken.codec or "", 0)
    estimated = 0
    if taken.way == "store":
        asking = each["read", taken.codec]
        costs["store", taken.codec] = (first - asking) / (1 + later) + asking
    for codec in [codec for way, codec in ways if way == "store" and codec is not None and (way, codec) not in costs]:
        held, missing = known[one.layer, one.view, codec], lacking.get(codec, len(keys))
        once = held.making(missing) + ran / len(keys) * missing
        asking = held.asking(len(keys) * len(group.numbers)) + (ran if ask.every and codec != "f32" else 0.0)
        if codec not in lacking and once / (1 + later) + asking < MAYBE * costs[taken.way, taken.codec]:
            once, asking = stored_and_dropped(stores, one, codec, asked, cache, answer)
        else:
            estimated += 1
        costs["store", codec] = once / (1 + later) + asking
    reckoned = {(option.way, option.codec): option.cost(later) for option in given}
    told = ", ".join(
        f"{way} {codec} {1000 * cost:.1f} ms, reckoned {1000 * reckoned.get((way, codec), 0.0):.1f}"
        for (way, codec), cost in costs.items()
    )
    return (
        f"{taken.way} {taken.codec}",
        {f"{way} {codec}": cost for (way, codec), cost in costs.items()},
        estimated,
        told,
    )


def stored_and_dropped(
    stores: Stores,
    one: Asked,
    codec: UnitCodec,
    asked: Callable[[], tuple[list[Any], float]],
    cache: Cache,
    answer: Any,
) -> tuple[float, float]:
    """Seconds of storing a layer for a question, and of the question then; nothing of it stays."""
    with _choosing(_taking("store", codec)), _learning_nothing():
        _, first = asked()
    way = ("read", codec)
    asking = in_turns(asked, [way], cache, answer)[way]
    for record in unit_sets(stores, one.checkpoint, one.layer, one.view):
        if record.codec == codec:
            drop(stores, record.id)
    return first - asking, asking


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
            with _choosing(_taking(*way)), _learning_nothing():
                found, seconds = asked()
            took.append(seconds)
            if found != answer:
                raise WrongAnswer(f"{way} answers {found[:5]} instead of {answer[:5]}")
    return {way: median(took) for way, took in turns.items()}


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


@contextmanager
def _learning_nothing() -> Iterator[None]:
    with patch.object(Calibration, "keep"), patch.object(Calibration, "keep_machine"):
        yield


def _timed(stores: Stores, group: UnitGroup, keys: Keys, ask: Ask) -> tuple[list[Any], float]:
    began = time.perf_counter()
    found = ask.of(UnitReader(stores, group, keys))
    return found, time.perf_counter() - began


def _taking(way: str, codec: str | None) -> Choose:
    return lambda given, _: next(one for one in given if (one.way, one.codec) == (way, codec))


@contextmanager
def _choosing(choose: Choose) -> Iterator[None]:
    before = unit_source.best
    unit_source.best = choose
    try:
        yield
    finally:
        unit_source.best = before


if __name__ == "__main__":
    raise SystemExit(run("policy", measure))
