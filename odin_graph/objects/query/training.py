"""Images out of a query: into torch, NumPy and Hugging Face's data sets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.errors import DataError, QueryError
from odin_graph.objects.query.pixels_out import Batch, Read, batches
from odin_graph.runtime.pixels.runs import lanes_of, run_of
from odin_graph.runtime.training.epochs import Epochs, balanced
from odin_graph.runtime.training.torch_data import torch_dataset
from odin_graph.schema.several import in_order
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import datasets
    from torch import Tensor

    from odin_graph.ops import ImageOp
    from odin_graph.runtime.derive.patching import Cutting
    from odin_graph.runtime.training.loader import Loader
    from odin_graph.runtime.training.stream import PixelStream
    from odin_graph.runtime.training.torch_dataset import PixelDataset


class Training(ABC):
    """Mixed into queries, and into what operations make of them."""

    @property
    @abstractmethod
    def _stores(self) -> Stores: ...

    @abstractmethod
    def _columns(self, *names: str) -> pa.Table:
        """``key`` and these fields of the images, in the query's order."""

    @abstractmethod
    def _reader(self, table: pa.Table) -> Read:
        """Gives the pixels of rows of such a table, which has the ids too, with the operations done."""

    @abstractmethod
    def _operations(self) -> tuple[ImageOp, ...]: ...

    def _cut(self) -> Cutting | None:
        """Where the images are patches of others."""
        return None

    def to_torch(
        self,
        *,
        model: Any = None,
        classes: Sequence[str | int | bool] | None = None,
        augment: Iterable[Any] = (),
        transform: Callable[[Tensor], Tensor] | None = None,
        seed: int = 0,
    ) -> PixelDataset:
        """A map-style torch data set: (bands, h, w) float32 and the target of each image, in the query's order.

        It pickles, and its workers may fork or be spawned; with `__getitems__` they read a batch at once.

        Args:
            model: A model or its id: its preprocessing is applied, and targets are indexes into its classes.
                Without one the values are unscaled.
            classes: The order of the class indexes, where there is no model; by default the labels, sorted.
            augment: Augmentations (``og.ops.Vary("flip", p=0.5)``), drawn for each image and epoch; see `set_epoch`.
            transform: A function of your own, applied to each tensor.
            seed: Of the augmentations.
        """
        table = self._columns("label")
        return torch_dataset(
            self._stores,
            table.column("key").to_numpy(),
            table.column("label"),
            model=None if model is None else str(getattr(model, "id", model)),
            classes=classes,
            transform=transform,
            operations=self._operations(),
            cutting=self._cut(),
            augment=augment,
            seed=seed,
        )

    def to_stream(self, *, seed: int = 0, mixed_bytes: int | None = None, **options: Any) -> PixelStream:
        """An iterable torch data set, shuffled, for data larger than memory: the disk is read in runs of images.

        Runs that lie side by side are drawn in random order, and the images of some of them are mixed in memory.

        Args:
            seed: Of the order; `set_epoch` gives another order each epoch.
            mixed_bytes: Pixels that are mixed at once; by default by the machine's memory, 256 MiB at most.
            options: Those of `to_torch`.
        """
        from odin_graph.runtime.training.stream import PixelStream

        self._check_streamed()
        data = self.to_torch(seed=seed, **options)
        length, mixed = run_of(self._stores, mixed_bytes)
        epochs = Epochs(keys=data.keys, batch_size=_AT_ONCE, seed=seed, block=length, mixed=mixed)
        return PixelStream(data.in_runs(length, mixed + 1), epochs)

    def loader(
        self,
        batch_size: int = 128,
        *,
        shuffle: bool = True,
        seed: int = 0,
        weights: str | Sequence[float] | NDArray[Any] | None = None,
        stream: bool = False,
        drop_last: bool = False,
        workers: int = 0,
        model: Any = None,
        classes: Sequence[str | int | bool] | None = None,
        augment: Iterable[Any] = (),
        transform: Callable[[Tensor], Tensor] | None = None,
        **options: Any,
    ) -> Loader:
        """Batches for a training: (n, bands, h, w) float32 and targets; iterate over it once an epoch.

        The same batches come for the same seed, whatever the workers, and ``state_dict`` / ``load_state_dict`` go on
        at any of them. ``run.loader(...)`` does the same and records it.

        Args:
            batch_size: Images a batch.
            shuffle: In another order each epoch; False keeps the query's.
            seed: Of order and augmentations.
            weights: ``"balanced"`` makes every class equally likely; the name of a numeric field, or a number an
                image, says how often each comes. Images are then drawn with replacement.
            stream: Read the disk in runs, for data larger than memory; see `to_stream`.
            drop_last: Leave out a last batch that is not full.
            workers: Processes that read ahead; they decide nothing about what comes, or in which order.
            model: As for `to_torch`, and so are the next three.
            classes: The order of the class indexes.
            augment: Augmentations.
            transform: A function of your own, applied to each tensor.
            options: Of torch's `DataLoader`, such as ``pin_memory=True``.

        Raises:
            DataError: No image, or weights that are none.
        """
        from odin_graph.runtime.training.loader import Loader

        data = self.to_torch(model=model, classes=classes, augment=augment, transform=transform, seed=seed)
        drawn: NDArray[np.float64] | None = None
        if isinstance(weights, str):
            drawn = balanced(data.targets) if weights == "balanced" else self._weights(weights)
        elif weights is not None:
            drawn = np.asarray(in_order("weights", weights), np.float64)
        if stream:
            self._check_streamed()
        length, mixed = run_of(self._stores) if stream else (None, 2)
        lanes = lanes_of(mixed) if stream else 1
        epochs = Epochs(
            keys=data.keys,
            batch_size=batch_size,
            seed=seed,
            shuffle=shuffle,
            weights=drawn,
            block=length,
            mixed=mixed // lanes,
            lanes=lanes,
            drop_last=drop_last,
        )
        if length is not None:
            data = data.in_runs(length, mixed + lanes)
        return Loader(data, epochs, workers=workers, **options)

    def batches(self, size: int = 128, *, seed: int | None = None) -> Iterator[Batch]:
        """The images with pixels, ids and labels, so many at once; only a batch of pixels is held.

        Args:
            size: Images a batch; the last may have fewer.
            seed: Shuffle them; the same seed shuffles alike. By default the query's order.
        """
        table = self._columns("id", "label")
        return batches(self._reader(table), table, size, seed=seed)

    def to_numpy(self) -> NDArray[Any]:
        """All pixels as one array (n, h, w, bands), of the dtype that they came in.

        Raises:
            ShapeError: The images are of several shapes or dtypes.
            DataError: The query selects none.
        """
        table = self._columns("id", "label")
        if not table.num_rows:
            raise DataError(f"{self!r} selects no image, so there is no array to make.")
        (batch,) = batches(self._reader(table), table, table.num_rows)
        return batch.stack()

    def to_huggingface(self, *fields: str, batch_size: int = 256) -> datasets.Dataset:
        """A `datasets.Dataset` with ``image``, ``id``, ``label`` and further fields, in the query's order.

        Images of 8 bits in gray or RGB have the feature `Image`, losslessly encoded; any others of one shape are
        arrays of their own dtype. String labels are `ClassLabel`. It is written batch by batch, to its cache.

        Args:
            fields: Of the images.
            batch_size: Images that are held at once.

        Raises:
            MissingExtraError: The package `datasets` is not installed.
            ShapeError: Images that are neither 8-bit gray or RGB nor of one shape and dtype.
        """
        from odin_graph.objects.query.huggingface import huggingface_of

        table = self._columns("id", "label", *fields)
        read = self._reader(table)
        return huggingface_of(lambda: batches(read, table, batch_size), table)

    def _check_streamed(self) -> None:
        if self._cut() is not None:
            raise QueryError("Patches are streamed once they are stored: .store(name).loader(stream=True).")

    def _weights(self, name: str) -> NDArray[np.float64]:
        held = self._columns(name).column(name)
        if not (pa.types.is_integer(held.type) or pa.types.is_floating(held.type)):
            raise QueryError(f'{name!r} is {held.type}, and weights are numbers: give a numeric field, or "balanced".')
        if held.null_count:
            raise DataError(
                f"{held.null_count} of {len(held)} images have no {name!r} to be weighted by: give them one."
            )
        return np.asarray(held.to_numpy(), np.float64)


_AT_ONCE = 64
"""Images of a stream that are made together."""
