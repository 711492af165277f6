"""What every node has in common: it is saved whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

from neo4j.exceptions import ConstraintError
from neomodel import StringProperty, StructuredNode, db
from neomodel.exceptions import ConstraintValidationFailed

from odin_graph.errors import ConflictError, MismatchError
from odin_graph.schema import keys
from odin_graph.schema.properties import InstantProperty, now


class Node(StructuredNode):
    """Base for node types of your own: ``class Patient(og.schema.Node): name = StringProperty(unique_index=True)``.

    neomodel saves outside of a transaction, where ArcadeDB keeps what a failing statement made before it failed: an
    empty node for each id that was taken. Here everything that writes is one transaction.
    """

    __abstract_node__ = True

    @classmethod
    def inflate(cls, graph_entity: Any) -> Self:
        """From the driver's node. It remembers which workspace it is from."""
        node: Self = super().inflate(graph_entity)
        if isinstance(node, cls):
            node._workspace = keys.owner()
        return node

    def save(self) -> Self:
        """Create the node, or write its properties.

        Raises:
            ConflictError: Another node has its id, or another value that is unique.
            MismatchError: It is from another workspace than the one that neomodel is connected to.
        """
        self._check_workspace()
        with atomic(type(self)):
            super().save()
        self._workspace = keys.owner()
        return self

    def _pre_action_check(self, action: str) -> None:  # before everything that neomodel does with a saved node
        self._check_workspace()
        super()._pre_action_check(action)

    def _check_workspace(self) -> None:
        workspace: str | None = vars(self).get("_workspace")
        if workspace is not None and workspace != keys.owner():
            raise MismatchError(
                f"This {type(self).__name__} is from the workspace at {workspace}, and the ORM is connected to "
                f"{keys.owner() or 'no workspace'}: call orm() of its own workspace first."
            )

    @classmethod
    def bulk_save(cls, nodes: list[Any]) -> list[Any]:
        """Save many nodes at once; as `save`."""
        with atomic(cls):
            return super().bulk_save(nodes)

    @classmethod
    def _bulk_create(cls, *props: Any, **options: Any) -> list[Any]:
        with atomic(cls):
            return list(super()._bulk_create(*props, **options))

    @classmethod
    def _bulk_get_or_create(cls, *props: Any, **options: Any) -> list[Any]:
        with atomic(cls):
            return list(super()._bulk_get_or_create(*props, **options))


class Record(Node):
    """A node with an id that is unique among those of its label."""

    __abstract_node__ = True

    uid = StringProperty(db_property="id", unique_index=True, required=True)
    """`id` in the graph and everywhere else; neomodel keeps that name to itself."""
    created_at = InstantProperty()

    def pre_save(self) -> None:
        """Date a new node: a hook of neomodel."""
        if not self.was_saved and vars(self)["created_at"] is None:
            self.created_at = now()


@contextmanager
def atomic(node: type[StructuredNode]) -> Iterator[None]:
    """One transaction: the one that is open, or one of its own."""
    try:
        if db._active_transaction is None:  # noqa: SLF001 - neomodel has no other way to ask
            with db.transaction:
                yield
        else:
            yield
    except (ConstraintValidationFailed, ConstraintError) as error:  # ArcadeDB raises its own at the commit
        unique = [name for name, prop in node.__all_properties__ if prop.unique_index]
        raise ConflictError(
            f"{node.__name__}: another node has the same {' or '.join(unique)} already. "
            "Take another, or change the one there is: nodes.get(...)."
        ) from error
