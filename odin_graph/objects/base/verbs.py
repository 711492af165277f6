"""The methods that change things of every kind: update, delete, undelete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

from odin_graph.arguments import read_fields
from odin_graph.catalog.images.stacks import PARTS, images_of
from odin_graph.catalog.records import deletion
from odin_graph.catalog.records.deletion import DeletionReport
from odin_graph.catalog.records.nodes import metadata_of
from odin_graph.catalog.records.undelete import UndeletionReport, undelete
from odin_graph.catalog.records.updates import Missing, UpdateReport, update_metadata
from odin_graph.errors import QueryError
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.base.listed import listed
from odin_graph.objects.base.rows import rows_of
from odin_graph.stores import Stores


class Deletable(InSession):
    """`delete` of one thing. The class that takes it in says its kind."""

    KIND: ClassVar[str]
    """Its label in the graph."""
    id: Any
    """A str."""

    def delete(self, *, why: str | None = None, who: str | None = None, force: bool = False) -> DeletionReport:
        """Delete it and keep a tombstone: readers no longer show it, lineage still does.

        Args:
            why: The reason, stored on the tombstone.
            who: Who deletes it; by default your login name.
            force: Delete it even if something frozen uses it.

        Raises:
            FrozenError: Something frozen uses it. The message says what.
            ConflictError: A running process is working on it.
        """
        done = delete_things(self._stores, self.KIND, [self.id], why=why, who=who, force=force)
        self._forget()
        return done

    def undelete(self) -> UndeletionReport:
        """Remove its tombstone: readers show it again, as it was, with the parts that were deleted with it.

        Raises:
            ConflictError: It was purged, or it is part of a deleted thing.
            QueryError: It is computed again when it is needed, so there is nothing to restore.
        """
        done = undelete(self._stores, self.KIND, [self.id])
        self._forget()
        return done

    def _forget(self) -> None:
        """Drop cached values of the node."""


class Verbs(Deletable):
    """`update` too: of what takes metadata."""

    @property
    def metadata(self) -> dict[str, Any]:
        """Its metadata."""
        return self._session.ask(metadata_of, self.KIND, self.id)

    def update(self, values: Mapping[str, Any] | None = None, /, **metadata: Any) -> Self:
        """Set metadata: ``thing.update(reviewed=True)``. None removes a field. Frozen content does not change.

        Args:
            values: The metadata as a dict, for names that are not valid Python names.
            metadata: The metadata as keyword arguments.

        Raises:
            MetadataError: A name that odin_graph uses itself, or a wrong type. Nothing is changed.
        """
        fields = read_fields("update()", values, metadata)
        columns = {name: [value] for name, value in fields.items()}
        update_metadata(self._stores, self.KIND, [self.id], columns, missing="remove")
        self._forget()
        return self


class CollectionVerbs(InSession):
    """`update` and `delete` of many things of a kind. The class that takes it in says the kind."""

    KIND: ClassVar[str]

    def update(self, source: Any, /, *, missing: Missing = "keep") -> UpdateReport:
        """Set metadata of many things: one row for each thing, a column ``id``, and a column for each field.

        Everything is checked first. Then up to 50,000 things are one transaction: all or nothing. More things are
        stored in batches of this size. You can repeat an interrupted call.

        Args:
            source: A DataFrame, an Arrow table, a dict of columns, or a dict of dicts by id.
            missing: What a missing value does: ``"keep"`` keeps the stored value, ``"remove"`` removes it.

        Raises:
            MetadataError: A name that odin_graph uses itself, or a wrong type. Nothing is changed.
            UnknownNameError: A thing does not exist. Nothing is changed.
        """
        things, columns = rows_of(source)
        return update_metadata(self._stores, self.KIND, self._ids_of(things), columns, missing=missing)

    def delete(
        self, things: Any, /, *, why: str | None = None, who: str | None = None, force: bool = False
    ) -> DeletionReport:
        """Delete things and keep tombstones, in one transaction: all of them, or none and an error.

        Args:
            things: The things, or their ids.
            why: The reason, stored on the tombstone.
            who: Who deletes it; by default your login name.
            force: Delete them even if something frozen uses them.

        Raises:
            FrozenError: Something frozen uses them. The message says what.
            UnknownNameError: A thing does not exist.
            ConflictError: A running process is working on one of them.
        """
        return delete_things(self._stores, self.KIND, self._ids_of(listed(things)), why=why, who=who, force=force)

    def undelete(self, things: Any, /) -> UndeletionReport:
        """Remove the tombstones of things, in one transaction: of all of them, or of none and an error.

        Readers show them again, as they were, with the parts that were deleted with them. `Workspace.deletions` lists
        what was deleted.

        Args:
            things: The things, or their ids. The id of a data set must have its version.

        Raises:
            UnknownNameError: A thing does not exist.
            ConflictError: One was purged, or is part of a deleted thing.
            QueryError: It is computed again when it is needed, so there is nothing to restore.
        """
        return undelete(self._stores, self.KIND, CollectionVerbs._ids_of(self, listed(things)))

    def _ids_of(self, things: Iterable[Any]) -> list[Any]:
        """The ids of things that are given as they are or by id."""
        ids = [getattr(thing, "id", thing) for thing in things]
        if invalid := [id_ for id_ in ids if not isinstance(id_, str)]:
            raise QueryError(f"{invalid[0]!r:.80} is neither a {self.KIND} nor its id.")
        return ids


def delete_things(
    stores: Stores, kind: str, things: Sequence[Any], *, why: str | None, who: str | None, force: bool
) -> DeletionReport:
    """Delete things of a kind, volumes and videos with their images; see `deletion.delete`."""
    if kind in PARTS:
        images = [row["key"] for id_ in things for row in images_of(stores, kind, id_)]  # type: ignore[arg-type]
        deletion.delete(stores, "Image", images, why=why, who=who, force=force)
    return deletion.delete(stores, kind, things, why=why, who=who, force=force)
