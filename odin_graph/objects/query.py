"""`Query`: what ``db.images(...)`` returns. Immutable: every step gives a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
import pyarrow as pa

from odin_graph.address import Address
from odin_graph.catalog.pixels import ARRAY
from odin_graph.errors import PositionError, QueryError
from odin_graph.objects.image_verbs import QueryVerbs
from odin_graph.objects.operations import Operations
from odin_graph.objects.pixels_out import Read
from odin_graph.objects.steps import ImageSteps
from odin_graph.objects.training import Training
from odin_graph.ops import Patches
from odin_graph.query import wire
from odin_graph.query.bind import bind_columns, bind_plan, bind_step
from odin_graph.query.executor import LocalExecutor
from odin_graph.query.explain import Explanation
from odin_graph.query.expressions import Expr, F, as_node
from odin_graph.query.outline import outline
from odin_graph.query.plan import Column, Plan, Select, Slice, Step
from odin_graph.query.scope import Scope
from odin_graph.query.statement import Statement, to_cypher
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd

    from odin_graph.analysis.contact_sheet import ContactSheet
    from odin_graph.objects.derived import DerivedQuery
    from odin_graph.objects.image import Image
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

    address: Address
    plan: Plan
    _answer: list[tuple[Any, pa.Table]] = field(default_factory=list, init=False)
    """The last answer and the state of the graph that it is of: `len`, `explain` and a loop ask the same thing."""

    # Answers

    def count(self) -> int:
        """How many images there are."""
        held = self._held()
        return held.num_rows if held is not None else LocalExecutor(self._stores).count(self.plan)

    def __len__(self) -> int:
        return self.count()

    def keys(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The images' keys, in order."""
        keys: np.ndarray[Any, np.dtype[np.int64]] = self.run().column("key").to_numpy()
        return keys

    def run(self) -> pa.Table:
        """The answer as the plan gives it: ``key``, and the columns that its steps added."""
        now = self._stores.graph.moment()
        held = self._held(now.token)
        if held is None:
            held = pa.Table.from_batches(LocalExecutor(self._stores, now).execute(self.plan))
            self._answer[:] = [(now.token, held)]
        return held

    def to_arrow(self, *names: str, **columns: Expr) -> pa.Table:
        """The images as an Arrow table: key, id, label, the other fields, and the columns that steps added.

        Args:
            names: The image fields to give, all of them by default.
            columns: Further columns: ``to_arrow("id", said=exp.predicted)``.
        """
        scope = Scope(self._stores, self.plan)
        answer = self.run()
        every = () if self._selects else _in_order(scope.fields)
        wanted: dict[str, Expr] = {name: F(name) for name in names or every} | columns
        absent = {name: said for name, said in wanted.items() if name not in answer.column_names}
        if not absent:
            return answer
        add = bind_columns(scope, tuple(Column(name, as_node(said)) for name, said in absent.items()))
        table = LocalExecutor(self._stores).extend(self.plan, answer, add)
        return table.select(["key", *absent, *(name for name in answer.column_names if name != "key")])

    def to_pandas(self, *names: str, **columns: Expr) -> pd.DataFrame:
        """The same as a DataFrame."""
        frame: pd.DataFrame = self.to_arrow(*names, **columns).to_pandas()
        return frame

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

    # Elsewhere

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return wire.to_json(self.plan)

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

    def to_cypher(self) -> Statement:
        """One Cypher statement with its parameters that selects the same images.

        Raises:
            QueryError: A part of the query is not in the graph; says which and why.
        """
        return to_cypher(self.plan, Scope(self._stores, self.plan))

    def explain(self, *, run: bool = False) -> Explanation:
        """What runs on which engine, and why; with the actual rows and times if it is run."""
        return LocalExecutor(self._stores).explain(self.plan, run=run)

    def __repr__(self) -> str:
        return f"Query({outline(self.plan)})"

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

    @property
    def _stores(self) -> Stores:
        return Stores.at(self.address)

    def _then(self, step: Step) -> Self:
        return type(self)(self.address, self.plan.then(bind_step(self._stores, self.plan, step)))

    def _applied(self, op: ImageOp) -> DerivedQuery:
        from odin_graph.objects.derived import DerivedQuery

        return DerivedQuery(self, (op,))

    @property
    def _selects(self) -> bool:
        return any(isinstance(step, Select) for step in self.plan.steps)

    def _held(self, token: Any = None) -> pa.Table | None:
        if not self._answer:
            return None
        of, table = self._answer[0]
        return table if of == (token if token is not None else self._stores.graph.change_token()) else None


def _in_order(fields: Any) -> list[str]:
    first = [name for name in ("id", "label") if name in fields]
    return [*first, *sorted(name for name in fields if name not in {*first, "key"})]
