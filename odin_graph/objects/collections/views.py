"""``db.views``: saved queries. Each change makes a new version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from odin_graph.catalog.records.deletion import DeletionReport
from odin_graph.catalog.records.views import delete_view, save_view, view_of, views
from odin_graph.client import Session
from odin_graph.errors import OdinError, QueryError
from odin_graph.objects.base.has_images import HasImages
from odin_graph.objects.base.listed import Listed, listed
from odin_graph.objects.query.derived import DerivedQuery
from odin_graph.objects.query.groups import Groups
from odin_graph.objects.query.query import Query
from odin_graph.objects.query.things import ThingQuery
from odin_graph.query.plan import wire

if TYPE_CHECKING:
    import pandas as pd

AnyQuery: TypeAlias = "Query | DerivedQuery | ThingQuery[Any] | Groups"


class Views(Listed[AnyQuery]):
    """Saved queries: ``db.views.add("hard DME", query)``, then ``db.views["hard DME"].where(...)``.

    A view is a query: its answer is that of the moment when it runs. The id alone is the latest version, and
    ``"hard DME@1"`` is the first version.
    """

    def add(self, id: str, query: AnyQuery | HasImages) -> AnyQuery:  # noqa: A002 - the users' word for it
        """Save a query, and return it. Another query under the same id is the next version.

        Args:
            id: The id, without a version; the first version is ``ID@1``.
            query: A query of any rows, or a data set.

        Raises:
            QueryError: It is not a query of this workspace, or the id is invalid.
        """
        query = query.images() if isinstance(query, HasImages) else query
        if not isinstance(query, Query | DerivedQuery | ThingQuery | Groups):
            raise QueryError(f"A view is a query, not {query!r:.80}.")
        address = query.query.address if isinstance(query, DerivedQuery) else query.address
        if address != self._session.address:
            raise QueryError(f"A view is a query of the same workspace: {address} is another one.")
        return self[save_view(self._stores, id, query.to_json())]

    def delete(self, things: Any, /) -> DeletionReport:
        """Delete views, or versions of them. Nothing depends on a view, so no tombstone is kept.

        Args:
            things: The id of a view or of a version of one, or several.

        Raises:
            UnknownNameError: There is no such view.
        """
        stores = self._stores
        return DeletionReport("", {"View": sum(delete_view(stores, id_) for id_ in listed(things))})

    def ids(self) -> list[str]:
        """The ids without the versions, sorted."""
        return sorted({view.base for view in self._session.ask(views)})

    def __getitem__(self, id: str) -> AnyQuery:  # noqa: A002
        view = self._session.ask(view_of, id)
        try:
            return query_of(self._session, dict(view.query))
        except OdinError as error:
            raise QueryError(
                f"The view {view.id!r} uses something that is missing: {error} Save another query as {view.base!r}, or "
                f"remove it: db.views.delete({view.base!r})."
            ) from error

    def __contains__(self, id: object) -> bool:  # noqa: A002
        return any(id in (view.id, view.base) for view in self._session.ask(views))

    def to_pandas(self) -> pd.DataFrame:
        """One row for each version: id, view, version, created_at (UTC), and the query as it was written."""
        import pandas as pd

        rows = [
            {
                "id": view.id,
                "view": view.base,
                "version": view.version,
                "created_at": view.created_at,
                "query": _written(dict(view.query)),
            }
            for view in self._session.ask(views)
        ]
        return pd.DataFrame(rows, columns=["id", "view", "version", "created_at", "query"])

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False))


def query_of(session: Session, data: Any) -> AnyQuery:
    """Build a query from its JSON form, for any kind of rows. Names and types are checked as usual.

    Raises:
        QueryError: It is not a query, or uses something that does not exist.
    """
    address = session.address
    if isinstance(data, dict) and "operations" in data:
        return DerivedQuery.from_json(address, data)
    plan = session.executor().check(wire.from_json(data))
    if plan.grouped:
        return Groups(address, plan)
    return Query(address, plan) if plan.kind == "Image" else ThingQuery(address, plan)


def _written(data: dict[str, Any]) -> str:
    operations = data.pop("operations", [])
    calls = "".join(f".{operation.get('op', '?')}(...)" for operation in operations if isinstance(operation, dict))
    return wire.from_json(data).spell() + calls
