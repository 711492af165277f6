"""Queries for groups of units: odin_graph beside a full run of the model, NumPy on all values, and NTA.

python -m benchmarks.neurons [--quick] [--json FILE]

There are two layers: one after a ReLU, and one with values of both signs (see `neuron_models`). The groups have 1, 3,
10 and 100 units, which are random or the most active ones of an image. The queries are the 20 images with the highest
mean (FireMax) and the 20 images nearest to an image (SimTop). Every answer is compared with a full scan in float64.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import odin_graph as og
from benchmarks import nta
from benchmarks.neuron_models import CODECS, Stored, lite0, vgg_like
from benchmarks.report import Row, WrongAnswer, at_most, run
from odin_graph import neurons
from odin_graph.arrays import codes
from odin_graph.neurons import Block

K: Final = 20
GROUPS: Final = (1, 3, 10, 100)
FEW: Final = 10_000
"""Images over which verified ones are a goal."""
FULL: Final = 60_000
"""Images over which time is a goal."""
SAMPLE: Final = 64
"""Units whose entropy is looked at."""
FRESH: Final = """
import sys, time
import numpy as np
import odin_graph as og
from odin_graph import neurons
from odin_graph.catalog.activations.unit_sets import UnitSet
from odin_graph.neurons import Values
with og.connect({folder!r}) as db:
    group, times = np.array({group!r}), [time.perf_counter()]
    held = UnitSet.open(db._stores, {set_id!r}).array
    for _ in range(2):
        times.append(time.perf_counter())
        parts = [Values(block.keys, block.decoded()) for block in held.blocks(group)]
        answer = neurons.highest(parts, neurons.aggregate("mean"), {k}, threads=2)
    times.append(time.perf_counter())
    print(*(1000 * np.diff(times)).tolist(), *answer.keys.tolist())
"""


def measure(quick: bool) -> list[Row]:
    """Every figure."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, og.connect(Path(name) / "bench.odin") as db:
        for store in (vgg_like, lite0):
            stored_rows, stored = store(db, quick)
            index = index_of(stored, len(stored.keys))
            rows += [*stored_rows, *bytes_by_codec(stored, quick), *questions(stored, index, quick)]
            rows += speed(stored, index, Path(name) / "bench.odin")
            if stored.relu:
                rows += growth(stored, quick)
            del stored, index  # the next one's take their place
    return rows


def bytes_by_codec(stored: Stored, quick: bool) -> list[Row]:
    """What each codec takes on the disk, beside the values' own bytes and their entropy."""
    raw, name = stored.values.nbytes, stored.name
    rows = [Row(f"{name}: zeros of the layer", 100 * float((stored.values == 0).mean()), "%")]
    drawn = np.sort(np.random.default_rng(0).choice(stored.units, SAMPLE, replace=False))
    for codec in CODECS:
        held = stored.sets[codec]
        (columns,) = held.blocks(drawn, keep=False)
        share = held.bytes() / raw
        goal = codec == "u8" and stored.relu and not quick
        rows += [
            Row(f"{name}: {codec} on disk", 100 * share, "% of f32", "<= 13" * goal, share <= 0.13 or not goal),
            Row(f"{name}: entropy of {codec}", 100 * entropy(columns.values) / 32, "% of f32"),
        ]
    return rows


def entropy(columns: NDArray[Any]) -> float:
    """Bits of a value, where the bytes of a unit are coded one by one, each by how often it is there."""
    bits = 0.0
    for unit in columns:
        for plane in np.ascontiguousarray(unit).view(np.uint8).reshape(len(unit), -1).T:
            share = np.bincount(plane, minlength=1) / len(plane)
            bits -= float((share[share > 0] * np.log2(share[share > 0])).sum())
    return bits / len(columns)


