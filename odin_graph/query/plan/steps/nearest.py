"""The step ``nearest``; `odin_graph.query.operators.nearest` and `unit_steps` search."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.neurons import distance
from odin_graph.query.expressions.nodes import Node, Part, UnitGroup
from odin_graph.query.expressions.selectivity import Known
from odin_graph.query.expressions.spelling import some
from odin_graph.query.plan.base_step import BaseStep, check_k
from odin_graph.query.plan.spaces import Space, metric_text, space_text
from odin_graph.schema.kinds import alive
from odin_graph.vectors.metric import check_metric

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.stores import Stores


@dataclass(frozen=True, slots=True)
class Example(Part):
    """An example for a search: a stored image, or a vector."""

    image: int | None = None
    """Its key, or:"""
    vector: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Nearest(BaseStep):
    """The k images nearest to examples, nearest first; a stored image is not among its own neighbors."""

    by: Space
    k: int
    like: tuple[Example, ...]
    """At least one."""
    unlike: tuple[Example, ...] = ()
    metric: str = "cosine"
    recall: float | None = None
    """The share of the k nearest that is enough; None is all of them, for certain."""
    weights: tuple[float, ...] | None = None
    """One a unit, none below 0, where it is by units."""
    step: Literal["nearest"] = "nearest"

    on_things: ClassVar[bool] = False

    @property
    def no_cypher(self) -> str:
        return "nearest() has no form in Cypher: vectors are not in the graph."

    def bind(self, scope: Scope) -> Self:
        check_k("nearest", self.k)
        examples = (*self.like, *self.unlike)
        if not self.like or any((example.image is None) == (example.vector is None) for example in examples):
            raise QueryError("nearest() takes at least one example, each of them an image or a vector.")
        for example in examples:
            if example.vector is not None and not (example.vector and all(map(isfinite, example.vector))):
                raise QueryError("nearest() takes a vector of finite numbers.")
        if isinstance(self.by, UnitGroup):
            self._check_by_units(self.by)
        else:
            check_metric(self.metric)
            if self.weights is not None:
                raise QueryError(
                    "weights= are of units: nearest(image, by=layer.units[[3, 17]], weights=[1, 2], k=20)."
                )
        if self.recall is not None and not 0 < self.recall <= 1:
            raise QueryError(
                f"recall= is the share of the k nearest that is enough, above 0 and at most 1, not {self.recall!r}."
            )
        images = sorted({example.image for example in examples if example.image is not None})
        if images:
            _check_images(scope.stores, images)
        return replace(self, by=scope.space(self.by))

    def adds(self) -> tuple[tuple[str, Node | str], ...]:
        return (("distance", "float"),)

    def estimate(self, rows: float, known: Known) -> float:
        return min(rows, float(self.k))

    def spell(self) -> str:
        unlike = f", unlike={_described(self.unlike)}" if self.unlike else ""
        recall = "" if self.recall is None else f", recall={self.recall:g}"
        weights = "" if self.weights is None else f", weights=[{some(f'{weight:g}' for weight in self.weights)}]"
        how = metric_text(self.metric) + recall + weights
        return f".nearest({_described(self.like)}{unlike}, by={space_text(self.by)}, k={self.k}{how})"

    def _check_by_units(self, group: UnitGroup) -> None:
        if self.recall is not None:
            raise QueryError("recall= is of whole vectors: the nearest by units are always found exactly.")
        units = max(1, len(group.numbers))
        if self.weights is not None and len(self.weights) != units:
            raise QueryError(f"There are {units} units, and {len(self.weights)} weights: give one each.")
        distance(self.metric, [0.0] * units, self.weights)


def _check_images(stores: Stores, keys: list[int]) -> None:
    rows = stores.graph.read(
        f"UNWIND $keys AS key MATCH (i:Image {{key: key}}) WHERE {alive('Image', 'i')} RETURN i.key AS key",
        {"keys": keys},
    )
    if missing := set(keys) - {row["key"] for row in rows}:
        raise UnknownNameError(f"There is no image of key {min(missing)}: it may have been deleted.")


def _described(examples: tuple[Example, ...]) -> str:
    if len(examples) > 1:
        return f"{len(examples)} examples"
    return "an image" if examples and examples[0].image is not None else "a vector"
