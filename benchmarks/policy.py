"""Store or run again: how often the choice is near the best possible one.

python -m benchmarks.policy [--quick] [--json FILE]

The workload is a sequence of queries to layers of two networks, over few and many images. First, odin_graph chooses
how to answer each query. Then every possible way is measured again, including the chosen one, several times in turns,
with the cache as it was at the query. The median counts. If storing was not chosen but might have been better, it is
measured too, and the stored data is removed again. Otherwise, or if a part is already stored, its cost is known from
storing the layer before. The cost of a way is its one-time cost, divided by the number of expected queries, plus its
cost for each query. (Timing an unknown model comes first, and is not part of any cost.) A choice is right if its cost
is within 1.2 times the lowest cost of all ways, for any codec. The page also shows how often only the decision
between storing and running again was right.

The last rows show what rules of one constant would have cost that know no speeds. A rule answers the same questions,
with a store of its own: it reads what is stored, and runs the model on the rest until it stores. Of the constants, only
the best in hindsight are shown.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import torch

import odin_graph as og
from benchmarks.policy_questions import Ask, Asked, K, Keys, prepared, question
from benchmarks.policy_rules import NEAR, RUN, Kept, Measured, product, rows
from benchmarks.policy_ways import Cache, choosing, in_turns, learning_nothing, taking, timed
from benchmarks.report import Row, run
from odin_graph import neurons
from odin_graph.arrays.units import UnitCodec
from odin_graph.catalog.activations.unit_sets import UnitSet, drop, unit_sets
from odin_graph.neurons.costs import Option, best
from odin_graph.query.expressions.nodes import UnitGroup
from odin_graph.query.units.unit_lists import keeping
from odin_graph.query.units.unit_reader import UnitReader
from odin_graph.query.units.unit_source import FEWEST, Sources
from odin_graph.runtime.passes.materialize import materialize
from odin_graph.runtime.passes.rerun import Rerun
from odin_graph.runtime.passes.unit_plan import Want
from odin_graph.stores import Stores

SHARE: Final = 95.0
CODECS: Final[tuple[UnitCodec, ...]] = ("u8", "f16", "f32")
WIDE: Final = 3_000
"""Units of a layer that the quick run leaves out."""
MAYBE: Final = 2.0
"""What is thought to cost up to so many times what was chosen is looked at."""
SHOW: Final = bool(os.environ.get("ODIN_SHOW_MISSES"))
"""Print each choice that was not near."""


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
        (made,) = materialize(stores, one.checkpoint, [want], some, beside=keeping(stores), progress=False)
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
            with choosing(taking("read", codec)):
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
    measured: list[Measured] = []
    for _ in range(number):
        one = layers[int(draw.choice(len(layers), p=likely / likely.sum()))]
        keys, group, ask = question(draw, one)
        measured.append(compared(stores, one, keys, group, ask, known))
        if SHOW and product(measured[-1:]).share == 0:
            print(one.layer, len(keys), len(group.numbers), measured[-1].taken, measured[-1].told, flush=True)
    ours = product(measured)
    ways = Counter(each.taken for each in measured)
    right = sum(each.costs[each.taken] <= NEAR * in_its_codec(each) for each in measured)
    return [
        Row(
            f"{number} questions: within {NEAR:g} x of the best of store, in whatever codec, and run again",
            ours.share,
            "%",
            ">= 95",
            ours.share >= SHARE,
        ),
        Row(
            f"within {NEAR:g} x, where what is stored is taken in the codec that was chosen", 100 * right / number, "%"
        ),
        Row("its cost against the best way's, all together", ours.cost / ours.best, "x"),
        Row("against running the model every time", ours.cost / sum(each.run for each in measured), "x"),
        Row("the worst choice against the best way", max(ours.ratios), "x"),
        Row(
            "ways to store that were known from before and not done again, of all ways",
            100 * sum(each.estimated for each in measured) / sum(len(each.costs) for each in measured),
            "%",
        ),
        *(Row(f"chosen: {way.removesuffix(' None')}", count, "times") for way, count in sorted(ways.items())),
        *rows(measured),
    ]


def in_its_codec(one: Measured) -> float:
    """The least cost of running and of storing, where what is stored is in the codec that was chosen."""
    stored = min((cost for way, cost in one.costs.items() if way != RUN), default=one.run)
    return min(one.run, stored if one.taken == RUN else one.costs[one.taken])


def compared(stores: Stores, one: Asked, keys: Keys, group: UnitGroup, ask: Ask, known: Mapping[Any, Kept]) -> Measured:
    """The way that is chosen, and what each costs."""
    chosen: list[tuple[Option, Sequence[Option], float]] = []

    def noting(given: Sequence[Option], later: float) -> Option:
        chosen.append((best(given, later), given, later))
        return chosen[-1][0]

    lacking: dict[str | None, int] = {
        record.codec: len(UnitSet(stores, record).missing(keys))
        for record in unit_sets(stores, one.checkpoint, one.layer, one.view)
    }
    cache = Cache(stores, one, group)

    def asked() -> tuple[list[Any], float]:
        return timed(stores, group, keys, ask)

    Sources(stores, group, keys).options("first")
    with choosing(noting):
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
        costs["read", taken.codec] += ran / len(keys) * lacking[taken.codec]
    estimated, reading = 0, dict[str, float]()
    if taken.way == "store":
        asking = each["read", taken.codec]
        costs["store", taken.codec] = (first - asking) / (1 + later) + asking
    for codec in CODECS:
        held, missing = known[one.layer, one.view, codec], lacking.get(codec, len(keys))
        if ("read", codec) in each and (not missing or (taken.way, taken.codec) == ("store", codec)):
            reading[codec] = each["read", codec]
        else:
            left = ran if ask.every and codec != "f32" else 0.0
            reading[codec] = held.asking(len(keys) * len(group.numbers)) + left
        if missing < FEWEST or ("store", codec) in costs:
            continue
        once = held.making(missing) + ran / len(keys) * missing
        if codec not in lacking and once / (1 + later) + reading[codec] < MAYBE * costs[taken.way, taken.codec]:
            once, reading[codec] = stored_and_dropped(stores, one, codec, asked, cache, answer)
        else:
            estimated += 1
        costs["store", codec] = once / (1 + later) + reading[codec]
    reckoned = {(option.way, option.codec): option.cost(later) for option in given}
    told = ", ".join(
        f"{way} {codec} {1000 * cost:.1f} ms, reckoned {1000 * reckoned.get((way, codec), 0.0):.1f}"
        for (way, codec), cost in costs.items()
    )
    start = int(np.searchsorted(one.keys, keys[0]))
    return Measured(
        layer=f"{one.layer} {one.view}",
        width=one.width,
        images=slice(start, start + len(keys)),
        later=later,
        taken=f"{taken.way} {taken.codec}",
        seconds=first if taken.way == "store" else each[taken.way, taken.codec],
        costs={f"{way} {codec}": cost for (way, codec), cost in costs.items()},
        estimated=estimated,
        told=told,
        asking=reading,
        kept={codec: known[one.layer, one.view, codec] for codec in CODECS},
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
    with choosing(taking("store", codec)), learning_nothing():
        _, first = asked()
    way = ("read", codec)
    asking = in_turns(asked, [way], cache, answer)[way]
    for record in unit_sets(stores, one.checkpoint, one.layer, one.view):
        if record.codec == codec:
            drop(stores, record.id)
    return first - asking, asking


if __name__ == "__main__":
    raise SystemExit(run("policy", measure))
