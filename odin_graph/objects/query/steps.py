"""The steps of a query. Each gives a new query, checked when it is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING, Any, Literal, Self

from odin_graph.address import Address, Remote
from odin_graph.client import executor_at
from odin_graph.deadline import deadline
from odin_graph.errors import ExpressionError, QueryError, RemoteError
from odin_graph.query.cypher.statement import Statement
from odin_graph.query.executor import Executor
from odin_graph.query.expressions.expressions import Expr, F, NamesUnits, as_node, unit_value
from odin_graph.query.expressions.nodes import Added, ImageField, PredictionField, SortKey
from odin_graph.query.names.examples import read_examples
from odin_graph.query.names.spaces import space_of
from odin_graph.query.plan import wire
from odin_graph.query.plan.outline import outline
from odin_graph.query.plan.plan import (
    Column,
    Combine,
    Distinct,
    FromVectors,
    Nearest,
    OrderBy,
    Plan,
    Representative,
    Sample,
    Select,
    Slice,
    Step,
    Where,
    WithColumns,
    whole,
)
from odin_graph.query.planner.explain import Explanation
from odin_graph.query.units.units import as_weights
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.objects.query.groups import Grouping, Groups


@dataclass(frozen=True, eq=False, repr=False)
class Steps:
    """What all queries have: a workspace's address, a plan, the steps that any rows take, and ways to look at it."""

    address: Address | Remote
    plan: Plan

    def where(self, *predicates: Expr) -> Self:
        """Keep the images of which every predicate is true (not false, not unknown)."""
        if not predicates:
            raise QueryError('where() takes at least one condition, as in where(F("label") == "DME").')
        for predicate in predicates:
            if not isinstance(predicate, Expr):
                raise ExpressionError(f'where() takes expressions, as in F("label") == "DME", not {predicate!r:.80}.')
        return self._then(Where(reduce(and_, predicates).node))

    def order_by(self, *keys: Expr | SortKey | NamesUnits) -> Self:
        """Order by the keys; ``.desc()`` turns one round. Ties go by the image's key, missing values come last."""
        return self._then(OrderBy(tuple(map(_sort_key, keys))))

    def limit(self, k: int) -> Self:
        """The first k images."""
        if (number := whole(k)) is None or number < 0:
            raise QueryError(f"limit() takes a number of images, not {k!r:.80}.")
        return self._then(Slice(None, number))

    def with_columns(self, **columns: Expr) -> Self:
        """Add columns to what `to_arrow` and `to_pandas` give: ``with_columns(said=exp.predicted)``."""
        return self._then(WithColumns(tuple(Column(name, as_node(value)) for name, value in columns.items())))

    def select(self, *names: str, **columns: Expr) -> Self:
        """Give these columns and no others: ``select("id", "age", said=exp.predicted)``."""
        return self._then(Select(columns_of(names, columns)))

    def distinct(self, *by: str | Expr) -> Self:
        """The first image of each combination of values; missing values are alike. ``distinct("patient")``."""
        if not by:
            raise QueryError('distinct() takes what is to differ, as in distinct("patient").')
        return self._then(Distinct(tuple(F(one).node if isinstance(one, str) else as_node(one) for one in by)))

    def count(self, *, timeout: float | None = None) -> int:
        """How many rows there are.

        Args:
            timeout: Seconds after which it is given up, at the engine as well.

        Raises:
            TimeLimitError: The time was over.
        """
        with deadline(timeout):
            return self._executor.count(self.plan)

    def __len__(self) -> int:
        return self.count()

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return wire.to_json(self.plan)

    def to_cypher(self) -> Statement:
        """One Cypher statement with its parameters that selects the same.

        Raises:
            QueryError: A part of the query is not in the graph; says which and why.
        """
        return self._executor.cypher(self.plan)

    def explain(self, *, run: bool = False, timeout: float | None = None) -> Explanation:
        """What runs on which engine, and why; with the actual rows and times if it is run."""
        with deadline(timeout):
            return self._executor.explain(self.plan, run=run)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({outline(self.plan)})"

    @property
    def _stores(self) -> Stores:
        if isinstance(self.address, Remote):
            raise RemoteError(f"This needs the workspace itself, and {self.address} is a server: ask beside it.")
        return Stores.at(self.address)

    @property
    def _executor(self) -> Executor:
        return executor_at(self.address)

    def _then(self, step: Step) -> Self:
        """The query with one step more, bound to the workspace."""
        return type(self)(self.address, self.plan.then(self._executor.bind(self.plan, step)))


