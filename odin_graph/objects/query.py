"""`Query`: what ``db.images(...)`` returns. Immutable: every step gives a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from html import escape
from operator import and_
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa

from odin_graph.address import Address
from odin_graph.catalog.images import keys_of
from odin_graph.errors import ExpressionError, PositionError, QueryError
from odin_graph.query import wire
from odin_graph.query.bind import bind_plan, bind_step
from odin_graph.query.executor import LocalExecutor
from odin_graph.query.explain import Explanation
from odin_graph.query.expressions import Expr, F, as_node
from odin_graph.query.nodes import SortKey
from odin_graph.query.outline import outline
from odin_graph.query.plan import (
    Column,
    Nearest,
    OrderBy,
    Plan,
    Representative,
    Slice,
    Step,
    Where,
    WithColumns,
)
from odin_graph.query.scope import Scope
from odin_graph.query.statement import Statement, to_cypher
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from odin_graph.objects.image import Image
    from odin_graph.runtime.torch_dataset import PixelDataset

_IMAGES_AT_ONCE = 1_024
"""Images whose fields are fetched together while iterating."""
_SHOWN = 10
"""Rows of a notebook's display."""


@dataclass(frozen=True, eq=False, repr=False)
class Query:
    """Images, selected and ordered. Nothing runs before an answer is asked for.

    Holds a workspace's address and a plan, never a connection: it pickles, and runs in another process.
    """

    address: Address
    plan: Plan
    _answer: list[tuple[Any, pa.Table]] = field(default_factory=list, init=False)
    """The last answer and the state of the graph that it is of: `len`, `explain` and a loop ask the same thing."""

    # Steps

    def where(self, *predicates: Expr) -> Query:
        """Keep the images of which every predicate is true (not false, not unknown)."""
        if not predicates:
            raise QueryError('where() takes at least one condition, as in where(F("label") == "DME").')
        for predicate in predicates:
            if not isinstance(predicate, Expr):
                raise ExpressionError(f'where() takes expressions, as in F("label") == "DME", not {predicate!r:.80}.')
        return self._then(Where(reduce(and_, predicates).node))

    def order_by(self, *keys: Expr | SortKey) -> Query:
        """Order by the keys; ``.desc()`` turns one round. Ties go by the image's key, missing values come last."""
        return self._then(OrderBy(tuple(map(_sort_key, keys))))

    def limit(self, k: int) -> Query:
        """The first k images."""
        if isinstance(k, bool) or not isinstance(k, int) or k < 0:
            raise QueryError(f"limit() takes a number of images, not {k!r}.")
        return self._then(Slice(None, k))

    def with_columns(self, **columns: Expr) -> Query:
        """Add columns to what `to_arrow` and `to_pandas` give: ``with_columns(said=exp.predicted)``."""
        return self._then(WithColumns(tuple(Column(name, as_node(value)) for name, value in columns.items())))

    def nearest(self, to: Any, *, by: Any, k: int, metric: str = "cosine") -> Query:
        """The k nearest of these images, nearest first: exactly the k nearest that passed the steps so far.

        Args:
            to: An image, its id, or a vector of the layer's length. A stored image is not among its neighbours.
            by: A layer of an experiment. Vectors that are missing are computed.
            k: How many; fewer only if fewer are there.
            metric: ``cosine``, ``l2`` or ``inner-product``. The column ``distance`` holds it.
        """
        from odin_graph.query.embedding import layer_of

        if isinstance(to, str) or hasattr(to, "key"):
            return self._then(Nearest(layer_of(by), k, image=int(keys_of(self._stores, [to])[0]), metric=metric))
        return self._then(Nearest(layer_of(by), k, vector=_vector(to), metric=metric))

    def representative(self, k: int, *, by: Any, seed: int = 0, method: str = "facility-location") -> Query:
        """At most k images that stand for these; the column ``stands_for`` says for how many each.

        Over a data set that the layer's experiment has predictions for, the images are chosen within each confused
        pair (truth, predicted), whose places are in proportion to its size. Deterministic.

        Args:
            k: How many.
            by: A layer of an experiment, whose vectors say what is alike. Those that are missing are computed.
            seed: For methods that draw by chance.
            method: A registered selection method.
        """
        from odin_graph.query.embedding import layer_of

        return self._then(Representative(layer_of(by), k, seed, method))

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
        token = self._stores.graph.change_token()
        held = self._held(token)
        if held is None:
            held = pa.Table.from_batches(LocalExecutor(self._stores).execute(self.plan))
            self._answer[:] = [(token, held)]
        return held

    def to_arrow(self, *names: str) -> pa.Table:
        """The images as an Arrow table: key, id, label, the other fields, and the columns that steps added.

        Args:
            names: The image fields to give, all of them by default.
        """
        scope = Scope(self._stores, self.plan)
        added = self.run()
        wanted = names or _in_order(scope.image_fields)
        absent = [name for name in wanted if name not in added.column_names]
        if not absent:
            return added
        add = WithColumns(tuple(Column(name, scope.value(F(name).node)) for name in absent))
        table = LocalExecutor(self._stores).extend(self.plan, added, add)
        return table.select(["key", *absent, *(name for name in added.column_names if name != "key")])

    def to_pandas(self, *names: str) -> pd.DataFrame:
        """The same as a DataFrame."""
        frame: pd.DataFrame = self.to_arrow(*names).to_pandas()
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

    def to_torch(
        self,
        *,
        model: Any = None,
        classes: Sequence[str | int] | None = None,
        transform: Callable[[Tensor], Tensor] | None = None,
    ) -> PixelDataset:
        """A map-style torch data set: (bands, h, w) float32 and the target of each image, in the query's order.

        It pickles, and its workers may fork or be spawned.

        Args:
            model: A model or its id: its preprocessing is applied, and targets are indexes into its classes.
                Without one the values are unscaled.
            classes: The order of the class indexes, where there is no model; by default the labels, sorted.
            transform: Applied to each tensor, such as an augmentation.
        """
        from odin_graph.query.torch_data import torch_dataset

        table = self.to_arrow("label")
        said = None if model is None else str(getattr(model, "id", model))
        keys = table.column("key").to_numpy()
        return torch_dataset(
            self._stores, keys, table.column("label"), model=said, classes=classes, transform=transform
        )

    # Elsewhere

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return wire.to_json(self.plan)

    @classmethod
    def from_json(cls, address: Address, data: Any) -> Query:
        """The query of a JSON object, checked against the workspace as if it were written here."""
        return cls(address, bind_plan(Stores.at(address), wire.from_json(data)))

    def to_cypher(self) -> Statement:
        """One Cypher statement with its parameters that selects the same images.

        Raises:
            QueryError: A part of the query is not in the graph; says which and why.
        """
        return to_cypher(self.plan, Scope(self._stores, self.plan).prediction_set)

    def explain(self, *, run: bool = False) -> Explanation:
        """What runs on which engine, and why; with the actual rows and times if it is run."""
        return LocalExecutor(self._stores).explain(self.plan, run=run)

    def __repr__(self) -> str:
        return f"Query({outline(self.plan)})"

    def _repr_html_(self) -> str:
        said = f"<code>{escape(outline(self.plan))}</code>"
        if any(isinstance(step, Nearest | Representative) for step in self.plan.steps) and self._held() is None:
            return f"{said}<br>not run yet"  # a display never starts a model
        rows = self[:_SHOWN].to_pandas().to_html(index=False, border=0)
        return f"{said}<br>{self.count():,} images{rows}"

    def __getstate__(self) -> tuple[Address, Plan]:
        return self.address, self.plan

    def __setstate__(self, state: tuple[Address, Plan]) -> None:
        for name, value in zip(("address", "plan", "_answer"), (*state, []), strict=True):
            object.__setattr__(self, name, value)

    @property
    def _stores(self) -> Stores:
        return Stores.at(self.address)

    def _then(self, step: Step) -> Query:
        return Query(self.address, self.plan.then(bind_step(self._stores, self.plan, step)))

    def _held(self, token: Any = None) -> pa.Table | None:
        if not self._answer:
            return None
        of, table = self._answer[0]
        return table if of == (token if token is not None else self._stores.graph.change_token()) else None


def _sort_key(key: Expr | SortKey) -> SortKey:
    if isinstance(key, SortKey):
        return key
    if not isinstance(key, Expr):
        raise ExpressionError(f'order_by() takes expressions, as in F("age") or F("age").desc(), not {key!r:.80}.')
    return SortKey(key.node)


def _in_order(fields: Any) -> list[str]:
    first = [name for name in ("id", "label") if name in fields]
    return [*first, *sorted(name for name in fields if name not in {*first, "key"})]


def _vector(given: Any) -> tuple[float, ...]:
    try:
        vector = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise QueryError(f"nearest() takes an image, its id, or a vector, not {given!r:.80}.") from error
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise QueryError(f"nearest() takes a vector of finite numbers, not an array of shape {vector.shape}.")
    return tuple(vector.tolist())
