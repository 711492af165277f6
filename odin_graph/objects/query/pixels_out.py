"""Pixels out of a query as NumPy arrays: all at once, or in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arguments import check_seed, whole
from odin_graph.errors import DataError, ShapeError

Read: TypeAlias = Callable[[NDArray[np.int64]], Sequence[NDArray[Any]]]
"""Rows of a table of images in, pixels (h, w, bands) out."""


@dataclass(frozen=True, eq=False, repr=False)
class Batch:
    """Some images of a query."""

    keys: NDArray[np.int64]
    """(n,)"""
    ids: tuple[str, ...]
    labels: tuple[Any, ...]
    """For a data set, the frozen labels."""
    images: tuple[NDArray[Any], ...]
    """Each (h, w, bands), in its own dtype."""

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        shapes = {(image.shape, str(image.dtype)) for image in self.images}
        kind = f"{next(iter(shapes))[0]} {next(iter(shapes))[1]}" if len(shapes) == 1 else f"{len(shapes)} kinds"
        return f"Batch({len(self):,} images of {kind}, first {', '.join(self.ids[:3]) or 'none'})"

    def stack(self) -> NDArray[Any]:
        """All as one array (n, h, w, bands).

        Raises:
            ShapeError: They have different shapes or dtypes.
        """
        kinds = {(image.shape, str(image.dtype)) for image in self.images}
        if len(kinds) > 1:
            listed = ", ".join(f"{shape} {dtype}" for shape, dtype in sorted(kinds)[:3])
            raise ShapeError(
                f"Images of {len(kinds)} kinds cannot be one array ({listed} ...): use query.batches(...)."
            )
        return np.stack(self.images)


def batches(read: Read, table: pa.Table, batch_size: int, *, seed: int | None = None) -> Iterator[Batch]:
    """Images, so many at once.

    Args:
        read: Gives the pixels of rows of the table.
        table: ``key``, ``id`` and ``label`` of each, in their order.
        batch_size: Images a batch; the last may have fewer.
        seed: Shuffle them; the same seed shuffles alike.

    Raises:
        DataError: A size below 1, or what is no seed.
    """
    if (number := whole(batch_size)) is None or number < 1:
        raise DataError(f"A batch cannot have {batch_size!r:.80} images: give 1 or more.")
    if seed is not None:
        check_seed(seed)
    return _batches(read, table, number, seed)


def _batches(read: Read, table: pa.Table, size: int, seed: int | None) -> Iterator[Batch]:
    order = np.arange(table.num_rows) if seed is None else np.random.default_rng(seed).permutation(table.num_rows)
    for first in range(0, len(order), size):
        rows = order[first : first + size]
        part = table.take(rows)
        yield Batch(
            part.column("key").to_numpy(),
            tuple(part.column("id").to_pylist()),
            tuple(part.column("label").to_pylist()),
            tuple(read(rows)),
        )
