"""Batches for a training, epoch after epoch: their order is of the seed, and any is a place to go on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from odin_graph.errors import DataError
from odin_graph.runtime.training.buffers import Buffers
from odin_graph.runtime.training.epochs import Drawn, Epochs
from odin_graph.runtime.training.torch_dataset import PixelDataset

Batch = tuple[Tensor, Any]


class Loader:
    """Iterate over it once in each epoch: batches of images (n, bands, h, w), float32, and their targets.

    The batches of an epoch, and their order, are the same for any number of workers. After a killed run,
    ``loader.load_state_dict(state)`` continues with exactly the remaining batches.

    Args:
        dataset: The images.
        epochs: Their order.
        workers: Processes that read ahead; 0 reads in this one.
        options: Of torch's `DataLoader`: pin_memory, multiprocessing_context, prefetch_factor ...
    """

    def __init__(self, dataset: PixelDataset, epochs: Epochs, *, workers: int = 0, **options: Any) -> None:
        if refused := sorted({"batch_size", "sampler", "batch_sampler", "shuffle", "collate_fn"} & set(options)):
            raise DataError(f"{', '.join(refused)}: the loader decides these itself; see its other arguments.")
        self.dataset, self.epochs = dataset, epochs
        self._workers, self._options = workers, options
        self._epoch, self._batch = 0, 0
        self._begin = 0
        self._buffers = Buffers()

    @property
    def epoch(self) -> int:
        """The next epoch, or the current one."""
        return self._epoch

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return len(self.epochs)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of an epoch. An epoch that was left starts again, unless a state was loaded."""
        begin, self._begin = self._begin, 0
        self._batch = begin
        plan = self.epochs.batches(self._epoch)[begin:]
        rows = _Batches(self.dataset, plan, self._epoch)
        for batch in DataLoader(rows, batch_size=None, num_workers=self._workers, **self._options):
            self._batch += 1
            yield self._widened(batch[0]), batch[1]
        self._epoch, self._batch = self._epoch + 1, 0

    def state_dict(self) -> dict[str, Any]:
        """Its position, for a checkpoint: plain numbers and a string."""
        return {"epoch": self._epoch, "batch": self._batch, "order": self._digest()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from the state of another loader, which may have had another number of workers.

        Raises:
            DataError: The state is of other images, or another batch size, seed or weights.
        """
        if set(state) != {"epoch", "batch", "order"}:
            raise DataError(f"{dict(state)!r:.80} is not a state of a loader: keep what state_dict() gives.")
        if state["order"] != self._digest():
            raise DataError(
                "The state is of a loader with other images, or another batch size, seed, order or weights: make the "
                "loader with the same arguments, or start again."
            )
        self._epoch = int(state["epoch"])
        self._batch = self._begin = int(state["batch"])
        if self._begin >= len(self):
            self._epoch, self._batch, self._begin = self._epoch + 1, 0, 0

    def describe(self) -> dict[str, Any]:
        """What decides what comes, as JSON has it: order, operations and augmentations."""
        return {**self.epochs.describe(), **self.dataset.describe()}

    def __repr__(self) -> str:
        order = self.epochs.describe()
        what = "images" if self.dataset.several is None else "inputs"
        return (
            f"Loader({order['images']:,} {what} in {len(self):,} batches of {order['batch_size']}, epoch {self._epoch})"
        )

    def _widened(self, inputs: Tensor) -> Tensor:
        """Pixels as float32: those that came as they are stored, (n, h, w, bands), are converted."""
        if inputs.dtype == torch.float32:
            return inputs
        made = self._buffers.as_tensor(inputs.numpy())
        return made.pin_memory() if inputs.is_pinned() else made

    def _digest(self) -> str:
        return hashlib.sha256(json.dumps(self.epochs.describe(), sort_keys=True).encode()).hexdigest()


class _Batches(Dataset[Batch]):
    """Whole batches as items, so that a worker makes one tensor and not one an image."""

    def __init__(self, dataset: PixelDataset, plan: list[Drawn], epoch: int) -> None:
        self._dataset, self._plan, self._epoch = dataset, plan, epoch

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, place: int) -> Batch:
        if not 0 <= place < len(self._plan):
            raise IndexError(place)
        positions, turns = self._plan[place]
        inputs, targets = self._dataset.packed(positions, epoch=self._epoch, turns=turns)
        # Narrow pixels are a quarter of their float32: the process that receives them converts them.
        return (torch.from_numpy(inputs) if isinstance(inputs, np.ndarray) else inputs), targets
