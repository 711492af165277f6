"""The collections of things that queries read: ``db.datasets``, ``db.models``, ``db.experiments`` and the like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from odin_graph.objects.base.listed import Listed, T
from odin_graph.objects.base.verbs import CollectionVerbs
from odin_graph.objects.query.things import ThingQuery
from odin_graph.query.expressions.expressions import Expr
from odin_graph.query.plan.plan import Plan, Things

if TYPE_CHECKING:
    import pandas as pd


class Collection(CollectionVerbs, Listed[T]):
    """All things of a kind. The class that takes it in says the kind, and how one is added."""

    def __call__(self) -> ThingQuery[Any]:
        """All of them as a query: ``db.experiments().order_by(F("results.f1").desc())``."""
        return ThingQuery(self._session.address, Plan(Things(self.KIND)))

    def where(self, *conditions: Expr, **equal: Any) -> ThingQuery[Any]:
        """Those of which every condition is true, as a query: ``where(F("size") > 1000, base="retina")``.

        Args:
            conditions: Expressions that are true or false.
            equal: Fields and their values; None where the value is missing. A thing stands for its id.
        """
        return self().where(*conditions, **equal)

    def ids(self) -> list[str]:
        """The ids, oldest first."""
        return self().ids()

    def to_pandas(self) -> pd.DataFrame:
        """One row for each: its stored fields and its metadata."""
        return self().to_pandas()

    def __iter__(self) -> Iterator[T]:
        return iter(self())

    def __len__(self) -> int:
        return self().count()

    def _repr_html_(self) -> str:
        return self()._repr_html_()
