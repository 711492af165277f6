"""One pass over images, and what it writes: rows into blocks of units, and these as a segment of each set."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import SegmentInfo
from odin_graph.catalog.activations.activations import Growth, LayerRef, growing
from odin_graph.catalog.activations.unit_sets import UnitGrowth, UnitRef, growing_units
from odin_graph.deadline import check
from odin_graph.errors import NotFiniteWarning
from odin_graph.runtime.layers.unit_pooling import units_of_shape
from odin_graph.runtime.models.determinism import Noise
from odin_graph.runtime.models.model import Runnable
from odin_graph.runtime.passes.spill import Job, Spill, job
from odin_graph.runtime.passes.unit_pass import Outputs, Part, batch_of, running, sizes_differ
from odin_graph.runtime.pixels.inputs import input_runs
from odin_graph.runtime.pixels.pixels import pixel_blocks
from odin_graph.stores import Stores
from odin_graph.warned import warn

Keys = NDArray[np.int64]
Done = Callable[[int], None]


class Beside(Protocol):
    """Made for each segment that is written; sees what is written."""

    def passing(self, slabs: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """The same slabs (units, images), on their way."""

    def named(self, segment: SegmentInfo) -> None:
        """Called once the segment is stored."""


@dataclass(frozen=True, slots=True)
class Target:
    """A set that is to be added to."""

    part: Part
    ref: UnitRef | LayerRef


class UnitWriter:
    """Runs images, and writes the outputs.

    Args:
        stores: The open workspace.
        runnable: The checkpoint, ready to run.
        parts: What a pass gives, in the order of the blocks that are written.
        shapes: Of each part's output for one image.
        noise: How far each part may lie off when it is run again.
        beside: As of `materialize`.
    """

    def __init__(
        self,
        stores: Stores,
        runnable: Runnable,
        parts: Sequence[Part],
        shapes: Mapping[Part, tuple[int, ...]],
        noise: Mapping[Part, Noise],
        beside: Callable[[Keys, int], Beside] | None,
    ) -> None:
        self.stores, self.runnable, self.parts = stores, runnable, list(parts)
        self.shapes, self.noise, self.beside = shapes, noise, beside
        self.batch = batch_of(runnable, [units_of_shape(shapes[part]) for part in parts])

    @contextmanager
    def growing(self, target: Target, checkpoint: str) -> Iterator[UnitGrowth | Growth]:
        """The set, under its lease."""
        if isinstance(target.ref, LayerRef):
            with growing(self.stores, target.ref) as growth:
                yield growth
            return
        device = self.runnable.device.type
        if self.runnable.autocast is not None:
            device += f" {str(self.runnable.autocast).removeprefix('torch.')}"
        with growing_units(
            self.stores,
            target.ref,
            checkpoint=checkpoint,
            layer=target.part.layer,
            shape=self.shapes[target.part],
            device=device,
        ) as grown:
            yield grown

    def write(
        self, keys: Keys, growths: Mapping[Target, UnitGrowth | Growth], missing: Mapping[Target, Keys], done: Done
    ) -> None:
        """Run some images, and write a segment of each set."""
        targets = {target.ref.set_id: target for target in growths}.values()
        widths = [units_of_shape(self.shapes[part]) for part in self.parts]
        name = [self.runnable.checkpoint.weights, *([part.layer, part.pooling, part.rows] for part in self.parts)]
        sets = [target.ref.set_id for target in targets]
        with job(spill_folder(self.stores), name, widths, keys, sets) as current:
            done(current.done)
            began = time.perf_counter()
            self._fill(current, keys, done)
            # Seconds an image of this run, also for images that a killed run had written.
            each = (time.perf_counter() - began) / max(1, len(keys) - current.done)
            for target in targets:
                ours = np.flatnonzero(np.isin(keys, missing[target]))
                if len(ours):
                    spill = current.spills[self.parts.index(target.part)]
                    self._write_segment(target, growths[target], spill, keys, ours, each * len(ours))

    def _fill(self, current: Job, keys: Keys, done: Done) -> None:
        place = current.done
        with running(self.runnable, self.parts) as run:
            for block, images in pixel_blocks(self.stores, keys[place:], least=self.batch):
                for start in range(0, len(block), self.batch):
                    for inputs in input_runs(self.runnable.pipeline, images[start : start + self.batch]):
                        self._keep(run(inputs), current, place)
                        place += len(inputs)
                        current.wrote(place)
                        check()
                        done(len(inputs))

    def _keep(self, outputs: Outputs, current: Job, place: int) -> None:
        for spill, part in zip(current.spills, self.parts, strict=True):
            rows = outputs[part]
            if rows.shape[1] != spill.units:
                raise sizes_differ(part.layer, spill.units, rows.shape[1])
            spill.write(place, rows)

    def _write_segment(
        self, target: Target, growth: UnitGrowth | Growth, spill: Spill, keys: Keys, ours: Keys, seconds: float
    ) -> None:
        began, every = time.perf_counter(), len(ours) == len(keys)
        if isinstance(growth, Growth):
            rows = spill.rows()
            growth.add(keys[ours], rows if every else rows[ours], seconds=seconds)
            return
        slabs = spill.columns()
        if not every:
            slabs = (np.ascontiguousarray(slab[:, ours]) for slab in slabs)
        watching = None if self.beside is None else self.beside(keys[ours], spill.units)
        segment = self.stores.arrays.units.write(
            growth.array,
            keys[ours],
            spill.units,
            slabs if watching is None else watching.passing(slabs),
            growth.ref.codec,
            noise=self.noise[target.part].units,
        )
        growth.add(segment, seconds=seconds + time.perf_counter() - began)
        if watching is not None:
            watching.named(segment)
        self._warn(target.part, segment)

    def _warn(self, part: Part, segment: SegmentInfo) -> None:
        scales = self.stores.arrays.units.scales(segment)
        nans, infinities = (int(number) for number in scales[:, 2:4].sum(axis=0))
        if nans or infinities:
            units = int((scales[:, 2:4].sum(axis=1) > 0).sum())
            warn(
                f"The layer {part.layer!r} of {self.runnable.checkpoint.id!r} gave NaN {nans:,} times and infinity "
                f"{infinities:,} times, in {units:,} of its {segment.shape[0]:,} units over {segment.rows:,} images. "
                "They are stored as they are. Such images have a missing value in queries for these units.",
                NotFiniteWarning,
            )


def spill_folder(stores: Stores) -> Path:
    """The folder where rows wait to become columns."""
    return stores.cache / "spill"
