"""Update and delete for what a query selects: images, or things of another kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from odin_graph.catalog.records.deletion import DeletionReport
from odin_graph.catalog.records.updates import UpdateReport, constant, update_metadata
from odin_graph.checked import checked_calls
from odin_graph.objects.base.verbs import delete_things
from odin_graph.query.expressions.expressions import Expr
from odin_graph.schema.kinds import key_of


@checked_calls
class QueryVerbs:
    """Update and delete what a query selects, of whatever kind."""

    def update(self: Any, values: Mapping[str, Any] | None = None, /, **metadata: Any) -> UpdateReport:
        """Set metadata of everything that the query selects: one value for all, or an expression.

        ``db.images("retina").update(site="Lima", pressure_per_year=F("iop") / F("age"))``; None removes a field.

        Args:
            values: The metadata as a dict, for names that are not valid Python names.
            metadata: The metadata as keyword arguments.
        """
        changes = {**(values or {}), **metadata}
        computed = {f"c{place}": value for place, value in enumerate(changes.values()) if isinstance(value, Expr)}
        table = self.to_arrow("id", **computed) if computed else self._named()
        things = table.column(key_of(self.plan.kind)).to_pylist()
        columns: dict[str, Sequence[Any]] = {}
        for place, (name, value) in enumerate(changes.items()):
            computes = isinstance(value, Expr)
            columns[name] = table.column(f"c{place}").to_pylist() if computes else constant(value, len(things))
        return update_metadata(self._stores, self.plan.kind, things, columns, missing="remove")

    def delete(self: Any, *, why: str | None = None, who: str | None = None, force: bool = False) -> DeletionReport:
        """Delete what the query selects, and keep tombstones. Refused if something frozen uses it, unless forced.

        Args:
            why: The reason, stored on the tombstone.
            who: Who deletes it; by default your login name.
            force: Delete it even if something frozen uses it.
        """
        kind = self.plan.kind
        things = self._named().column(key_of(kind)).to_pylist()
        return delete_things(self._stores, kind, things, why=why, who=who, force=force)

    def _named(self: Any) -> pa.Table:
        """The column that names each."""
        table: pa.Table = self.to_arrow("id")
        return table
