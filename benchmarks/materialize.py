"""Storing the activations of units: memory, disk and time beside a plain forward pass, and reading columns.

python -m benchmarks.materialize [--quick] [--json FILE]

Large layers run in a child process, so that the kernel reports its peak memory. For every stored layer, a few units
are compared with a new run of the model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import odin_graph as og
from benchmarks.pretrained import lite0_over_crops, over_crops
from benchmarks.report import Row, WrongAnswer, at_most, run
from odin_graph.arrays.units import UnitCodec
from odin_graph.catalog.activations.unit_sets import UnitSet
from odin_graph.runtime.layers.outputs import logits_of
from odin_graph.runtime.models.model import Runnable
from odin_graph.runtime.passes.materialize import materialize, plan_units
from odin_graph.runtime.passes.rerun import Rerun
from odin_graph.runtime.passes.unit_pass import batch_of
from odin_graph.runtime.passes.unit_plan import Want
from odin_graph.runtime.pixels.inputs import to_inputs
from odin_graph.runtime.pixels.pixels import pixel_blocks
from odin_graph.stores import Stores

Keys = NDArray[np.int64]

VGG: Final = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M"]
GIB: Final = 1024.0
MIB: Final = 2**20


@dataclass(frozen=True)
class Case:
    """A layer that is large."""

    name: str
    """Also the model's id."""
    factory: str
    args: Sequence[Any]
    layer: str
    side: int
    images: int
    codec: UnitCodec = "u8"


