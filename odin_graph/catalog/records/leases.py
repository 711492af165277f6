"""Who is writing: a lease on a node that is not finished.

A lease is two properties of the node, ``lease_owner`` and ``lease_until`` (seconds, by the engine's clock). A thread
renews it. A lease that ran out, or whose owner was a process of this machine that is gone, is taken over by whoever
makes the same call again.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from odin_graph.errors import ConflictError, OdinError
from odin_graph.graph import Graph, Transaction

SECONDS = 300.0
"""How long a lease holds. Renewals are few, because each of them makes cached columns stale."""

LOCK = "odin_lock"
"""A property that a transaction sets to lock a node, and takes away again before it commits."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds, or last held, a lease."""

    owner: str
    live: bool

    def __str__(self) -> str:
        """The process, as a person looks for it."""
        host, pid, *_ = self.owner.rsplit(":", 3)
        return f"process {pid} on {host.split('/')[0]}"


class Lease:
    """A held lease. Renewed by a daemon thread until it is released; also a context manager.

    Args:
        graph: The graph that holds the node.
        label: The node's label, one of ours.
        id: The node's id.
        owner: Who holds it, as given to `acquire`.
        seconds: How long a renewal lasts.
    """

    def __init__(
        self,
        graph: Graph,
        label: str,
        id: str,  # noqa: A002 - the users' word for it
        owner: str,
        *,
        seconds: float = SECONDS,
    ) -> None:
        self.label, self.id, self.owner = label, id, owner
        self.beat: Callable[[], None] | None = None
        """Called after each renewal, in the renewing thread."""
        self._graph, self._seconds = graph, seconds
        self._pid = os.getpid()
        self._stop = threading.Event()
        self._lost = False
        threading.Thread(target=self._renew_until_stopped, name=f"lease of {id}", daemon=True).start()

    def check(self, tx: Transaction) -> None:
        """Refuse to go on when another process has taken over. The node stays locked for the transaction.

        Raises:
            ConflictError: The lease is not ours any more.
        """
        if not is_held(tx, self.label, self.id, self.owner):
            self._lost = True
            raise ConflictError(
                f"{self.label} {self.id!r} was taken over by another process, because this one was not heard of for "
                f"{self._seconds:.0f} seconds. What it wrote until then is kept: make the same call again."
            )

    def release(self) -> None:
        """Stop renewing, and let go. The node may be finished, or gone, by then."""
        self._stop.set()
        if self._lost or os.getpid() != self._pid:
            return
        self._graph.write(
            f"MATCH (n:{self.label} {{id: $id}}) WHERE n.lease_owner = $owner "
            "SET n.lease_owner = null, n.lease_until = null",
            {"id": self.id, "owner": self.owner},
        )

    def __enter__(self) -> Self:
        """The lease itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it; where an error is on its way already, a failing release does not hide it."""
        try:
            self.release()
        except OdinError:
            if error is None:
                raise
            _log.warning("The lease of %s %r could not be released.", self.label, self.id, exc_info=True)

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(self._seconds / 3):
            try:
                held = self._graph.write(
                    f"MATCH (n:{self.label} {{id: $id}}) WHERE n.lease_owner = $owner "
                    "SET n.lease_until = timestamp() / 1000.0 + $seconds RETURN n.id AS id",
                    {"id": self.id, "owner": self.owner, "seconds": self._seconds},
                )
                if not held:
                    return
                if self.beat is not None:
                    self.beat()
            except OdinError:  # the engine may come back before the lease runs out; `check` decides
                _log.warning("The lease of %s %r could not be renewed.", self.label, self.id, exc_info=True)


def new_owner() -> str:
    """A name for a holder: ``host/namespace:pid:start:token``."""
    return f"{_host()}:{os.getpid()}:{_started(os.getpid())}:{secrets.token_hex(4)}"


def holder(graph: Graph, label: str, id: str) -> Holder | None:  # noqa: A002
    """Who holds the lease of a node; None if nobody does."""
    rows = graph.read(f"MATCH (n:{label} {{id: $id}}) RETURN {FIELDS}", {"id": id})
    return of_row(rows[0]) if rows else None


FIELDS = "n.lease_owner AS lease_owner, n.lease_until > timestamp() / 1000.0 AS lease_holds"
"""What `of_row` reads of a node ``n``."""


def of_row(row: dict[str, object]) -> Holder | None:
    """The holder that a row of `FIELDS` names."""
    owner = row["lease_owner"]
    if not isinstance(owner, str):
        return None
    return Holder(owner, live=row["lease_holds"] is True and not _is_gone(owner))


def acquire(
    graph: Graph,
    label: str,
    id: str,  # noqa: A002
    *,
    seconds: float = SECONDS,
) -> Lease:
    """Take the lease of a node that exists, over from a holder that is gone if need be.

    Raises:
        ConflictError: A live process holds it.
    """
    owner = new_owner()
    seen = holder(graph, label, id)
    if seen is not None and seen.live:
        raise busy(label, id, seen)
    previous = "" if seen is None else seen.owner

    def take(tx: Transaction) -> bool:
        _lock(tx, label, id)
        return bool(
            tx.run(
                f"MATCH (n:{label} {{id: $id}}) WHERE coalesce(n.lease_owner, '') = $previous "
                "SET n.lease_owner = $owner, n.lease_until = timestamp() / 1000.0 + $seconds RETURN n.id AS id",
                {"id": id, "owner": owner, "previous": previous, "seconds": seconds},
            )
        )

    if not graph.execute(take):
        now = holder(graph, label, id)
        raise busy(label, id, now or Holder(owner, live=True))
    return Lease(graph, label, id, owner, seconds=seconds)


def is_held(tx: Transaction, label: str, id: str, owner: str) -> bool:  # noqa: A002
    """Whether the lease is the owner's, which it then is until the transaction ends."""
    _lock(tx, label, id)
    return bool(
        tx.run(
            f"MATCH (n:{label} {{id: $id}}) WHERE n.lease_owner = $owner RETURN n.id AS id", {"id": id, "owner": owner}
        )
    )


def busy(label: str, id: str, held: Holder) -> ConflictError:  # noqa: A002
    """The error of finding a live holder."""
    return ConflictError(
        f"{label} {id!r} is being written by {held}. Wait until it is finished, or end that process; "
        f"a process that is not heard of for {SECONDS:.0f} seconds loses its claim."
    )


def _lock(tx: Transaction, label: str, id_: str) -> None:
    # Neo4j locks what is written, not what is read: a statement that reads after this one reads under the lock.
    # ArcadeDB notices at the commit that both have written.
    tx.run(f"MATCH (n:{label} {{id: $id}}) SET n.{LOCK} = true SET n.{LOCK} = null", {"id": id_})


def _host() -> str:
    # Processes in containers may share a host's name and never see each other: a name ends at the pid namespace.
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}/{namespace.removeprefix('pid:')}"


def _started(pid: int) -> str | None:
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return None


def _is_gone(owner: str) -> bool:
    """Whether the owner was a process of this machine that has ended."""
    host, pid, started, _ = owner.rsplit(":", 3)
    return host == _host() and pid.isdigit() and _started(int(pid)) != started
