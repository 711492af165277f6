"""Images with labels that are not frozen yet, and the set operations that give them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Final, overload

from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.catalog.datasets.versions import (
    Combination,
    Members,
    alive_members,
    check_same_workspace,
    combined,
    names_of,
)
from odin_graph.client import Session
from odin_graph.errors import QueryError
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.query.image_set import ImageSet
from odin_graph.objects.query.query import Query
from odin_graph.query.plan.plan import Keys, Plan

_OPERATORS: Final = {"union": "|", "intersection": "&", "difference": "-", "symmetric difference": "^"}


class LabeledSet(ImageSet):
    """Images with labels of their own. Set operations with another such set keep these labels.

    With a query they give a query, whose labels are those of today.
    """

    @property
    @abstractmethod
    def _content(self) -> tuple[str | Members, str | None, str | dict[str, Any]]:
        """The id of a version or the members, the field that the labels are of, and what is recorded of it."""

    @overload
    def union(self, other: LabeledSet | str) -> Draft: ...
    @overload
    def union(self, other: Query) -> Query: ...
    def union(self, other: LabeledSet | Query | str) -> Draft | Query:
        """The images of either. The labels of common images must agree."""
        return self._combined("union", other)

    @overload
    def intersection(self, other: LabeledSet | str) -> Draft: ...
    @overload
    def intersection(self, other: Query) -> Query: ...
    def intersection(self, other: LabeledSet | Query | str) -> Draft | Query:
        """The images in both. Their labels must agree."""
        return self._combined("intersection", other)

    @overload
    def difference(self, other: LabeledSet | str) -> Draft: ...
    @overload
    def difference(self, other: Query) -> Query: ...
    def difference(self, other: LabeledSet | Query | str) -> Draft | Query:
        """The images that the other does not have."""
        return self._combined("difference", other)

    @overload
    def __or__(self, other: LabeledSet | str) -> Draft: ...
    @overload
    def __or__(self, other: Query) -> Query: ...
    def __or__(self, other: LabeledSet | Query | str) -> Draft | Query:
        """The same as `union`."""
        return self._combined("union", other)

    @overload
    def __and__(self, other: LabeledSet | str) -> Draft: ...
    @overload
    def __and__(self, other: Query) -> Query: ...
    def __and__(self, other: LabeledSet | Query | str) -> Draft | Query:
        """The same as `intersection`."""
        return self._combined("intersection", other)

    @overload
    def __sub__(self, other: LabeledSet | str) -> Draft: ...
    @overload
    def __sub__(self, other: Query) -> Query: ...
    def __sub__(self, other: LabeledSet | Query | str) -> Draft | Query:
        """The same as `difference`."""
        return self._combined("difference", other)

    @overload
    def __xor__(self, other: LabeledSet | str) -> Draft: ...
    @overload
    def __xor__(self, other: Query) -> Query: ...
    def __xor__(self, other: LabeledSet | Query | str) -> Draft | Query:
        """The images in exactly one of the two."""
        return self._combined("symmetric difference", other)

    def _combined(self, how: Combination, other: LabeledSet | Query | str) -> Draft | Query:
        if isinstance(other, Query):
            own = self.images()
            return own ^ other if how == "symmetric difference" else own._combined(how, other)  # noqa: SLF001
        labeled = _labeled(self._session, other, how)
        if self._session.address != labeled._session.address:  # noqa: SLF001 - of this class
            check_same_workspace(self._stores, labeled._stores)  # noqa: SLF001 - of this class
        one, field, origin = self._content
        two, _, with_ = labeled._content  # noqa: SLF001 - of this class
        recorded = {"dataset": origin} if isinstance(origin, str) else {"dataset": origin["dataset"], "of": origin}
        a, b = (self._session.ask(alive_members, of) if isinstance(of, str) else of for of in (one, two))
        members = combined(how, a, b, lambda keys: self._session.ask(names_of, keys))
        return Draft(self._session, members, field, {"odin_draft": 1, "op": how, **recorded, "with": with_})


class Draft(LabeledSet):
    """Images in an order, with labels. ``db.datasets.add(id, draft)`` freezes them.

    Args:
        session: The workspace.
        members: Keys and labels.
        label: The field that the labels are of; None for a set without labels.
        origin: How it came about, kept with the version that is made of it: JSON.
    """

    def __init__(self, session: Session, members: Members, label: str | None, origin: dict[str, Any]) -> None:
        self._session, self.members, self.label, self.origin = session, members, label, origin

    @property
    def labels(self) -> list[Any]:
        """The labels, in order."""
        return list(self.members.labels)

    def images(self) -> Query:
        """The images as a query, in order. Its ``F("label")`` is the label of today."""
        return Query(self._session.address, Plan(Keys(tuple(self.members.keys.tolist()))))

    def __repr__(self) -> str:
        made = self.origin.get("op", "chosen")
        return f"Draft({len(self.members):,} images, {made}): db.datasets.add(id, draft) freezes it"

    @property
    def _content(self) -> tuple[Members, str | None, dict[str, Any]]:
        return self.members, self.label, self.origin


def _labeled(session: Session, other: Any, how: Combination) -> LabeledSet:
    if isinstance(other, LabeledSet):
        return other
    if isinstance(other, str):
        dataset: LabeledSet = class_of("Dataset")(session, session.ask(resolve, other))
        return dataset
    raise QueryError(f"{_OPERATORS[how]} takes a data set or a query, not {other!r:.60}.")
