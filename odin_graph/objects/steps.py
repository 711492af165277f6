"""The steps of a query. Each gives a new query, checked when it is built."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import reduce
from operator import and_
from typing import Any, Self

import numpy as np

from odin_graph.catalog.images import keys_of
from odin_graph.errors import ExpressionError, QueryError
from odin_graph.query.embedding import layer_of
from odin_graph.query.expressions import Expr, as_node
from odin_graph.query.nodes import SortKey
from odin_graph.query.plan import Column, Nearest, OrderBy, Representative, Slice, Step, Where, WithColumns
from odin_graph.stores import Stores


class Steps(ABC):
    """Gives a query its steps."""

    @property
    @abstractmethod
    def _stores(self) -> Stores:
        """The open workspace."""

    @abstractmethod
    def _then(self, step: Step) -> Self:
        """The query with one step more, bound to the workspace."""

    def where(self, *predicates: Expr) -> Self:
        """Keep the images of which every predicate is true (not false, not unknown)."""
        if not predicates:
            raise QueryError('where() takes at least one condition, as in where(F("label") == "DME").')
        for predicate in predicates:
            if not isinstance(predicate, Expr):
                raise ExpressionError(f'where() takes expressions, as in F("label") == "DME", not {predicate!r:.80}.')
        return self._then(Where(reduce(and_, predicates).node))

    def order_by(self, *keys: Expr | SortKey) -> Self:
        """Order by the keys; ``.desc()`` turns one round. Ties go by the image's key, missing values come last."""
        return self._then(OrderBy(tuple(map(_sort_key, keys))))

    def limit(self, k: int) -> Self:
        """The first k images."""
        if isinstance(k, bool) or not isinstance(k, int) or k < 0:
            raise QueryError(f"limit() takes a number of images, not {k!r}.")
        return self._then(Slice(None, k))

    def with_columns(self, **columns: Expr) -> Self:
        """Add columns to what `to_arrow` and `to_pandas` give: ``with_columns(said=exp.predicted)``."""
        return self._then(WithColumns(tuple(Column(name, as_node(value)) for name, value in columns.items())))

    def nearest(self, to: Any, *, by: Any, k: int, metric: str = "cosine") -> Self:
        """The k nearest of these images, nearest first: exactly the k nearest that passed the steps so far.

        Args:
            to: An image, its id, or a vector of the layer's length. A stored image is not among its neighbours.
            by: A layer of an experiment. Vectors that are missing are computed.
            k: How many; fewer only if fewer are there.
            metric: ``cosine``, ``l2`` or ``inner-product``. The column ``distance`` holds it.
        """
        if isinstance(to, str) or hasattr(to, "key"):
            return self._then(Nearest(layer_of(by), k, image=int(keys_of(self._stores, [to])[0]), metric=metric))
        return self._then(Nearest(layer_of(by), k, vector=_vector(to), metric=metric))

    def representative(self, k: int, *, by: Any, seed: int = 0, method: str = "facility-location") -> Self:
        """At most k images that stand for these; the column ``stands_for`` says for how many each.

        Over a data set that the layer's experiment has predictions for, the images are chosen within each confused
        pair (truth, predicted), whose places are in proportion to its size. Deterministic.

        Args:
            k: How many.
            by: A layer of an experiment, whose vectors say what is alike. Those that are missing are computed.
            seed: For methods that draw by chance.
            method: A registered selection method.
        """
        return self._then(Representative(layer_of(by), k, seed, method))


def _sort_key(key: Expr | SortKey) -> SortKey:
    if isinstance(key, SortKey):
        return key
    if not isinstance(key, Expr):
        raise ExpressionError(f'order_by() takes expressions, as in F("age") or F("age").desc(), not {key!r:.80}.')
    return SortKey(key.node)


def _vector(given: Any) -> tuple[float, ...]:
    try:
        vector = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise QueryError(f"nearest() takes an image, its id, or a vector, not {given!r:.80}.") from error
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise QueryError(f"nearest() takes a vector of finite numbers, not an array of shape {vector.shape}.")
    return tuple(vector.tolist())
