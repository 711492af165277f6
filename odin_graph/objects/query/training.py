"""From a query to torch, NumPy and Hugging Face data sets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.inputs.inputs import Inputs, plan_inputs
from odin_graph.catalog.models.models import model_of
from odin_graph.checked import checked_calls
from odin_graph.client import Session, pixels_at
from odin_graph.errors import DataError, QueryError
from odin_graph.objects.query.huggingface import huggingface_of
from odin_graph.objects.query.pixels_out import Batch, Read, batches
from odin_graph.runtime.pixels.runs import image_bytes_of, lanes_of, run_of
from odin_graph.runtime.training.epochs import Epochs, balanced
from odin_graph.runtime.training.torch_data import torch_dataset
from odin_graph.schema.several import read_numbers

if TYPE_CHECKING:
    import datasets
    from torch import Tensor

    from odin_graph.ops import ImageOp
    from odin_graph.runtime.derive.patching import Cutting
    from odin_graph.runtime.training.loader import Loader
    from odin_graph.runtime.training.stream import PixelStream
    from odin_graph.runtime.training.torch_dataset import PixelDataset


@checked_calls
class Training(ABC):
    """Mixed into queries, and into what operations make of them."""

    @property
    @abstractmethod
    def _session(self) -> Session: ...

    @abstractmethod
    def _columns(self, *names: str) -> pa.Table:
        """``key`` and these fields of the images, in the query's order."""

    @abstractmethod
    def _reader(self, table: pa.Table) -> Read:
        """Gives the pixels of rows of such a table, which has the ids too, with the operations done."""

    @abstractmethod
    def _operations(self) -> tuple[ImageOp, ...]: ...

    def _cut(self) -> Cutting | None:
        """How the images are cut, if they are patches of others."""
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
        """A map-style torch data set: (bands, h, w) float32 and the target of each image, in the order of the query.

        If an input of the model is several images, each item is an input, as the model takes it, and its label.

        It can be pickled. Its workers may be forked or spawned, and read a whole batch at once (`__getitems__`).

        Args:
            model: A model or its id. Its preprocessing is applied, and targets are indexes into its classes. Without a
                model, the values are not scaled.
            classes: The order of the class indexes, if there is no model; by default the sorted labels.
            augment: Augmentations (``og.ops.RandomApply("flip", p=0.5)``), drawn for each image and epoch; see
                `set_epoch`.
            transform: A function of your own, applied to each tensor.
            seed: The seed of the augmentations.
        """
        table = self._columns("label")
        record = None if model is None else self._session.ask(model_of, str(getattr(model, "id", model)))
        inputs: Inputs | None = None
        if record is not None and Input.from_text(record.input).several:
            inputs = self._session.ask(plan_inputs, record.input, table.column("key").to_pylist(), record.id)
            inputs.warn(f"{record.id} from {self!r}")
        return torch_dataset(
            self._session.address,
            table.column("key").to_numpy(),
            table.column("label"),
            open_pixels=pixels_at,
            model=record,
            classes=classes,
            transform=transform,
            operations=self._operations(),
            cutting=self._cut(),
            augment=augment,
            seed=seed,
            inputs=inputs,
        )

    def to_stream(self, /, *, seed: int = 0, mixed_bytes: int | None = None, **options: Any) -> PixelStream:
        """A shuffled, iterable torch data set for data larger than memory. It reads the disk in long runs of images.

        Adjacent runs are drawn in random order, and the images of several runs are mixed in memory.

        Args:
            seed: The seed of the order; `set_epoch` gives a new order in each epoch.
            mixed_bytes: Bytes of pixels that are mixed at once. The default depends on the memory of the machine, and
                is at most 256 MiB.
            options: See `to_torch`.
        """
        from odin_graph.runtime.training.stream import PixelStream

        self._check_streamed()
        data = self.to_torch(seed=seed, **options)
        _refuse_several(data)
        length, mixed = run_of(self._session.ask(image_bytes_of), mixed_bytes)
        epochs = Epochs(keys=data.keys, batch_size=_AT_ONCE, seed=seed, block=length, mixed=mixed)
        return PixelStream(data.in_runs(length, mixed + 1), epochs)

    def loader(
        self,
        /,
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
        """Batches for training: (n, bands, h, w) float32 and targets. Iterate over it once in each epoch.

        If an input of the model is several images, a batch is of inputs, in the layout that the model takes.

        The same seed gives the same batches, for any number of workers. ``state_dict`` and ``load_state_dict`` continue
        after any batch. ``run.loader(...)`` does the same and records it.

        Args:
            batch_size: Images in a batch.
            shuffle: Use a new order in each epoch; False keeps the order of the query.
            seed: The seed of order and augmentations.
            weights: ``"balanced"`` makes every class equally likely. The name of a numeric field, or one number for
                each image, gives the relative frequency of each image. Images are then drawn with replacement. Of an
                input of several images, the field of its first image counts.
            stream: Read the disk in long runs, for data larger than memory; see `to_stream`.
            drop_last: Leave out the last batch if it is not full.
            workers: The number of processes that read ahead. It does not change the batches or their order.
            model: See `to_torch`, also for the next three.
            classes: The order of the class indexes.
            augment: Augmentations.
            transform: A function of your own, applied to each tensor.
            options: Options of torch's `DataLoader`, such as ``pin_memory=True``.

        Raises:
            DataError: There are no images, or the weights are not valid.
        """
        from odin_graph.runtime.training.loader import Loader

        data = self.to_torch(model=model, classes=classes, augment=augment, transform=transform, seed=seed)
        drawn: NDArray[np.float64] | None = None
        if isinstance(weights, str):
            drawn = balanced(data.targets) if weights == "balanced" else self._weights(weights, data.keys)
        elif weights is not None:
            drawn = read_numbers("weights", weights)
        if stream:
            self._check_streamed()
            _refuse_several(data)
        length, mixed = run_of(self._session.ask(image_bytes_of)) if stream else (None, 2)
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

    def batches(self, batch_size: int = 128, *, seed: int | None = None) -> Iterator[Batch]:
        """Batches of images with pixels, ids and labels. Only one batch of pixels is in memory.

        Args:
            batch_size: Images in a batch; the last batch may have fewer.
            seed: Shuffle with this seed. By default the images keep the order of the query.
        """
        table = self._columns("id", "label")
        return batches(self._reader(table), table, batch_size, seed=seed)

    def to_numpy(self) -> NDArray[Any]:
        """All pixels as one array (n, h, w, bands), in their own dtype.

        Raises:
            ShapeError: The images have different shapes or dtypes.
            DataError: The query selects no images.
        """
        table = self._columns("id", "label")
        if not table.num_rows:
            raise DataError(f"{self!r} selects no images, so there is no array to make.")
        (batch,) = batches(self._reader(table), table, table.num_rows)
        return batch.stack()

    def to_huggingface(self, /, *fields: str, batch_size: int = 256) -> datasets.Dataset:
        """A `datasets.Dataset` with ``image``, ``id``, ``label`` and more fields, in the order of the query.

        8-bit gray or RGB images get the feature `Image`, with lossless encoding. Other images become arrays of their
        own dtype, if all have the same shape. String labels become `ClassLabel`. The data is written batch by batch,
        into the cache of `datasets`.

        Args:
            fields: More fields of the images.
            batch_size: The number of images in memory at once.

        Raises:
            MissingExtraError: The package `datasets` is not installed.
            ShapeError: Images that are neither 8-bit gray or RGB nor of one shape and dtype.
        """
        table = self._columns("id", "label", *fields)
        read = self._reader(table)
        return huggingface_of(lambda: batches(read, table, batch_size), table)

    def _check_streamed(self) -> None:
        if self._cut() is not None:
            raise QueryError("Patches must be stored before they can be streamed: .store(name).loader(stream=True).")

    def _weights(self, name: str, keys: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of these images, or of all, in the order of the query."""
        table = self._columns(name)
        if len(keys) != table.num_rows:  # of inputs of several images the first of each
            table = table.take(pc.index_in(pa.array(keys), table.column("key").combine_chunks()))
        column = table.column(name)
        if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
            raise QueryError(
                f'{name!r} is {column.type}, but weights must be numbers: give a numeric field, or "balanced".'
            )
        if column.null_count:
            raise DataError(
                f"{column.null_count} of {len(column)} images have no {name!r}, which is their weight: give them one."
            )
        return np.asarray(column.to_numpy(), np.float64)


def _refuse_several(data: PixelDataset) -> None:
    if data.several is not None:
        raise QueryError(
            f"stream=True draws images one by one, and the model takes {data.several[0]}: leave it out. The images of "
            "an input are read together."
        )


_AT_ONCE = 64
"""Images of a stream that are made together."""
