"""The checkpoints of a workspace: ``db.checkpoints``."""

from __future__ import annotations

from collections.abc import Iterator

from odin_graph.catalog.models.checkpoints import checkpoint_of
from odin_graph.client import Session
from odin_graph.objects.query.things import Queried
from odin_graph.objects.things.checkpoint import Checkpoint


class Checkpoints(Queried):
    """Find checkpoints by id, and by query, as in ``db.checkpoints.where(F("experiment") == "vgg/1")``."""

    KIND = "Checkpoint"

    def __init__(self, session: Session) -> None:
        self._session = session

    def __getitem__(self, id: str) -> Checkpoint:  # noqa: A002 - the users' word for it
        self._session.ask(checkpoint_of, id)
        return Checkpoint(self._session, id)

    def __contains__(self, id: object) -> bool:  # noqa: A002
        return id in self().ids

    def __iter__(self) -> Iterator[str]:
        """The ids, oldest first."""
        return iter(self().ids)

    def __len__(self) -> int:
        return self().count()

    def __repr__(self) -> str:
        return f"Checkpoints({', '.join(self) or 'none yet'})"
