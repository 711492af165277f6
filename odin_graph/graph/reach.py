"""Where the engine of an open workspace runs now: an embedded engine that ended comes back at another address."""

from __future__ import annotations

import threading
import time
from typing import Final

from odin_graph.graph.counting import CounterClient
from odin_graph.graph.embedded import Attachment
from odin_graph.graph.endpoint import Endpoint

GOING_SECONDS: Final = 2.0
"""In which a process that is being ended is gone: until then its connections break while its lock still exists."""


class Reach:
    """An endpoint, exchanged for the next one when its engine has ended. Safe to share between threads.

    Args:
        endpoint: Of the engine now.
        attachment: Of an embedded engine; None for a server, which comes back by itself.
    """

    def __init__(self, endpoint: Endpoint, attachment: Attachment | None) -> None:
        self.now = endpoint, _client(endpoint)
        """Replaced together, so that nobody adds one engine's counts to where another one began."""
        self._attachment = attachment
        self._renewing = threading.Lock()

    def check_place(self) -> None:
        """Raise a WorkspaceError where the folder is not the one any more that was opened."""
        if self._attachment is not None:
            self._attachment.check_place()

    def ensure(self) -> None:
        """Start the engine again if it has ended."""
        endpoint = self.now[0]
        if self._attachment is not None and not self._runs(endpoint):
            self.renew(endpoint)

    def renew(self, endpoint: Endpoint) -> bool:
        """Go on with the engine that serves now, started where there is none.

        Args:
            endpoint: Where nobody answered.

        Returns:
            Whether there is another one; False for a server, and where the engine lives and is merely silent.

        Raises:
            EngineStartError: It did not start.
            WorkspaceError: The folder was moved or deleted.
        """
        if self._attachment is None:
            return False
        with self._renewing:  # only one of the threads that notice starts it
            if self.now[0] != endpoint:
                return True
            self._attachment.check_place()
            until = time.monotonic() + GOING_SECONDS
            while self._runs(endpoint):
                if time.monotonic() > until:
                    return False
                time.sleep(0.02)
            renewed = self._attachment.endpoint()
            _, client = self.now
            self.now = renewed, _client(renewed)
            if client is not None:
                client.close()
            return True

    def was_exhausted(self, endpoint: Endpoint) -> bool:
        """Whether an engine that ended ran out of memory."""
        return self._attachment is not None and self._attachment.was_exhausted(endpoint)

    def forget(self) -> None:
        """In a forked child: connections are the parent's, and its threads do not exist here."""
        self._renewing = threading.Lock()
        endpoint, _ = self.now
        self.now = endpoint, _client(endpoint)

    def close(self) -> None:
        """Stop using the engine."""
        _, client = self.now
        if client is not None:
            client.close()
        if self._attachment is not None:
            self._attachment.close()
            self._attachment = None

    def _runs(self, endpoint: Endpoint) -> bool:
        assert self._attachment is not None
        return Endpoint.read(self._attachment.folder) == endpoint


def _client(endpoint: Endpoint) -> CounterClient | None:
    return CounterClient(endpoint.counters) if endpoint.counters else None
