"""The answers of a query of images, local or from a server: counts, tables, batches, images, contact sheets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arguments import whole
from odin_graph.deadline import deadline
from odin_graph.errors import PositionError, QueryError
from odin_graph.objects.query.neighborhoods import Neighborhoods
from odin_graph.objects.query.pictures import html_of, sheet_of
from odin_graph.objects.query.row_steps import ImageSteps
from odin_graph.objects.query.steps import wanted_columns
from odin_graph.query.executor import BATCH
from odin_graph.query.expressions.expressions import Expr
from odin_graph.query.plan.steps.slice import Slice

if TYPE_CHECKING:
    from odin_graph.analysis.contact_sheet import ContactSheet, Scaling
    from odin_graph.objects.query.neighborhoods import Neighborhoods
    from odin_graph.query.expressions.predictions import PredictionExpressions

_IMAGES_AT_ONCE = 1_024
"""Images whose fields are fetched together while iterating."""


class Shown(Protocol):
    """What a sheet shows of one image."""

    @property
    def id(self) -> str:
        """The user's id."""
        ...

    @property
    def label(self) -> Any:
        """Today's truth."""
        ...

    @property
    def overview(self) -> NDArray[Any]:
        """The pixels for looking at."""
        ...


T = TypeVar("T", bound=Shown)


@dataclass(frozen=True, eq=False, repr=False)
class ImageAnswers(ImageSteps, ABC, Generic[T]):
    """The answers of a query of images; ``T`` is what it gives for one image."""

    def keys(self, *, timeout: float | None = None) -> NDArray[np.int64]:
        """The keys of the images, in order; for ``timeout`` see `run`."""
        keys: NDArray[np.int64] = self.run(timeout=timeout).column("key").to_numpy()
        return keys

    def run(self, *, timeout: float | None = None) -> pa.Table:
        """The plain answer of the plan: ``key``, and the columns that the steps added.

        Args:
            timeout: Seconds after which the query is stopped, also in the engine.

        Raises:
            TimeLimitError: It took longer than ``timeout``.
        """
        with deadline(timeout):
            return pa.Table.from_batches(self._executor.execute(self.plan))

    def to_batches(
        self, /, *names: str, batch_size: int = BATCH, timeout: float | None = None, **columns: Expr
    ) -> Iterator[pa.RecordBatch]:
        """The same as `to_arrow` in batches, all of one moment. Only one batch is in memory at a time.

        Args:
            names: The image fields to return; all by default.
            batch_size: The largest number of rows in a batch.
            timeout: For each batch; see `run`.
            columns: More columns.
        """
        if (number := whole(batch_size)) is None or not 0 < number < 2**31:
            raise QueryError(
                f"to_batches() takes a number of rows, 1 to 2147483647, not batch_size={batch_size!r:.80}."
            )
        batches = self._executor.columns(self.plan, wanted_columns(names, columns), number)
        while True:
            with deadline(timeout):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def __iter__(self) -> Iterator[T]:
        for batch in self.run().to_batches(max_chunksize=_IMAGES_AT_ONCE):
            yield from self._images_of(batch.column("key").to_numpy())

    @overload
    def __getitem__(self, item: int) -> T: ...
    @overload
    def __getitem__(self, item: slice) -> Self: ...
    def __getitem__(self, item: int | slice) -> T | Self:
        if isinstance(item, slice):
            return self._then(Slice.of(item))
        found = list(self._then(Slice.of(item)))
        if not found:
            raise PositionError(f"There is no image at position {item}: the query has {self.count():,}.")
        return found[0]

    def sheet(
        self,
        *,
        predictions: PredictionExpressions | None = None,
        title: str | None = None,
        scale: Scaling = "sheet",
    ) -> ContactSheet:
        """Draw the images on one sheet, with truth, prediction, confidence, and the columns that the steps added.

        8-bit images are shown as they are. Other images share one scale, which the sheet prints.

        Args:
            predictions: The experiment whose predictions are printed below the images; by default the first one in the
                query.
            title: The title; by default the query and its count.
            scale: ``image`` stretches each image with more than 8 bits separately.
        """
        return sheet_of(self, predictions, title, scale)

    def show(self, /, **how: Any) -> None:
        """Display the contact sheet; for the options see `sheet`."""
        self.sheet(**how).show()

    def save(self, /, path: str | Path, **how: Any) -> Path:
        """Write the contact sheet as .png, .pdf, .svg or .jpg; for the options see `sheet`."""
        return self.sheet(**how).save(path)

    def neighborhoods(self, to: Any, *, a: Any, b: Any, k: int, metric: str = "cosine") -> Neighborhoods[Self]:
        """Compare the k nearest images in space ``a`` with those in space ``b``; see `nearest`."""
        near = (self.nearest(to, by=by, k=k, metric=metric) for by in (a, b))
        return Neighborhoods(*near)

    def _repr_html_(self) -> str:
        return html_of(self, ran=self._ran())

    def _ran(self) -> bool:
        """Whether the answer is there already."""
        return False

    @abstractmethod
    def _images_of(self, keys: NDArray[np.int64]) -> Iterator[T]:
        """The images of these keys, in this order."""

    @abstractmethod
    def _displayed(self, table: pa.Table) -> list[NDArray[Any]]:
        """The pixels for looking at, of a table with ``key`` and ``id``."""
