"""Images as a torch data set: map-style, picklable, and safe in workers that fork or are spawned."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from odin_graph.address import Address, Remote
from odin_graph.arrays.pixel_reader import PixelReader
from odin_graph.catalog.images.pixels import ARRAY
from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.inputs.inputs import PADDING, Inputs
from odin_graph.errors import OdinError
from odin_graph.ops import Pipeline
from odin_graph.ops.augmentation import Augmentation, augmentation_json
from odin_graph.ops.op import run_op
from odin_graph.runtime.derive.patching import Cutting
from odin_graph.runtime.pixels.cropping import cuts, read_cut
from odin_graph.runtime.pixels.inputs import as_tensor, preprocessed, to_input, to_inputs
from odin_graph.runtime.pixels.runs import Runs
from odin_graph.runtime.pixels.several import stacked
from odin_graph.stores import Stores

Transform = Callable[[Tensor], Tensor]
Item = tuple[Tensor, Any]
OpenPixels = Callable[[Any], PixelReader]
"""Opens the pixels of an address in the process that calls it; a function of a module, so that it pickles."""
Images = Sequence[NDArray[Any]] | NDArray[Any]
_WIDE = 4
"""Bytes of float32: what has as many is sent as it will be."""


def stored_pixels(address: Address) -> PixelReader:
    """The pixels of a workspace that is open here, or is opened for them."""
    return Stores.at(address).columns.array(ARRAY)


class PixelDataset(Dataset[Item]):
    """Each item: the image (bands, h, w) as float32, or the input of several images as the model takes it; its target.

    Holds an address, keys and targets. A process reads through connections of its own, opened at its first item.

    Args:
        address: The workspace.
        keys: The images, in the order of the items; of inputs of several the first image of each.
        targets: One an item: a class index, a vector of zeros and ones, a number.
        before: Operations before the augmentations.
        pipeline: The model's preprocessing; None for unscaled values.
        cutting: Which patch of its image each item is; None where it is the whole.
        augment: Drawn for each image and epoch, by `seed`.
        transform: Applied to each tensor.
        seed: Of the augmentations.
        open_pixels: Opens the pixels of the address.
        several: What an input is, and which images each holds, where an item is of several.
    """

    def __init__(
        self,
        address: Address | Remote,
        keys: NDArray[np.int64],
        targets: NDArray[Any] | Sequence[Any],
        *,
        before: Pipeline | None = None,
        pipeline: Pipeline | None = None,
        cutting: Cutting | None = None,
        augment: Sequence[Augmentation] = (),
        transform: Transform | None = None,
        seed: int = 0,
        open_pixels: OpenPixels = stored_pixels,
        several: tuple[Input, Inputs] | None = None,
    ) -> None:
        self.address, self._open = address, open_pixels
        self.keys = np.asarray(keys, np.int64)
        self.targets = targets
        self.before, self.pipeline = before or Pipeline(), pipeline or Pipeline()
        self.cutting = cutting
        self.several = several
        self.augment = tuple(augment)
        self.transform = transform
        self.seed = seed
        self.epoch = 0
        self._pixels: PixelReader | None = None
        self._runs: Runs | None = None
        self._process = 0
        self._run: int | None = None
        self._kept_runs = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw other augmentations: those of that epoch. A `Loader` does it by itself."""
        self.epoch = epoch

    def in_runs(self, length: int, runs: int) -> PixelDataset:
        """The same, reading images that lie side by side together.

        Args:
            length: How many images are read at once.
            runs: How many such runs are in memory.
        """
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__getstate__())
        made._run, made._kept_runs = length, runs  # noqa: SLF001 - its own class
        return made

    def describe(self) -> dict[str, Any]:
        """Operations, augmentations and preprocessing, as JSON has them."""
        return {
            "operations": str(self.before),
            "patches": None if self.cutting is None else len(self.cutting),
            "augment": [augmentation_json(augmentation) for augmentation in self.augment],
            "augment_seed": self.seed if self.augment else None,
            "preprocess": str(self.pipeline),
            "input": None if self.several is None else str(self.several[0]),
            "input_images": None
            if self.several is None
            else hashlib.sha256(self.several[1].keys.astype("<i8").tobytes()).hexdigest(),
            "transform": None
            if self.transform is None
            else getattr(self.transform, "__qualname__", str(self.transform)),
        }

    def image_keys(self) -> NDArray[np.int64]:
        """The keys of the images of all items."""
        if self.several is None:
            return self.keys
        keys = self.several[1].keys
        there: NDArray[np.int64] = keys[keys != PADDING]
        return there

    def __len__(self) -> int:
        """The number of items."""
        return len(self.keys)

    def __getitem__(self, index: int) -> Item:
        """One image and its target."""
        return self.items(np.array([range(len(self.keys))[index]]))[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Item]:
        """A batch, read at once: what a DataLoader asks for."""
        return self.items(np.arange(len(self.keys))[np.asarray(indices, np.int64)])

    def items(self, positions: NDArray[np.int64], *, epoch: int | None = None) -> list[Item]:
        """Images and targets one by one, of any shapes, read at once; see `batch`."""
        if self.several is not None:
            if len(np.unique(self.several[1].sizes[positions])) == 1:
                each: Sequence[Tensor] = self._several(positions, epoch, None).unbind()
            else:
                each = [self._several(positions[at : at + 1], epoch, None)[0] for at in range(len(positions))]
            return [
                (self._transformed(tensor), self._target(position))
                for tensor, position in zip(each, positions.tolist(), strict=True)
            ]
        images, rest = self._made(positions, epoch)
        if len({(image.shape, image.dtype) for image in images}) == 1:
            inputs: Sequence[Tensor] = to_inputs(rest, images).unbind()
        else:
            inputs = [to_input(rest, image) for image in images]
        return [
            (self._transformed(tensor), self._target(position))
            for tensor, position in zip(inputs, positions.tolist(), strict=True)
        ]

    def batch(self, positions: NDArray[np.int64], *, epoch: int | None = None) -> tuple[Tensor, Tensor]:
        """Images (n, bands, h, w), or inputs of several images, of float32 and their targets, as one tensor each.

        Args:
            positions: The positions of the images in the data set (n,).
            epoch: The epoch of the augmentations; by default that of `set_epoch`.

        Raises:
            ShapeError: The images have different shapes after all that was done with them.
        """
        inputs, targets = self.packed(positions, epoch=epoch)
        return (as_tensor(inputs) if isinstance(inputs, np.ndarray) else inputs), targets

    def packed(
        self, positions: NDArray[np.int64], *, epoch: int | None = None, turns: NDArray[np.int64] | None = None
    ) -> tuple[Tensor | NDArray[Any], Tensor]:
        """The same as `batch`; pixels of 8 or 16 bits as they are, (n, h, w, bands), to be sent to another process.

        With `turns`, an image that comes again in an epoch is augmented in another way.
        """
        targets = (
            torch.from_numpy(self.targets[positions])
            if isinstance(self.targets, np.ndarray)
            else torch.as_tensor([self.targets[position] for position in positions.tolist()])
        )
        if self.several is not None:
            tensors = self._several(positions, epoch, turns)
            return (tensors if self.transform is None else torch.stack(list(map(self.transform, tensors)))), targets
        images, rest = self._made(positions, epoch, turns)
        pixels = preprocessed(rest, images)
        if self.transform is not None:
            return torch.stack([self.transform(tensor) for tensor in as_tensor(pixels)]), targets
        return (pixels if pixels.dtype.itemsize < _WIDE else as_tensor(pixels)), targets

    def __getstate__(self) -> dict[str, Any]:
        """What travels to a worker: no connection."""
        return {**self.__dict__, "_pixels": None, "_runs": None, "_process": 0}

    def _several(self, positions: NDArray[np.int64], epoch: int | None, turns: NDArray[np.int64] | None) -> Tensor:
        """Inputs of several images (n, ...). The images of an input are augmented alike."""
        assert self.several is not None
        what, inputs = self.several
        places, owner = inputs.rows(positions)
        there = inputs.keys[places] != PADDING
        images, rest = self._made(
            positions[owner[there]], epoch, None if turns is None else turns[owner[there]], inputs.keys[places[there]]
        )
        return stacked(what, inputs, positions, preprocessed(rest, images))

    def _made(
        self,
        positions: NDArray[np.int64],
        epoch: int | None,
        turns: NDArray[np.int64] | None = None,
        keys: NDArray[np.int64] | None = None,
    ) -> tuple[Images, Pipeline]:
        """The images with the steps done that each needs by itself, and the pipeline for all of them together."""
        if not self.augment:
            return self._read(positions, Pipeline((*self.before.ops, *self.pipeline.ops)), keys)
        images, before = self._read(positions, self.before, keys)
        now = self.epoch if epoch is None else epoch
        again = np.zeros(len(positions), np.int64) if turns is None else turns
        made = [
            self._augmented(before(image), now, at, turn)
            for image, at, turn in zip(images, positions.tolist(), again.tolist(), strict=True)
        ]
        return made, self.pipeline

    def _augmented(self, image: NDArray[Any], epoch: int, position: int, turn: int) -> NDArray[Any]:
        patch = (0, 0) if self.cutting is None else tuple(self.cutting.places[position].tolist())
        generator = np.random.default_rng([self.seed, epoch, int(self.keys[position]), *patch, turn])
        try:
            for augmentation in self.augment:
                for op in augmentation.draw(generator, image.shape):
                    image = run_op(op, image)
        except OdinError as error:
            raise type(error)(f"Image of key {self.keys[position]}: {error}") from error
        return image

    def _read(
        self, positions: NDArray[np.int64], pipeline: Pipeline, keys: NDArray[np.int64] | None = None
    ) -> tuple[Images, Pipeline]:
        """Read images; returns them and the rest of the pipeline: a cut at its beginning is done by reading."""
        keys = self.keys[positions] if keys is None else keys
        if self._pixels is None or self._process != os.getpid():
            self._pixels = self._open(self.address)
            if self._run is not None:
                self._runs = Runs(self._pixels, np.sort(self.keys), self._run, self._kept_runs)
            self._process = os.getpid()
        array = self._pixels
        if self.cutting is not None:
            return self.cutting.read(array, self.keys, positions), pipeline
        if cuts(pipeline.ops):
            return read_cut(array, keys, pipeline.ops[0]), Pipeline(pipeline.ops[1:])
        if self._runs is not None:
            return self._runs.read_list(keys), pipeline
        return array.read_together(keys), pipeline

    def _transformed(self, tensor: Tensor) -> Tensor:
        return tensor if self.transform is None else self.transform(tensor)

    def _target(self, position: int) -> Any:
        target = self.targets[position]
        if isinstance(target, np.ndarray):
            return torch.from_numpy(target)
        return target.item() if isinstance(target, np.generic) else target
