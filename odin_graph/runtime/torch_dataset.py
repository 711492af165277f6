"""Images as a torch data set: map-style, picklable, and safe in workers that fork or are spawned."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from odin_graph.address import Address
from odin_graph.arrays import SegmentedArray
from odin_graph.catalog.pixels import ARRAY
from odin_graph.ops import Pipeline
from odin_graph.runtime.cropping import cuts, read_cut
from odin_graph.runtime.inputs import to_input, to_inputs
from odin_graph.stores import Stores

Transform = Callable[[Tensor], Tensor]
Item = tuple[Tensor, Any]


class PixelDataset(Dataset[Item]):
    """Each item: the image (bands, h, w) as float32, and its target.

    Holds an address, keys and targets. A process reads through connections of its own, opened at its first item.

    Args:
        address: The workspace.
        keys: The images, in the order of the items.
        targets: One an item: a class index, a vector of zeros and ones, a number.
        pipeline: The model's preprocessing; None for unscaled values.
        transform: Applied to each tensor, such as an augmentation.
    """

    def __init__(
        self,
        address: Address,
        keys: NDArray[np.int64],
        targets: NDArray[Any] | Sequence[Any],
        *,
        pipeline: Pipeline | None = None,
        transform: Transform | None = None,
    ) -> None:
        self.address = address
        self.keys = np.asarray(keys, np.int64)
        self.targets = targets
        self.pipeline = pipeline or Pipeline()
        self.transform = transform
        self._pixels: SegmentedArray | None = None
        self._process = 0

    def __len__(self) -> int:
        """The number of images."""
        return len(self.keys)

    def __getitem__(self, index: int) -> Item:
        """One image and its target."""
        position = range(len(self.keys))[index]
        (pixels,) = self._read(self.keys[[position]])
        return self._transformed(to_input(self._rest, pixels)), self._target(position)

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """A batch, read at once: what a DataLoader asks for."""
        positions = np.arange(len(self.keys))[np.asarray(indices, np.int64)]
        images = self._read(self.keys[positions])
        if len({(image.shape, image.dtype) for image in images}) == 1:
            inputs: Sequence[Tensor] = to_inputs(self._rest, images).unbind()
        else:
            inputs = [to_input(self._rest, image) for image in images]
        return [(self._transformed(one), self._target(p)) for one, p in zip(inputs, positions.tolist(), strict=True)]

    def __getstate__(self) -> dict[str, Any]:
        """What travels to a worker: no connection."""
        return {**self.__dict__, "_pixels": None, "_process": 0}

    def _read(self, keys: NDArray[np.int64]) -> list[NDArray[Any]]:
        if self._pixels is None or self._process != os.getpid():
            stores = Stores.at(self.address)
            self._pixels = SegmentedArray(stores.arrays, stores.columns.segments(ARRAY))
            self._process = os.getpid()
        if cuts(self.pipeline.ops):
            return read_cut(self._pixels, keys, self.pipeline.ops[0])
        return self._pixels.read_list(keys)

    @property
    def _rest(self) -> Pipeline:
        """What is left to do with what was read."""
        return Pipeline(self.pipeline.ops[1:]) if cuts(self.pipeline.ops) else self.pipeline

    def _transformed(self, one: Tensor) -> Tensor:
        return one if self.transform is None else self.transform(one)

    def _target(self, position: int) -> Any:
        target = self.targets[position]
        if isinstance(target, np.ndarray):
            return torch.from_numpy(target)
        return target.item() if isinstance(target, np.generic) else target