class RowSteps(Steps):
    """The steps that take things with an identity, and not groups of them."""

    def sample(self, n: int, seed: int = 0) -> Self:
        """So many of the images by chance, in the order they come in.

        Which they are depends on the images and the seed, not on their order; of more images the sample of the same
        seed keeps those that it had, except where a new one takes a place.
        """
        return self._then(Sample(n, seed))

    def union(self, other: Steps) -> Self:
        """These images and then those of another query, each once. Of two data sets ``F("label")`` is today's label."""
        return self._combined("union", other)

    def intersection(self, other: Steps) -> Self:
        """The images that another query has as well, each once."""
        return self._combined("intersection", other)

    def difference(self, other: Steps) -> Self:
        """The images that another query has not, each once."""
        return self._combined("difference", other)

    def _combined(self, how: Literal["union", "intersection", "difference"], other: Steps) -> Self:
        if not isinstance(other, type(self)):
            rows = "images" if self.plan.kind == "Image" else f"{self.plan.kind}s"
            raise QueryError(f"{how}() takes another query of {rows}, not {other!r:.80}.")
        if other.address != self.address:
            raise QueryError(f"{how}() takes a query of the same workspace: {other.address} is another one.")
        return self._then(Combine(how, other.plan))

    def group_by(self, *by: str | Expr, **named: Expr) -> Grouping:
        """Group the rows: ``group_by("label", decade=fn.floor(F("age") / 10)).agg(n=og.count())``.

        Args:
            by: Names of fields, or expressions of one field.
            named: Other expressions, with the names of their columns. With nothing at all there is one group.
        """
        from odin_graph.objects.query.groups import Grouping

        return Grouping(self, by, named)

    def agg(self, **aggregates: Expr) -> Groups:
        """One row of aggregates over all; see `Grouping.agg`."""
        return self.group_by().agg(**aggregates)


