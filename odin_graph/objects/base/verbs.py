"""The words that every kind of thing knows: insert, select, update, delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from odin_graph.catalog.records import deletion
from odin_graph.catalog.records.deletion import DeletionReport
from odin_graph.catalog.records.undelete import UndeletionReport, undelete
from odin_graph.catalog.records.updates import Missing, UpdateReport, update_metadata
from odin_graph.errors import QueryError
from odin_graph.objects.base.rows import rows_of
from odin_graph.schema.metadata import decode
from odin_graph.schema.reserved import reserved
from odin_graph.schema.several import is_several


class Deletable:
    """`delete` of one thing. The class that takes it in says its kind."""

    KIND: ClassVar[str]
    """Its label in the graph."""
    _stores: Any
    """The workspace's Stores. Any, since the classes that take this in have it as a field or not."""
    id: Any
    """A str."""

    def delete(self, *, why: str | None = None, by: str | None = None, force: bool = False) -> DeletionReport:
        """Put a tombstone on it: no reader shows it any more, lineage still tells of it.

        Args:
            why: The reason, for whoever meets the tombstone.
            by: Who does it; by default your login name.
            force: Delete it also where something frozen uses it.

        Raises:
            FrozenError: Something frozen uses it; says what.
            ConflictError: A live process is at work on it.
        """
        done = deletion.delete(self._stores, self.KIND, [self.id], why=why, by=by, force=force)
        self._forget()
        return done

    def undelete(self) -> UndeletionReport:
        """Take its tombstone away: readers show it again, as it was, with the parts that went with it.

        Raises:
            ConflictError: It was purged, or what it is of is deleted.
            QueryError: It is computed again when it is asked for, and has nothing that could come back.
        """
        done = undelete(self._stores, self.KIND, [self.id])
        self._forget()
        return done

    def _forget(self) -> None:
        """Drop what is remembered of the node."""


class Verbs(Deletable):
    """`update` too: of what takes metadata."""

    @property
    def metadata(self) -> dict[str, Any]:
        """Its free metadata."""
        rows = self._stores.graph.read(
            f"MATCH (n:{self.KIND} {{id: $id}}) RETURN properties(n) AS own", {"id": self.id}
        )
        ours = set(reserved(self.KIND))
        return {name: decode(value) for name, value in rows[0]["own"].items() if name not in ours} if rows else {}

    def update(self, values: Mapping[str, Any] | None = None, /, **metadata: Any) -> Self:
        """Set free metadata: ``thing.update(reviewed=True)``; None takes a field away. What is frozen stays as it is.

        Args:
            values: The metadata as a dict, for names that are no Python names.
            metadata: The same by keyword.

        Raises:
            MetadataError: A name that is ours, or a value of another type than recorded; nothing is changed.
        """
        said = {**(values or {}), **metadata}
        columns = {name: [value] for name, value in said.items()}
        update_metadata(self._stores, self.KIND, [self.id], columns, missing="remove")
        self._forget()
        return self


class CollectionVerbs:
    """`update` and `delete` of many things of a kind. The class that takes it in says the kind."""

    KIND: ClassVar[str]
    _stores: Any

    def update(self, source: Any, /, *, missing: Missing = "keep") -> UpdateReport:
        """Set free metadata of many at once: a row a thing, a column ``id``, and a column for each field.

        All of it is checked first; up to 50,000 things are then one transaction, all or nothing. More are stored in
        batches of so many, and an interrupted call may be repeated.

        Args:
            source: A DataFrame, an Arrow table, a dict of columns, or a dict of dicts by id.
            missing: What a missing value does: ``"keep"`` leaves what is there, ``"remove"`` takes it away.

        Raises:
            MetadataError: A name that is ours, or values of another type than recorded; nothing is changed.
            UnknownNameError: A thing that does not exist; nothing is changed.
        """
        things, columns = rows_of(source)
        return update_metadata(self._stores, self.KIND, self._ids_of(things), columns, missing=missing)

    def delete(
        self, things: Any, /, *, why: str | None = None, by: str | None = None, force: bool = False
    ) -> DeletionReport:
        """Put tombstones on things: one, its id, or several. All of them in one transaction, or none and an error.

        Args:
            things: The things, or their ids.
            why: The reason, for whoever meets the tombstone.
            by: Who does it; by default your login name.
            force: Delete them also where something frozen uses them.

        Raises:
            FrozenError: Something frozen uses them; says what.
            UnknownNameError: No such thing.
            ConflictError: A live process is at work on one of them.
        """
        listed = list(things) if is_several(things) and not hasattr(things, "id") else [things]
        return deletion.delete(self._stores, self.KIND, self._ids_of(listed), why=why, by=by, force=force)

    def undelete(self, things: Any, /) -> UndeletionReport:
        """Take the tombstones from things: one, its id, or several. From all in one transaction, or none and an error.

        Readers show them again, as they were, with the parts that went with them. `Workspace.deletions` lists what was
        deleted.

        Args:
            things: The things, or their ids; of a data set with the version.

        Raises:
            UnknownNameError: No such thing.
            ConflictError: One was purged, or what it is of is deleted.
            QueryError: It is computed again when it is asked for, and has nothing that could come back.
        """
        listed = list(things) if is_several(things) and not hasattr(things, "id") else [things]
        return undelete(self._stores, self.KIND, CollectionVerbs._ids_of(self, listed))

    def _ids_of(self, things: Iterable[Any]) -> list[Any]:
        """The ids of things that are given as they are or by id."""
        ids = [getattr(thing, "id", thing) for thing in things]
        if strange := [id_ for id_ in ids if not isinstance(id_, str)]:
            raise QueryError(f"{strange[0]!r:.80} is neither a {self.KIND} nor its id.")
        return ids
