"""Questions to groups of units: ours beside running everything again, NumPy on all values, and DeepEverest's NTA.

python -m benchmarks.neurons [--quick] [--json FILE]

A VGG-like network is trained on Fashion-MNIST for an epoch; its layer of 2,048 units behind a ReLU is stored for
60,000 images. Groups of 1, 3, 10 and 100 units, random ones and the most active of an image, are asked for the 20
images of the highest mean (FireMax) and the 20 nearest to an image (SimTop). Every answer is held against a full scan
in float64.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import odin_graph as og
from benchmarks import nta
from benchmarks.pictures import fashion
from benchmarks.report import Row, WrongAnswer, at_most, run
from odin_graph import neurons
from odin_graph.arrays import codes
from odin_graph.arrays.units import UnitCodec
from odin_graph.catalog.unit_sets import UnitSet
from odin_graph.neurons import Block, Part, Values
from odin_graph.runtime.rerun import Rerun
from odin_graph.stores import Stores

K: Final = 20
GROUPS: Final = (1, 3, 10, 100)
FEW: Final = 10_000
"""Images over which verified ones are a goal."""
LAYER: Final = "relu"
FRESH = """
import sys, time
import numpy as np
import odin_graph as og
from odin_graph import neurons
from odin_graph.catalog.unit_sets import UnitSet
from odin_graph.neurons import Values
with og.connect({folder!r}) as db:
    stores = db._stores
    held = UnitSet.open(stores, {set_id!r})
    group = np.array({group!r})
    times = []
    for _ in range(2):
        began = time.perf_counter()
        parts = [Values(block.keys, block.decoded()) for block in held.blocks(group)]
        answer = neurons.highest(parts, neurons.aggregate("mean"), {k}, threads=2)
        times.append(1000 * (time.perf_counter() - began))
    print(*times, *answer.keys.tolist())
"""


class VggLike(nn.Module):
    """Two pairs of convolutions, and a layer of 2,048 units behind a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.wide = nn.Linear(32 * 7 * 7, 2048)
        self.relu = nn.ReLU()
        self.head = nn.Linear(2048, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) in, (n, 10) out."""
        head: Tensor = self.head(self.relu(self.wide(self.features(x))))
        return head


@dataclass(frozen=True, eq=False)
class Stored:
    """The layer over the images: its codes, its values, and the model."""

    stores: Stores
    checkpoint: str
    coded: UnitSet
    exact: UnitSet
    values: NDArray[np.float32]
    """(U, n), in memory: NumPy's side."""
    keys: NDArray[np.int64]

    def blocks(self, group: NDArray[np.int64], *, keep: bool = True) -> list[Part]:
        """Codes of a group."""
        return [Block(held.keys, held.values, *held.tables()) for held in self.coded.blocks(group, keep=keep)]

    def columns(self, group: NDArray[np.int64], *, keep: bool = True) -> list[Part]:
        """Values of a group."""
        return [Values(held.keys, held.decoded()) for held in self.exact.blocks(group, keep=keep)]

    def again(self, group: NDArray[np.int64]) -> Rerun:
        """The model."""
        return Rerun.of(self.stores, self.coded.record, self.checkpoint, LAYER, group)


def measure(quick: bool) -> list[Row]:
    """Every figure."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name, og.connect(Path(name) / "bench.odin") as db:
        rows, stored = store(db, 6_000 if quick else 60_000, quick)
        rows += [*bytes_by_codec(stored, quick), *questions(stored, quick), *speed(stored, Path(name) / "bench.odin")]
        return [*rows, *growth(stored, quick)]


def store(db: og.Workspace, number: int, quick: bool) -> tuple[list[Row], Stored]:
    """Train, and store codes and values of the layer."""
    stores = db._stores  # noqa: SLF001 - below what users hold
    pixels, labels = fashion()
    pixels, labels = pixels[:number], labels[:number]
    db.images.add(images=pixels, labels=labels.tolist(), progress=False)
    data = db.datasets.create("fashion", db.images(), label="label")
    db.models.add("vgg-like", VggLike(), preprocess=[og.ops.ToFloat()], classes=data.classes, input_shape=(1, 28, 28))
    with db.run("vgg-like", train=data, id="vgg-like/1") as training:
        net = trained(torch.from_numpy(pixels).float()[:, None] / 255, torch.from_numpy(labels).long(), quick)
        training.checkpoint(net, best=True)
    layer = db.experiment("vgg-like/1").layer(LAYER)
    rows, held = [], {}
    codecs: tuple[UnitCodec, ...] = ("u8", "f32")
    for codec in codecs:
        began = time.perf_counter()
        set_id = layer.materialise(db.images(), codec=codec, progress=False).id
        rows.append(Row(f"{number:,} x 2,048 units stored as {codec}", time.perf_counter() - began, "s"))
        held[codec] = UnitSet.open(stores, set_id)
    keys = held["f32"].coverage()
    values = held["f32"].values(np.arange(2048), keys).T.copy()
    return rows, Stored(stores, layer.checkpoint, held["u8"], held["f32"], values, keys)


def trained(inputs: Tensor, labels: Tensor, quick: bool) -> nn.Module:
    """One epoch; of the quick run a part of it."""
    net, batch = VggLike(), 128
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    order = torch.randperm(len(inputs))[: 2_560 if quick else None]
    for start in range(0, len(order), batch):
        at = order[start : start + batch]
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(inputs[at]), labels[at]).backward()
        optimiser.step()
    return net.eval()


def bytes_by_codec(stored: Stored, quick: bool) -> list[Row]:
    """What each codec takes on the disk, beside the values' own bytes and their entropy."""
    raw = stored.values.nbytes
    drawn = np.random.default_rng(0).choice(stored.values.shape[0], 64, replace=False)
    entropy = []
    for unit in drawn:
        _, counts = np.unique(codes.encode(stored.values[unit : unit + 1])[0], return_counts=True)
        share = counts / counts.sum()
        entropy.append(float(-(share * np.log2(share)).sum()))
    zeros = float((stored.values == 0).mean())
    share = stored.coded.bytes() / raw
    return [
        Row("zeros of the layer", 100 * zeros, "%"),
        Row("f32 on disk", 100 * stored.exact.bytes() / raw, "% of f32"),
        Row("u8 codes on disk", 100 * share, "% of f32", "" if quick else "<= 13", quick or share <= 0.13),
        Row("entropy of the codes", 100 * float(np.mean(entropy)) / 32, "% of f32"),
    ]


