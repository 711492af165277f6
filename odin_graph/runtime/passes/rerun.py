"""Exact values of units: the model is run again on just the images that are asked for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from odin_graph.catalog.activations.unit_sets import UnitSetRecord
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.deadline import check
from odin_graph.errors import QueryError
from odin_graph.progress import progress_bar
from odin_graph.runtime.models.loaded import Wanted, is_loaded, shared
from odin_graph.runtime.models.model import Runnable
from odin_graph.runtime.passes.unit_pass import Part, Shape, batch_of, running, sizes_differ
from odin_graph.runtime.pixels.inputs import input_runs
from odin_graph.runtime.pixels.pixels import pixel_blocks
from odin_graph.stores import Stores

Keys = NDArray[np.int64]

_SHOWN: Final = 2_000
"""So many images are shown as they are run."""
_TOGETHER: Final = 64
"""So few images are read at once, without a thread that reads ahead."""


class Rerun:
    """The values (n, G) of a group of units, for keys in any order: what `neurons.block.Exact` asks for.

    The model is loaded when it is first needed, and the latest stay loaded. No further is run than the layer.

    Args:
        stores: The open workspace.
        checkpoint: The checkpoint's id.
        layer: What it calls the layer.
        group: The numbers of the units.
        pooling: How the output becomes units.
        device: Where to run: as the set that is verified, see `device_of`.
        autocast: As the set that is verified.
        batch: Images at once; by default as many as fit.
    """

    def __init__(
        self,
        stores: Stores,
        checkpoint: str,
        layer: str,
        group: NDArray[np.int64],
        *,
        pooling: str = "units",
        device: str | torch.device | None = None,
        autocast: torch.dtype | None = None,
        batch: int | None = None,
    ) -> None:
        self._stores, self._wanted = stores, Wanted(stores, checkpoint, device, autocast, batch)
        self._part, self._group = Part(layer, pooling), np.asarray(group, np.int64)
        self.images = 0
        """Images that were run so far."""
        self.seconds = 0.0
        """Seconds that running them took, without loading."""
        self.load: float | None = None
        """Seconds that loading took; None where the model was loaded."""
        self.width: int | None = None
        """Numbers that the layer gives for an image; None before it has run."""
        self._known: dict[str, Shape] = {}

    @classmethod
    def of(cls, stores: Stores, record: UnitSetRecord, checkpoint: str, layer: str, group: NDArray[np.int64]) -> Rerun:
        """For what a set holds, run as it was computed."""
        device, autocast = device_of(record)
        again = cls(stores, checkpoint, layer, group, pooling=record.pooling, device=device, autocast=autocast)
        again.width = record.units  # other images must give the same units
        if record.pooling == "units":
            again._known[layer] = record.shape
        return again

    def __call__(self, keys: Keys) -> NDArray[np.float32]:
        """The values (n, G) of images, in the order of the keys, which may repeat.

        Raises:
            StoreError: A key is of no image.
            ModelError: The model cannot be built or run here.
            ShapeError: Images have different numbers of units, since their sizes differ.
        """
        keys = np.asarray(keys, np.int64)
        distinct, back = np.unique(keys, return_inverse=True)
        found = np.empty((len(distinct), len(self._group)), np.float32)
        if not len(distinct):
            return found
        with shared(self._wanted) as (runnable, took):
            self.load = self.load if took is None else took
            began = time.perf_counter()
            self._fill(found, distinct, runnable)
            self.seconds += time.perf_counter() - began
        self.images += len(distinct)
        return found[back]

    def _fill(self, found: NDArray[np.float32], keys: Keys, runnable: Runnable) -> None:
        place, batch = 0, batch_of(runnable, [0])
        what = f"run {self._part.layer} again"
        with (
            running(runnable, [self._part], known=self._known) as run,
            progress_bar(what, len(keys), show=len(keys) >= _SHOWN) as done,
        ):
            for images in self._images(keys, batch):
                for start in range(0, len(images), batch):
                    check()
                    for inputs in input_runs(runnable.pipeline, images[start : start + batch]):
                        outputs = run(inputs)[self._part]
                        self._check(outputs.shape[1])
                        found[place : place + len(outputs)] = outputs[:, self._group]
                        place += len(outputs)
                        done(len(outputs))

    def _check(self, units: int) -> None:
        if self.width is not None and self.width != units:
            raise sizes_differ(self._part.layer, self.width, units)
        self.width = units
        if self._group.max(initial=-1) >= units:
            raise QueryError(
                f"There is no unit {self._group.max()}: the layer {self._part.layer!r} has {units:,}, numbered from 0."
            )

    def _images(self, keys: Keys, batch: int) -> Iterator[list[NDArray[Any]]]:
        if len(keys) <= _TOGETHER:
            yield self._stores.columns.array(ARRAY).read_list(keys)
            return
        for _, images in pixel_blocks(self._stores, keys, least=batch):
            yield images

    @property
    def is_loaded(self) -> bool:
        """Whether the model is loaded."""
        return is_loaded(self._wanted)


def device_of(record: UnitSetRecord) -> tuple[str, torch.dtype | None]:
    """The device that computed a set, if it is here, else the CPU, whose noise was measured; and the precision."""
    kind, _, precision = record.device.partition(" ")
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return kind if available.get(kind, False) else "cpu", getattr(torch, precision) if precision else None