class Wide(nn.Module):
    """As many units as the last convolutions of VGG-16 have, 512 x 14 x 14, at little arithmetic."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 512, side // 14, stride=side // 14)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.relu(self.conv(x)).mean((2, 3))
        return pooled


def measure(quick: bool) -> list[Row]:
    """Every figure."""
    side = 64 if quick else 224
    cases = [
        Case("vgg-conv1", "torchvision.models.vgg:make_layers", [VGG, False], "0", side, 40 if quick else 500),
        Case("vgg-relu1", "torchvision.models.vgg:make_layers", [VGG, False], "1", side, 40 if quick else 500),
        Case("wide", "benchmarks.materialize:Wide", [56], "relu", 56, 500 if quick else 10_000),
        Case("wide-f32", "benchmarks.materialize:Wide", [56], "relu", 56, 200 if quick else 2_000, "f32"),
    ]
    rows: list[Row] = []
    # The engine stops a few seconds after its last user, and writes into its folder until then.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, og.connect(Path(name) / "bench.odin") as db:
        for case in cases:
            rows += large(db, Path(name), case)
        rows += pretrained(db, 48 if quick else 5_000)
    return rows


def large(db: og.Workspace, folder: Path, case: Case) -> list[Row]:
    """One large layer, stored by a child."""
    stores: Stores = db._stores  # noqa: SLF001 - below what users hold
    torch.manual_seed(0)
    keys, checkpoint = over_crops(db, case.name, case.factory, case.args, case.side, case.images)
    want = Want(case.layer, codec=case.codec)
    plan = plan_units(stores, checkpoint, [want], keys)
    before = _taken(folder)
    asked = json.dumps({"folder": str(folder / "bench.odin"), "checkpoint": checkpoint, **asdict(case)})
    command = [sys.executable, "-c", "import benchmarks.materialize as m, sys; m.child(sys.argv[1])", asked]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "ODIN_PROGRESS": "0"}) as said:
        most = [0]
        watch = threading.Thread(target=_watch, args=(folder, most, said), daemon=True)
        watch.start()
        assert said.stdout is not None
        found = json.loads(said.stdout.read())
    watch.join()
    held = UnitSet.open(stores, found["id"])
    group = np.linspace(0, held.record.units - 1, 20).astype(np.int64)
    check(stores, held, checkpoint, case.layer, group)
    label = f"{case.name}, {held.record.units:,} units x {len(keys):,} images, {case.codec}"
    values = held.record.units * len(keys)
    return [
        at_most(f"{label}: memory that storing takes, at its peak", (found["peak"] - found["idle"]) / MIB, "MiB", GIB),
        Row(f"{label}: peak of the process, torch, its libraries and the model included", found["peak"] / MIB, "MiB"),
        at_most(f"{label}: peak disk / told beforehand", (most[0] - before) / max(1, plan.peak), "x", 1.0),
        Row(f"{label}: seconds", found["seconds"], "s"),
        Row(f"{label}: values a second", values / found["seconds"] / 1e6, "million/s"),
        Row(f"{label}: stored / f32", held.bytes() / (4 * values), "x"),
        Row(f"{label}: 10 units from TileDB", 1e3 * _columns(held, group[:10], keep=False), "ms"),
        Row(f"{label}: 10 units from the cache", 1e3 * _columns(held, group[:10], keep=True), "ms"),
    ]


def child(asked: str) -> None:
    """In a process of its own: store a layer, and print the peak of memory."""
    said = json.loads(asked)
    with og.connect(said["folder"]) as db:
        stores: Stores = db._stores  # noqa: SLF001 - below what users hold
        keys = db.images().where(og.F("of") == said["name"]).keys()
        runnable = Runnable.load(stores, said["checkpoint"], batch=1)
        one = torch.zeros(1, *runnable.model.input_shape or ())
        runnable.run(one, logits_of)  # torch takes memory of its own with the first pass
        del runnable, one
        idle = _memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
        began = time.perf_counter()
        want = Want(said["layer"], codec=said["codec"])
        (made,) = materialize(stores, said["checkpoint"], [want], keys, progress=False)
        print(json.dumps({"id": made, "seconds": time.perf_counter() - began, "peak": _memory("VmHWM"), "idle": idle}))


def pretrained(db: og.Workspace, number: int) -> list[Row]:
    """Is storing a late layer of a real network dear beside running it?"""
    stores: Stores = db._stores  # noqa: SLF001 - below what users hold
    keys, checkpoint = lite0_over_crops(db, number)
    layers = ["_blocks.10", "_blocks.15", "_bn1"]
    wants = [Want(layer) for layer in layers] + [Want("_bn1", "channels-max")]
    runnable = Runnable.load(stores, checkpoint)
    widths = [80_000] * len(layers)
    batch = batch_of(runnable, widths)
    half = len(keys) // 2
    bare = [_bare(stores, runnable, keys[:half], batch)]
    began = time.perf_counter()
    made = materialize(stores, checkpoint, wants, keys, batch=batch, progress=False)
    ours = time.perf_counter() - began
    bare.append(_bare(stores, runnable, keys[half:], batch))
    for want, id_ in zip(wants, made, strict=True):
        held = UnitSet.open(stores, id_)
        group = np.linspace(0, held.record.units - 1, 20).astype(np.int64)
        check(stores, held, checkpoint, want.layer, group)
    units = sum(UnitSet.open(stores, id_).record.units for id_ in made)
    ratio, most = ours / sum(bare), 1.3 if number >= 1_000 else 5.0  # the sample is run four times, also for few images
    return [
        at_most(f"lite0, {number:,} crops, {units:,} units of 4 sets: storing / bare forward", ratio, "x", most),
        Row("lite0: bare forward pass", number / sum(bare), "images/s"),
    ]


def _bare(stores: Stores, runnable: Runnable, keys: Keys, batch: int) -> float:
    """Seconds of reading, preprocessing and running images, without looking into them."""
    began = time.perf_counter()
    for block, images in pixel_blocks(stores, keys, least=batch):
        for start in range(0, len(block), batch):
            runnable.run(to_inputs(runnable.pipeline, images[start : start + batch]), logits_of)
    return time.perf_counter() - began


def check(stores: Stores, held: UnitSet, checkpoint: str, layer: str, group: Keys) -> None:
    """Hold some units of some images against the model run again.

    Raises:
        WrongAnswer: One is not what the model says.
    """
    again = Rerun.of(stores, held.record, checkpoint, layer, group)
    noise = held.noise(group)[:, None]
    for block in held.blocks(group, keep=False):
        places = np.linspace(0, len(block.keys) - 1, 6).astype(np.int64)
        said = again(block.keys[places]).T
        values = block.values[:, places]
        if held.record.codec == "u8":
            low, high = (np.take_along_axis(table, values.astype(np.int64), 1) for table in block.tables())
        else:
            low = high = block.decoded()[:, places].astype(np.float64)
        if not ((low - noise <= said) & (said <= high + noise)).all():
            raise WrongAnswer(layer, held.record.id)


def _columns(held: UnitSet, group: Keys, *, keep: bool) -> float:
    """Median seconds to read the columns of a group."""
    seconds = []
    for _ in range(7):
        began = time.perf_counter()
        list(held.blocks(group, keep=keep))
        seconds.append(time.perf_counter() - began)
    return median(seconds[1:])


def _memory(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _watch(folder: Path, most: list[int], process: subprocess.Popen[str]) -> None:
    while process.poll() is None:
        most[0] = max(most[0], _taken(folder))
        time.sleep(0.05)


def _taken(folder: Path) -> int:
    """Bytes of the arrays and of what is on its way."""
    total = 0
    for part in ("arrays", "cache/spill"):
        for file in (folder / "bench.odin" / part).rglob("*"):
            try:
                total += file.stat().st_blocks * 512
            except OSError:  # gone meanwhile
                continue
    return total


if __name__ == "__main__":
    raise SystemExit(run("materialize", measure))