def groups(stored: Stored, size: int, kind: str, turns: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Images to be asked about, each with a group of units."""
    draw = np.random.default_rng(size)
    for _ in range(turns):
        image = int(draw.integers(len(stored.keys)))
        drawn = np.sort(draw.choice(stored.units, size, replace=False))
        yield image, drawn if kind == "random" else np.argsort(-stored.values[:, image], kind="stable")[:size]


def questions(stored: Stored, whole: nta.Index, quick: bool) -> list[Row]:
    """Images that codes leave to the model, beside NTA's, over 10,000 and over all images."""
    rows: list[Row] = []
    for number in sorted({min(FEW, len(stored.keys)), len(stored.keys)}):
        index = whole if number == len(stored.keys) else index_of(stored, number)
        for size in GROUPS:
            for kind in ("random", "most active"):
                asked = list(groups(stored, size, kind, 3 if quick else 15))
                for job, ask in (("FireMax", fire_max), ("SimTop", sim_top)):
                    found = [ask(stored, index, image, group, number) for image, group in asked]
                    ours, theirs = (median(each[side] for each in found) for side in (0, 1))
                    title = f"{stored.name}, {job}, {size} {kind} units, {number:,} images"
                    few = stored.relu and number == FEW and size >= 3
                    fewer = not quick and size == 10 and number <= FEW
                    rows += [
                        Row(f"{title}: run again", ours, "images", "<= 40" * few, ours <= 40 or not few),
                        Row(
                            f"{title}: NTA's",
                            theirs,
                            "images",
                            ">= 5 x ours" * fewer,
                            theirs >= 5 * ours or not fewer,
                        ),
                    ]
    return rows


def index_of(stored: Stored, number: int) -> nta.Index:
    """NTA's index over some images, of the bytes that our codes take."""
    return nta.Index.of_size(stored.values[:, :number], stored.coded.bytes() * number // len(stored.keys))


def captured(values: NDArray[np.float32], keys: NDArray[np.int64]) -> neurons.Exact:
    """Gives values (G, n) of sorted keys where codes cannot decide: what counts is how often it is asked."""
    return lambda asked: values[:, np.searchsorted(keys, asked)].T.copy()


def fire_max(stored: Stored, index: nta.Index, _: int, group: NDArray[np.int64], number: int) -> tuple[int, int]:
    """How many images both run again for the highest means."""
    values, keys = stored.values[group][:, :number], stored.keys[:number]
    mean = neurons.aggregate("mean")
    answer = neurons.highest(stored.blocks(group), mean, K, among=keys, exact=captured(values, keys))
    check(answer.keys, keys, -mean.value(values))
    found = nta.fire_max(index, group, mean, K, lambda at: values[:, at].T.copy())
    return answer.verified, found.inferred


def sim_top(stored: Stored, index: nta.Index, image: int, group: NDArray[np.int64], number: int) -> tuple[int, int]:
    """How many images both run again for the nearest."""
    values, keys = stored.values[group][:, :number], stored.keys[:number]
    query = values[:, image % number]
    answer = neurons.nearest(stored.blocks(group), query, "l2", K, among=keys, exact=captured(values, keys))
    check(answer.keys, keys, neurons.distance("l2", query).value(values))
    found = nta.sim_top(index, group, query, "l2", K, lambda at: values[:, at].T.copy())
    return answer.verified, found.inferred


def check(found: NDArray[np.int64], keys: NDArray[np.int64], score: NDArray[np.float64]) -> None:
    """Against a full scan, ties by key."""
    expected = keys[np.lexsort((keys, score))[:K]]
    if found.tolist() != expected.tolist():
        raise WrongAnswer(f"{found.tolist()[:5]} instead of {expected.tolist()[:5]}")


def speed(stored: Stored, index: nta.Index, folder: Path) -> list[Row]:
    """Ten units over all images: from the cache, from TileDB, in a new process, and what the peers take."""
    draw = np.random.default_rng(7)
    group = np.sort(draw.choice(stored.units, 10, replace=False))
    others = (np.sort(draw.choice(stored.units, 10, replace=False)) for _ in range(100))
    mean, n = neurons.aggregate("mean"), len(stored.keys)
    query = stored.values[group, 0]
    again, noise = stored.again(group), stored.coded.noise(group)
    again(stored.keys[:1])  # loads the model
    part = f", by one image in {stored.every}" if stored.every > 1 else ""

    def everything() -> Any:
        values = again(stored.keys[:: stored.every])
        return np.argpartition(-values.astype(np.float64).mean(axis=1), K)[:K]

    def numpy() -> Any:
        return np.argpartition(-stored.values[group].astype(np.float64).mean(axis=0), K)[:K]

    took = {  # TileDB before the cache, with other units each time: nothing of these is kept
        "values, from TileDB": milliseconds(
            lambda: neurons.highest(stored.columns(next(others), keep=False), mean, K, threads=2)
        ),
        "values, from the cache": milliseconds(lambda: neurons.highest(stored.columns(group), mean, K, threads=2)),
        "nearest by values, from the cache": milliseconds(
            lambda: neurons.nearest(stored.columns(group), query, "l2", K, threads=2)
        ),
        "codes, and the model for the rest": milliseconds(
            lambda: neurons.highest(stored.blocks(group), mean, K, exact=again, noise=noise, threads=2),
            stored.turns,
        ),
        "NumPy on all values in memory": milliseconds(numpy),
        "NTA": milliseconds(
            lambda: nta.fire_max(index, group, mean, K, lambda at: again(stored.keys[at])), stored.turns
        ),
        f"everything run again{part}": stored.every * milliseconds(everything, turns=1),
    }
    large = n >= FULL
    most = {"values, from TileDB": 30.0, "values, from the cache": 2.0, "nearest by values, from the cache": 2.0}
    title = f"{stored.name}, 10 units x {n:,} images"
    rows = [limited(f"{title}: {name}", each, most.get(name) if large else None) for name, each in took.items()]
    faster = took["NTA"] / took["values, from the cache"]
    rows.append(Row(f"{title}: faster than NTA by", faster, "x", ">= 100" * large, faster >= 100 or not large))
    opening, first, second = fresh(stored, group, folder)
    return [
        *rows,
        Row(f"{title}: a new process, after import and connect, finds the set in the graph", opening, "ms"),
        limited(f"{title}: and gives its first answer from the cache", first, 5.0 if large else None),
        Row(f"{title}: and its second", second, "ms"),
    ]


def fresh(stored: Stored, group: NDArray[np.int64], folder: Path) -> list[float]:
    """Milliseconds in which a new process finds the set, answers, and answers again: the medians of some processes."""
    program = FRESH.format(folder=str(folder), set_id=stored.sets["f32"].record.id, group=group.tolist(), k=K)
    took = []
    for _ in range(stored.turns):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        said = done.stdout.split()
        check(np.array(said[3:], np.int64), stored.keys, -neurons.aggregate("mean").value(stored.values[group]))
        took.append([float(each) for each in said[:3]])
    return [median(each) for each in zip(*took, strict=True)]


def limited(name: str, value: float, most: float | None) -> Row:
    """Milliseconds, which may have a goal."""
    return Row(name, value, "ms") if most is None else at_most(name, value, "ms", most)


def growth(stored: Stored, quick: bool) -> list[Row]:
    """Time and memory by the number of images, of values drawn from the layer's own: no worse than in proportion."""
    draw = np.random.default_rng(3)
    group = np.sort(draw.choice(stored.units, 10, replace=False))
    mean, rows, first = neurons.aggregate("mean"), [], 0.0
    for number in (5_000, 20_000) if quick else (10_000, 60_000, 500_000):
        at = draw.integers(len(stored.keys), size=number)
        values = stored.values[group][:, at]  # whole images: units stay as they go together
        coded, scales = codes.encode(values)
        keys = np.arange(number)
        block, exact = Block(keys, coded, *codes.tables(scales)), captured(values, keys)
        took = milliseconds(partial(neurons.highest, [block], mean, K, exact=exact, threads=2))
        tracemalloc.start()
        answer = neurons.highest([block], mean, K, exact=exact)
        memory = tracemalloc.get_traced_memory()[1] / values.nbytes
        tracemalloc.stop()
        check(answer.keys, keys, -mean.value(values))
        per, title = took / number, f"growth: {number:,} images"
        rows.append(Row(f"{title}, codes", took, "ms"))
        rows.append(Row(f"{title}, run again", answer.verified, "images"))
        large = number > FULL
        rows.append(Row(f"{title}, memory / the units in f32", memory, "x", "<= 1" * large, memory <= 1 or not large))
        if first:
            ratio = per / first
            goal = "" if quick else "<= 1.2"
            rows.append(Row(f"{title}, time per image against the fewest", ratio, "x", goal, quick or ratio <= 1.2))
        first = first or per
    return rows


def milliseconds(ask: Callable[[], Any], turns: int = 15) -> float:
    """The median of some turns after one that warms; of one alone, which takes long, just that."""
    if turns > 1:
        ask()
    found = []
    for _ in range(turns):
        began = time.perf_counter()
        ask()
        found.append(time.perf_counter() - began)
    return 1000 * median(found)


if __name__ == "__main__":
    raise SystemExit(run("neurons", measure))