class ImageSteps(RowSteps):
    """The steps that take images."""

    def nearest(
        self,
        to: Any,
        *,
        by: Any,
        k: int,
        unlike: Any = (),
        metric: str = "cosine",
        recall: float | None = None,
        weights: Sequence[float] | None = None,
    ) -> Self:
        """The k nearest of these images, nearest first: exactly the k nearest that passed the steps so far.

        Args:
            to: An image or its id; a vector; an image that is not stored, as a `pathlib.Path`, the bytes of a file, a
                PIL image or pixels (h, w) or (h, w, bands), on which the layer's model is run; or a list of such, whose
                mean is searched with. A stored image is not among its neighbours.
            by: A layer of an experiment, whose vectors are computed where they are missing; or vectors of your own,
                ``db.vectors["clip"]``, of which those images are searched that have one; or units of a layer,
                ``layer.units[[3, 17]]``, by what was captured of them.
            k: How many; fewer only if fewer are there.
            unlike: Examples of what is not meant, which the search moves away from (Rocchio's rule).
            metric: ``cosine``, ``l2`` or ``inner-product``; by units ``cosine``, ``l2``, ``l1`` or ``linf``. The column
                ``distance`` holds it.
            recall: The share of the k nearest that is enough on average, ``0.95``: an index may be used then, which is
                built once there were so many such searches that it pays. `explain` says what was done.
            weights: By units: how much each counts, none below 0.
        """
        space, executor = space_of(by), self._executor
        like, other = (executor.examples(read_examples(given), space) for given in (to, unlike))
        held = None if weights is None else as_weights(weights)
        return self._then(Nearest(space, k, like, other, metric, recall, held))

    def cluster(self, *, by: Any, k: int, seed: int = 0, metric: str = "cosine", name: str = "cluster") -> Self:
        """Group these images into k clusters of alike vectors; the column says which, 0 for the largest.

        Args:
            by: A layer or vectors of your own; see `nearest`.
            k: How many; fewer only where fewer vectors differ.
            seed: For the first centres.
            metric: ``cosine`` or ``l2``.
            name: Of the column: ``query.cluster(by=layer, k=8).where(F("cluster") == 3)``.
        """
        return self._then(FromVectors("clusters", space_of(by), name, k=k, seed=seed, metric=metric))

    def near_duplicates(
        self, *, by: Any, within: float = 0.02, metric: str = "cosine", name: str = "duplicates"
    ) -> Self:
        """Number the groups of images that are nearly the same, 0 for the largest; missing for an image that is alone.

        Two images are of a group if a chain of images leads from one to the other, each ``within`` reach of the next.
        ``query.near_duplicates(by=layer).where(F("duplicates").is_null())`` leaves one's own only.
        """
        return self._then(FromVectors("near-duplicates", space_of(by), name, within=within, metric=metric))

    def outliers(self, *, by: Any, k: int = 20, metric: str = "cosine", name: str = "outlier") -> Self:
        """Score how much less dense it is around each image than around its k nearest: about 1 is usual, 2 is alone.

        The local outlier factor of Breunig, Kriegel, Ng and Sander (2000).
        """
        return self._then(FromVectors("outliers", space_of(by), name, k=k, metric=metric))

    def uniqueness(self, *, by: Any, metric: str = "cosine", name: str = "uniqueness") -> Self:
        """Add the distance of each image to the nearest other one of these: 0 for a copy."""
        return self._then(FromVectors("uniqueness", space_of(by), name, metric=metric))

    def representative(self, k: int, *, by: Any, seed: int = 0, method: str = "facility-location") -> Self:
        """At most k images that stand for these; the column ``stands_for`` says for how many each.

        Over a data set that the layer's experiment has predictions for, the images are chosen within each confused
        pair (truth, predicted), whose places are in proportion to its size. Deterministic.

        Args:
            k: How many.
            by: A layer of an experiment, whose vectors say what is alike, or vectors of your own; see `nearest`.
            seed: Draws the sample by which facility location estimates, of more than 4,096 images, what each would add;
                and whatever else a method draws by chance.
            method: A registered selection method.
        """
        return self._then(Representative(space_of(by), k, seed, method))


def wanted_columns(names: Sequence[str], columns: Mapping[str, Any]) -> tuple[Column, ...]:
    """Fields by name, then named expressions."""
    every = {name: F(name) for name in names} | dict(columns)
    return tuple(Column(name, as_node(value)) for name, value in every.items())


def columns_of(names: Sequence[Any], columns: Mapping[str, Any]) -> tuple[Column, ...]:
    """Columns by name or expression, those by expression of one field with that field's name."""
    return tuple(map(_column, names)) + tuple(Column(name, as_node(value)) for name, value in columns.items())


def _column(said: Any) -> Column:
    if isinstance(said, str):
        return Column(said, F(said).node)
    if isinstance(said, Expr) and isinstance(said.node, ImageField | Added | PredictionField):
        return Column(said.node.name, said.node)
    raise QueryError(f'{said!r} has no name of its own: give it one, as in decade=fn.floor(F("age") / 10).')


def _sort_key(key: Expr | SortKey | NamesUnits) -> SortKey:
    if isinstance(key, SortKey):
        return key
    node = key.node if isinstance(key, Expr) else unit_value(key)
    if node is None:
        raise ExpressionError(f'order_by() takes expressions, as in F("age") or F("age").desc(), not {key!r:.80}.')
    return SortKey(node)
