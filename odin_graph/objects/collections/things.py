"""``db.things("patient")``: the things of a kind that a package adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, overload

from odin_graph.catalog.purge.purge import PurgeReport
from odin_graph.catalog.purge.purge_things import purge_things
from odin_graph.catalog.records.things import add_things, facts_of, kind_named
from odin_graph.catalog.records.updates import Missing, UpdateReport, update_metadata
from odin_graph.client import Session
from odin_graph.errors import DataError
from odin_graph.objects.base.listed import listed
from odin_graph.objects.base.rows import rows_of
from odin_graph.objects.query.collection import Collection
from odin_graph.objects.query.things import ThingQuery
from odin_graph.objects.things.thing import Thing, ends_of, thing_class
from odin_graph.query.expressions.expressions import F


class Things(Collection[Thing]):
    """The things of a kind that a package adds: ``db.things("patient")``."""

    KIND: str  # type: ignore[misc]  # one class for all kinds
    """The label."""

    def __init__(self, session: Session, name: str) -> None:
        super().__init__(session)
        self.name = name
        self.KIND = session.ask(kind_named, name)

    @overload
    def add(self, things: str, /, **values: Any) -> Thing: ...
    @overload
    def add(self, things: Any, /) -> ThingQuery[Thing]: ...
    def add(self, things: Any, /, **values: Any) -> Thing | ThingQuery[Thing]:
        """Store a thing, or many: ``db.things("patient").add("ann", born=1960, images=db.images()[:3])``.

        A thing that is there with the same values is kept. The first one of a kind makes its constraints and indexes.

        Args:
            things: The id of one thing; or a table, as `update` takes it: a column ``id``, one for each field or link.
            values: Of one thing: its fields, its links (things or their ids, images as everywhere), and metadata.

        Raises:
            MetadataError: A value is not of its field's type, or the kind takes no metadata of that name.
            ConflictError: The id is taken by another thing.
            UnknownNameError: What a link leads to does not exist.
        """
        if isinstance(things, str):
            ids: list[Any] = [things]
            columns: Mapping[str, list[Any]] = {name: [value] for name, value in values.items()}
        elif values:
            raise DataError(f"add() takes {', '.join(values)} for one thing: in a table they are columns.")
        else:
            ids, table = rows_of(things)
            columns = {name: list(column) for name, column in table.items()}
        fields, links = ends_of(self._session, self.KIND, columns)
        add_things(self._stores, self.KIND, ids, fields, links)
        if isinstance(things, str):
            return thing_class(self.KIND)(self._session, things)
        return self().where(F("id").isin(ids))

    def update(self, source: Any, /, *, missing: Missing = "keep") -> UpdateReport:
        """Set fields, metadata and links of many things; see `CollectionVerbs.update`.

        Args:
            source: A table: a column ``id``, and a column for each field or link. A link leads to what is there alone.
            missing: What a missing value does: ``"keep"`` keeps the stored value, ``"remove"`` removes it.
        """
        ids, table = rows_of(source)
        columns, links = ends_of(self._session, self.KIND, {name: list(column) for name, column in table.items()})
        return update_metadata(self._stores, self.KIND, self._ids_of(ids), columns, missing=missing, links=links)

    def purge(
        self, things: Any, /, *, why: str | None = None, who: str | None = None, force: bool = False
    ) -> PurgeReport:
        """Destroy all that is stored of things but their ids, their tombstones, and what they were made from.

        It cannot be undone. Their images stay: ``db.images.purge`` destroys those. Copies that the engine keeps for a
        while, and backups, are not reached.

        Args:
            things: The things, or their ids, also deleted ones.
            why: The reason, stored on the tombstone.
            who: Who purges; by default your login name.
            force: Purge them even if something uses them.

        Raises:
            FrozenError: Something uses them. The message says what.
            UnknownNameError: A thing does not exist.
        """
        return purge_things(self._stores, self.KIND, self._ids_of(listed(things)), why=why, who=who, force=force)

    def __getitem__(self, id: str) -> Thing:  # noqa: A002 - the users' word for it
        self._session.ask(facts_of, self.KIND, id)
        return thing_class(self.KIND)(self._session, id)

    def __repr__(self) -> str:
        return f"{self.KIND}({', '.join(self.ids()) or 'none yet'})"
