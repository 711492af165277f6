"""``db.storage``: how much disk space activations may take, which of them must stay, and the value of each."""

from __future__ import annotations

import operator
import re
from decimal import Decimal
from typing import Any, Final

from odin_graph.catalog.activations import storage as catalog
from odin_graph.client import Session
from odin_graph.errors import QueryError
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.collections.storage_report import StorageReport
from odin_graph.served import served
from odin_graph.stores import Stores

_UNITS: Final = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate(("k", "M", "G", "T", "P"), 1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate(("K", "M", "G", "T", "P"), 1)},
    "KB": 1000,
}
_SIZE: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]+)\s*")


class Storage(InSession):
    """The disk space of activation sets: ``budget``, ``pin``, ``unpin`` and ``report``."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def budget(self) -> int | None:
        """Bytes that all activation sets together may take, or None. It belongs to the workspace.

        Set it to ``"20 GB"``, ``"500 MiB"``, a number of bytes, or None. Nothing is removed before space is needed.
        """
        return self._session.ask(_budget_of)

    @budget.setter
    def budget(self, size: str | int | None) -> None:
        catalog.set_budget(self._stores, None if size is None else size_of(size))

    def pin(self, activation_set: Any) -> None:
        """Keep a set: it is never removed to make room.

        Args:
            activation_set: An activation set, a line of the report, or its id.

        Raises:
            UnknownNameError: The set does not exist. The message lists the sets.
        """
        catalog.pin(self._stores, _id_of(activation_set))

    def unpin(self, activation_set: Any) -> None:
        """Allow that a set is removed when space is needed.

        Args:
            activation_set: An activation set, a line of the report, or its id.

        Raises:
            UnknownNameError: The set does not exist. The message lists the sets.
        """
        catalog.unpin(self._stores, _id_of(activation_set))

    def report(self) -> StorageReport:
        """The size of every set, its last use, and the cost of removing it; the least valuable first."""
        return self._session.ask(_report_of)

    def __repr__(self) -> str:
        budget = self.budget
        return f"Storage(budget={None if budget is None else catalog.human_size(budget)!r})"


def size_of(size: str | int) -> int:
    """Bytes from ``"20 GB"`` (10**9 each), ``"500 MiB"`` (1,048,576 each), or a number.

    Raises:
        QueryError: It is not a size.
    """
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if match is None or match[2] not in _UNITS:
            raise _no_size(size)
        return int(Decimal(match[1]) * _UNITS[match[2]])
    if isinstance(size, bool):
        raise _no_size(size)
    try:
        return operator.index(size)
    except TypeError as error:
        raise _no_size(size) from error


def _no_size(given: object) -> QueryError:
    return QueryError(
        f'{given!r} is not a size: give "20 GB" or "500 MiB" (kB, MB, GB, TB are powers of 1000, KiB, MiB, GiB, TiB of '
        "1024), a whole number of bytes, or None."
    )


def _id_of(given: Any) -> str:
    id_ = getattr(given, "id", given)
    if not isinstance(id_, str):
        raise QueryError(f"{given!r:.80} is neither an activation set nor its id.")
    return id_


@served
def _budget_of(stores: Stores) -> int | None:
    return catalog.budget_of(stores)


@served
def _report_of(stores: Stores) -> StorageReport:
    return StorageReport(tuple(catalog.least_useful_first(catalog.stored_sets(stores))), catalog.budget_of(stores))