def groups(stored: Stored, size: int, turns: int) -> Iterator[tuple[str, int, NDArray[np.int64]]]:
    """Groups of units, by kind, each with an image to be asked about."""
    draw = np.random.default_rng(size)
    for _ in range(turns):
        image = int(draw.integers(len(stored.keys)))
        yield "random", image, np.sort(draw.choice(2048, size, replace=False))
        yield "most active", image, np.argsort(-stored.values[:, image], kind="stable")[:size]


def questions(stored: Stored, quick: bool) -> list[Row]:
    """Images that codes leave to the model, beside NTA's, over 10,000 and over all images."""
    rows: list[Row] = []
    for number in sorted({min(FEW, len(stored.keys)), len(stored.keys)}):
        index = nta.Index.of_size(stored.values[:, :number], stored.coded.bytes() * number // len(stored.keys))
        for size in GROUPS:
            for kind in ("random", "most active"):
                asked = [each for each in groups(stored, size, 3 if quick else 15) if each[0] == kind]
                for job, ask in (("FireMax", fire_max), ("SimTop", sim_top)):
                    found = [ask(stored, index, image, group, number) for _, image, group in asked]
                    ours, theirs = (median(each[side] for each in found) for side in (0, 1))
                    title = f"{job}, {size} {kind} units, {number:,} images"
                    goal = number == FEW and size >= 3 and not quick
                    fewer = theirs / max(1.0, ours)
                    rows.append(
                        Row(f"{title}: run again", ours, "images", "<= 40" if goal else "", ours <= 40 or not goal)
                    )
                    bound = goal and size == 10
                    rows.append(
                        Row(f"{title}: NTA's", theirs, "images", "5 x ours" if bound else "", fewer >= 5 or not bound)
                    )
    return rows


def captured(values: NDArray[np.float32], keys: NDArray[np.int64]) -> neurons.Exact:
    """Gives values (G, n) of sorted keys where codes cannot decide: what counts is how often it is asked."""
    return lambda asked: values[:, np.searchsorted(keys, asked)].T.copy()


def fire_max(stored: Stored, index: nta.Index, _: int, group: NDArray[np.int64], number: int) -> tuple[int, int]:
    """How many images both run again for the highest means."""
    values = stored.values[group][:, :number]
    mean = neurons.aggregate("mean")
    exact = captured(values, stored.keys)
    answer = neurons.highest(stored.blocks(group), mean, K, among=stored.keys[:number], exact=exact)
    check(answer.keys, stored.keys[:number], -mean.value(values))
    found = nta.fire_max(index, group, mean, K, lambda at: values[:, at].T.copy())
    return answer.verified, found.inferred


def sim_top(stored: Stored, index: nta.Index, image: int, group: NDArray[np.int64], number: int) -> tuple[int, int]:
    """How many images both run again for the nearest."""
    image %= number
    values = stored.values[group][:, :number]
    exact = captured(values, stored.keys)
    answer = neurons.nearest(stored.blocks(group), values[:, image], "l2", K, among=stored.keys[:number], exact=exact)
    check(answer.keys, stored.keys[:number], neurons.distance("l2", values[:, image]).value(values))
    found = nta.sim_top(index, group, values[:, image], "l2", K, lambda at: values[:, at].T.copy())
    return answer.verified, found.inferred


def check(found: NDArray[np.int64], keys: NDArray[np.int64], score: NDArray[np.float64]) -> None:
    """Against a full scan, ties by key."""
    expected = keys[np.lexsort((keys, score))[:K]]
    if found.tolist() != expected.tolist():
        raise WrongAnswer(f"{found.tolist()[:5]} instead of {expected.tolist()[:5]}")


def speed(stored: Stored, folder: Path) -> list[Row]:
    """Ten units over all images: from the cache, from TileDB, in a new process, and what the peers take."""
    draw = np.random.default_rng(7)
    group = np.sort(draw.choice(2048, 10, replace=False))
    mean, n = neurons.aggregate("mean"), len(stored.keys)
    title = f"10 units x {n:,} images"
    again = stored.again(group)

    def cached() -> Any:
        return neurons.highest(stored.columns(group), mean, K, threads=2)

    def stored_columns() -> Any:
        return neurons.highest(stored.columns(group, keep=False), mean, K, threads=2)

    def by_nta() -> Any:
        return nta.fire_max(index, group, mean, K, lambda at: again(stored.keys[at]))

    def by_codes() -> Any:
        return neurons.highest(stored.blocks(group), mean, K, exact=again, noise=stored.coded.noise(group), threads=2)

    def numpy() -> Any:
        return np.argpartition(-stored.values[group].astype(np.float64).mean(axis=0), K)[:K]

    def everything() -> Any:
        values = again(stored.keys)
        return np.argpartition(-values.astype(np.float64).mean(axis=1), K)[:K]

    index = nta.Index.of_size(stored.values, stored.coded.bytes())
    took = {
        "values, from the cache": milliseconds(cached),
        "codes, and the model for the rest": milliseconds(by_codes),
        "values, from TileDB": milliseconds(
            lambda: neurons.highest(stored.columns(group, keep=False), mean, K), turns=5
        ),
        "NumPy on all values in memory": milliseconds(numpy),
        "NTA": milliseconds(by_nta, turns=3),
        "everything run again": milliseconds(everything, turns=1),
    }
    large = n >= 60_000
    goals = {"values, from the cache": 2.0, "values, from TileDB": 30.0} if large else {}
    rows = [
        at_most(f"{title}: {name}", each, "ms", goals[name]) if name in goals else Row(f"{title}: {name}", each, "ms")
        for name, each in took.items()
    ]
    faster = took["NTA"] / took["values, from the cache"]
    goal, holds = (">= 100", faster >= 100) if large else ("", True)
    rows.append(Row(f"{title}: faster than NTA by", faster, "x", goal, holds))
    program = FRESH.format(folder=str(folder), set_id=stored.exact.record.id, group=group.tolist(), k=K)
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    check(np.array(said[2:], np.int64), stored.keys, -mean.value(stored.values[group]))
    fresh = f"{title}: values, in a new process after import and connect"
    rows.append(at_most(fresh, float(said[0]), "ms", 5.0) if large else Row(fresh, float(said[0]), "ms"))
    return rows


def growth(stored: Stored, quick: bool) -> list[Row]:
    """Time by the number of images, of values drawn from the layer's own: no worse than in proportion."""
    draw = np.random.default_rng(3)
    group = np.sort(draw.choice(2048, 10, replace=False))
    mean, rows, first = neurons.aggregate("mean"), [], 0.0
    for number in (5_000, 20_000) if quick else (10_000, 60_000, 500_000):
        at = draw.integers(len(stored.keys), size=number)
        values = stored.values[group][:, at]  # whole images: units stay as they go together
        coded, scales = codes.encode(values)
        keys = np.arange(number)
        block = Block(keys, coded, *codes.tables(scales))
        exact = captured(values, keys)
        took = milliseconds(lambda block=block, exact=exact: neurons.highest([block], mean, K, exact=exact, threads=2))
        answer = neurons.highest([block], mean, K, exact=exact)
        check(answer.keys, keys, -mean.value(values))
        per = took / number
        rows.append(Row(f"growth: {number:,} images, codes", took, "ms"))
        rows.append(Row(f"growth: {number:,} images, run again", answer.verified, "images"))
        if first:
            ratio = per / first
            title, goal = f"growth: {number:,} images, time per image against the fewest", "" if quick else "<= 1.2"
            rows.append(Row(title, ratio, "x", goal, quick or ratio <= 1.2))
        first = first or per
    return rows


def milliseconds(ask: Callable[[], Any], turns: int = 15) -> float:
    """The median of some turns after one that warms."""
    ask()
    found = []
    for _ in range(turns):
        began = time.perf_counter()
        ask()
        found.append(time.perf_counter() - began)
    return 1000 * median(found)


if __name__ == "__main__":
    raise SystemExit(run("neurons", measure))
