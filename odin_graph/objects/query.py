"""`Query`: what ``db.images(...)`` returns. Immutable: every step gives a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pyarrow as pa

from odin_graph.address import Address
from odin_graph.catalog.pixels import ARRAY
from odin_graph.deadline import deadline
from odin_graph.errors import PositionError, QueryError
from odin_graph.objects.image_verbs import QueryVerbs
from odin_graph.objects.operations import Operations
from odin_graph.objects.pixels_out import Read
from odin_graph.objects.steps import ImageSteps, wanted_columns
from odin_graph.objects.training import Training
from odin_graph.ops import Patches
from odin_graph.query import wire
from odin_graph.query.bind import bind_plan
from odin_graph.query.executor import BATCH, LocalExecutor
from odin_graph.query.expressions import Expr
from odin_graph.query.plan import Plan, Slice
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd

    from odin_graph.analysis.contact_sheet import ContactSheet
    from odin_graph.graph.moment import Moment
    from odin_graph.objects.derived import DerivedQuery
    from odin_graph.objects.image import Image
    from odin_graph.objects.neighbourhoods import Neighbourhoods
    from odin_graph.objects.patches import PatchQuery
    from odin_graph.ops import ImageOp
    from odin_graph.query.predictions import PredictionExpressions

_IMAGES_AT_ONCE = 1_024
"""Images whose fields are fetched together while iterating."""


@dataclass(frozen=True, eq=False, repr=False)
class Query(ImageSteps, QueryVerbs, Operations["DerivedQuery"], Training):
    """Images, selected and ordered. Nothing runs before an answer is asked for.

    Holds a workspace's address and a plan, never a connection: it pickles, and runs in another process.
    """

    _answer: list[tuple[Any, pa.Table]] = field(default_factory=list, init=False)
    """The last answer and the state of the graph that it is of: `len`, `explain` and a loop ask the same thing."""

    # Answers

    def count(self, *, timeout: float | None = None) -> int:
        """How many images there are; ``timeout`` is that of `run`."""
        held = self._held()
        return held.num_rows if held is not None else super().count(timeout=timeout)

    def keys(self, *, timeout: float | None = None) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The images' keys, in order; ``timeout`` is that of `run`."""
        keys: np.ndarray[Any, np.dtype[np.int64]] = self.run(timeout=timeout).column("key").to_numpy()
        return keys

    def run(self, *, timeout: float | None = None) -> pa.Table:
        """The answer as the plan gives it: ``key``, and the columns that its steps added.

        Args:
            timeout: Seconds after which it is given up, at the engine as well.

        Raises:
            TimeLimitError: The time was over.
        """
        with deadline(timeout):
            return self._run()[0]

    def to_arrow(self, *names: str, timeout: float | None = None, **columns: Expr) -> pa.Table:
        """The images as an Arrow table: key, id, label, the other fields, and the columns that steps added.

        Args:
            names: The image fields to give, all of them by default.
            timeout: That of `run`.
            columns: Further columns: ``to_arrow("id", said=exp.predicted)``.
        """
        with deadline(timeout):
            answer, at = self._run()
            executor = LocalExecutor(self._stores, at, answer)
            return pa.Table.from_batches(executor.columns(self.plan, wanted_columns(names, columns)))

    def to_pandas(self, *names: str, timeout: float | None = None, **columns: Expr) -> pd.DataFrame:
        """The same as a DataFrame."""
        frame: pd.DataFrame = self.to_arrow(*names, timeout=timeout, **columns).to_pandas()
        return frame

    def to_batches(
        self, *names: str, rows: int = BATCH, timeout: float | None = None, **columns: Expr
    ) -> Iterator[pa.RecordBatch]:
        """The same as `to_arrow` in batches, all of one moment, of which one is held at a time.

        Args:
            names: The image fields to give, all of them by default.
            rows: Of a batch at most.
            timeout: That of `run`, of each batch.
            columns: Further columns.
        """
        if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
            raise QueryError(f"to_batches() takes a number of rows, at least 1, not {rows!r}.")
        batches = self._executor.columns(self.plan, wanted_columns(names, columns), rows)
        while True:
            with deadline(timeout):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def __iter__(self) -> Iterator[Image]:
        from odin_graph.objects.image import Image

        for batch in self.run().to_batches(max_chunksize=_IMAGES_AT_ONCE):
            yield from Image.of_keys(self._stores, batch.column("key").to_numpy())

    @overload
    def __getitem__(self, item: int) -> Image: ...
    @overload
    def __getitem__(self, item: slice) -> Query: ...
    def __getitem__(self, item: int | slice) -> Image | Query:
        if isinstance(item, slice):
            return self._then(Slice(item.start, item.stop, 1 if item.step is None else item.step))
        found = list(self._then(Slice(item, item + 1 or None)))
        if not found:
            raise PositionError(f"There is no image at position {item}: the query has {self.count():,}.")
        return found[0]

    def sheet(self, *, predictions: PredictionExpressions | None = None, title: str | None = None) -> ContactSheet:
        """The images on one sheet, with truth, prediction and confidence, and what the steps added.

        Args:
            predictions: The experiment whose predictions stand below the images; by default the one that the query
                speaks of first.
            title: Stands above them; by default the query and its count.
        """
        from odin_graph.objects.pictures import sheet_of

        return sheet_of(self, predictions, title)

    def show(self, **how: Any) -> None:
        """Display the contact sheet; the options are those of `sheet`."""
        self.sheet(**how).show()

    def save(self, path: str | Path, **how: Any) -> Path:
        """Write the contact sheet as .png, .pdf, .svg or .jpg; the options are those of `sheet`."""
        return self.sheet(**how).save(path)

    @overload
    def map(
        self,
        function: Callable[[Any], Any],
        name: None = None,
        *,
        by: str | None = None,
        processes: int = 0,
        progress: bool = True,
    ) -> pd.Series: ...
    @overload
    def map(
        self,
        function: Callable[[Any], Any],
        name: str,
        *,
        by: str | None = None,
        processes: int = 0,
        progress: bool = True,
    ) -> pd.Series | Query: ...
    def map(
        self,
        function: Callable[[Any], Any],
        name: str | None = None,
        *,
        by: str | None = None,
        processes: int = 0,
        progress: bool = True,
    ) -> pd.Series | Query:
        """Run a function of your own over the images, on all cores, and give its values by image id.

        With a name, values are stored as metadata of that name, and pixels, (h, w) or (h, w, bands), as images
        ``PARENT_ID#name`` that are DERIVED_FROM theirs, with the digest of the function's source; their query is what
        comes back then. A function of pixels alone is an operation, and lazy: ``query.apply(function)``.

        Args:
            function: Takes an `Image`; with ``by``, the list of images of a group.
            name: Of the metadata, or of the images.
            by: A field. The function is called once for each of its values, and with a name every image of the group
                gets what it says.
            processes: Run it in so many processes: a function in pure Python takes one core on threads, however many.
            progress: Show a bar.

        Raises:
            DataError: The function failed; names the image or group.
            MetadataError: The values are no metadata, or of another type than is recorded.
        """
        from odin_graph.objects.mapping import map_groups, map_images

        if by is not None:
            return map_groups(self, function, name, by, progress)
        return map_images(self, function, name, processes, progress)

    def neighbourhoods(self, to: Any, *, a: Any, b: Any, k: int, metric: str = "cosine") -> Neighbourhoods:
        """The k nearest of these images under A against those under B; the other arguments are those of `nearest`."""
        from odin_graph.objects.neighbourhoods import Neighbourhoods

        near = (self.nearest(to, by=by, k=k, metric=metric) for by in (a, b))
        return Neighbourhoods(*near)

    # Elsewhere

    @classmethod
    def from_json(cls, address: Address, data: Any) -> Query:
        """The query of a JSON object, checked against the workspace as if it were written here."""
        if isinstance(data, dict) and "operations" in data:
            raise QueryError("The query has operations: DerivedQuery.from_json reads it.")
        plan = bind_plan(Stores.at(address), wire.from_json(data))
        if plan.grouped:
            raise QueryError("The rows of the query are groups: Groups.from_json reads it.")
        if plan.kind != "Image":
            raise QueryError(f"The query is of {plan.kind}s: ThingQuery.from_json reads it.")
        return cls(address, plan)

    def _repr_html_(self) -> str:
        from odin_graph.objects.pictures import html_of

        return html_of(self, ran=self._held() is not None)

    def patches(
        self,
        size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        *,
        edge: Literal["drop", "shift", "pad"] = "drop",
        value: float = 0,
    ) -> PatchQuery:
        """Patches of each image, lazy as every operation; see `odin_graph.ops.Patches`.

        Of a huge image nothing but the patches is read. ``query.resize(512).patches(128).to_grey()`` has operations on
        both sides.
        """
        from odin_graph.objects.patches import PatchQuery

        return PatchQuery(self, (), Patches(size, stride, edge, value))

    def _columns(self, *names: str) -> pa.Table:
        return self.to_arrow(*names)

    def _reader(self, table: pa.Table) -> Read:
        keys, array = table.column("key").to_numpy(), self._stores.columns.array(ARRAY)
        return lambda at: array.read_list(keys[at])

    def _operations(self) -> tuple[ImageOp, ...]:
        return ()

    def __getstate__(self) -> tuple[Address, Plan]:
        return self.address, self.plan

    def __setstate__(self, state: tuple[Address, Plan]) -> None:
        for name, value in zip(("address", "plan", "_answer"), (*state, []), strict=True):
            object.__setattr__(self, name, value)

    def _applied(self, op: ImageOp) -> DerivedQuery:
        from odin_graph.objects.derived import DerivedQuery

        return DerivedQuery(self, (op,))

    def _run(self) -> tuple[pa.Table, Moment]:
        """The answer, run unless it is held, and the moment that it is of."""
        now = self._stores.graph.moment()
        held = self._held(now.token)
        if held is None:
            held = pa.Table.from_batches(LocalExecutor(self._stores, now).execute(self.plan))
            self._answer[:] = [(now.token, held)]
        return held, now

    def _held(self, token: Any = None) -> pa.Table | None:
        if not self._answer:
            return None
        of, table = self._answer[0]
        return table if of == (token if token is not None else self._stores.graph.change_token()) else None
