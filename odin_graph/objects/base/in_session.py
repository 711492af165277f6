"""The base of all objects: the session of their workspace, local or remote."""

from __future__ import annotations

from odin_graph.checked import checked_calls
from odin_graph.client import Session
from odin_graph.stores import Stores


class InSession:
    """The base of everything that uses a session. Writing goes through `_stores`, which a remote session refuses."""

    _session: Session

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        checked_calls(cls)

    @property
    def _stores(self) -> Stores:
        """The engines themselves.

        Raises:
            RemoteError: The workspace is far away.
        """
        return self._session.stores
