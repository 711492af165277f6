"""Relatives of images: what they were made from, what was made from them, and what uses these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from odin_graph.catalog.images.lineage import USERS, Direction, users_of, walk
from odin_graph.catalog.records.things import kind_named
from odin_graph.client import Session
from odin_graph.errors import QueryError
from odin_graph.frames import frame_of
from odin_graph.objects.base.has_images import HasImages
from odin_graph.objects.query.query import Query
from odin_graph.objects.query.things import ThingQuery
from odin_graph.query.expressions.expressions import F
from odin_graph.query.plan.plan import Keys, Plan, Things

if TYPE_CHECKING:
    import pandas as pd


T = TypeVar("T")


class Relatives(HasImages):
    """The ancestors or descendants of images, the nearest first. `ids` and tables include deleted ones.

    Args:
        session: The workspace.
        of: The id that was asked about.
        table: As `odin_graph.catalog.images.lineage.walk` gives it.
        direction: What they are.
    """

    def __init__(self, session: Session, of: str, table: pa.Table, direction: Direction) -> None:
        self._session, self.of, self._table, self.direction = session, of, table, direction

    @classmethod
    def reached(cls, session: Session, of: str, key: int, direction: Direction) -> Relatives:
        """Walk from one image."""
        return cls(session, of, session.ask(walk, [key], direction), direction)

    def ids(self) -> list[str]:
        """The ids of images, volumes and videos, the nearest first."""
        ids: list[str] = self._table.column("id").to_pylist()
        return ids

    def images(self) -> Query:
        """The images among them, as a query."""
        return Query(self._session.address, Plan(Keys(self._keys())))

    def used_by(self, kind: type[T] | str) -> ThingQuery[T]:
        """The data sets, experiments or prediction sets that used any of them.

        Args:
            kind: ``og.Dataset``, ``og.Experiment`` or ``og.PredictionSet``; or the name of a kind that a package adds,
                whose things have a link to images.

        Raises:
            QueryError: Another kind.
        """
        return used_by(self._session, self._keys(), kind)

    def to_arrow(self) -> pa.Table:
        """``depth``, ``kind``, ``id``, ``key``, and the ``op`` with its ``params`` (JSON) from or to ``next``."""
        return self._table

    def to_pandas(self) -> pd.DataFrame:
        """The same as a DataFrame."""
        return frame_of(self._table)

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def __contains__(self, id: object) -> bool:  # noqa: A002 - the users' word for it
        return getattr(id, "id", id) in self.ids()

    def __repr__(self) -> str:
        lines = [f"{len(self):,} {self.direction} of {self.of!r}"]
        for row in self._table.slice(0, _SHOWN).to_pylist():
            operation = f" by {row['op']}" if row["op"] else ""
            lines.append(
                f"{'  ' * row['depth']}{row['id']}{operation}" + ("" if row["kind"] == "Image" else f" {row['kind']}")
            )
        if len(self) > _SHOWN:
            lines.append(f"  and {len(self) - _SHOWN:,} more")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False, max_rows=40, border=0))

    def _keys(self) -> tuple[int, ...]:
        return tuple(key for key in self._table.column("key").to_pylist() if key is not None)


_SHOWN = 20


def used_by(session: Session, keys: tuple[int, ...], kind: type[T] | str) -> ThingQuery[T]:
    """The things that used images; see `Relatives.used_by`."""
    label: Any = session.ask(kind_named, kind) if isinstance(kind, str) else getattr(kind, "KIND", None)
    if label not in USERS and not isinstance(kind, str):
        raise QueryError(f"used_by() finds og.Dataset, og.Experiment or og.PredictionSet, not {kind!r}.")
    all_: ThingQuery[T] = ThingQuery(session.address, Plan(Things(label)))
    return all_.where(F("id").isin(session.ask(users_of, label, list(keys))))
