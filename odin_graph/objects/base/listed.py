"""What every collection gives of its things: one by its id, all of them one after another, their ids, their number."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from odin_graph.client import Session
from odin_graph.objects.base.in_session import InSession
from odin_graph.schema.several import is_several

T = TypeVar("T", covariant=True)


def listed(things: Any) -> list[Any]:
    """One thing or its id, or several, as a list."""
    return list(things) if is_several(things) and not hasattr(things, "id") else [things]


class Listed(InSession, Generic[T]):
    """A collection: ``[id]`` gives one thing, a loop all of them, `ids` their ids, ``in`` asks by id."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @abstractmethod
    def ids(self) -> list[str]:
        """The ids, in the order of a loop."""

    @abstractmethod
    def __getitem__(self, id: str) -> T:  # noqa: A002 - the users' word for it
        """One of them by its id."""

    def __iter__(self) -> Iterator[T]:
        return map(self.__getitem__, self.ids())

    def __len__(self) -> int:
        return len(self.ids())

    def __contains__(self, id: object) -> bool:  # noqa: A002
        return getattr(id, "id", id) in self.ids()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.ids()) or 'none yet'})"
