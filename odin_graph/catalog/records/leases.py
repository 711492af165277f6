"""Leases: which process is writing to an unfinished node.

A lease is two properties of the node, ``lease_owner`` and ``lease_until`` (seconds, by the engine clock). A thread
renews it. A lease that has expired, or whose owner was a process of this machine that has ended, is taken over by the
next process that makes the same call.
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
from odin_graph.graph.journal import NO_IMAGE

SECONDS = 300.0
"""How long a lease is valid. Renewals are rare, because each of them makes cached columns stale."""

LOCK = "odin_lock"
"""A property that a transaction sets to lock a node, and removes before it commits."""

_log = logging.getLogger(__name__)
_ended: set[str] = set()
"""Owners of this process that have ended, though the graph could not be told: nobody waits for these here."""


@dataclass(frozen=True, slots=True)
class Holder:
    """The current or last owner of a lease."""

    owner: str
    live: bool

    def __str__(self) -> str:
        """The process, for people."""
        host, pid, *_ = self.owner.rsplit(":", 3)
        return f"process {pid} on {host.split('/')[0]}"


class Lease:
    """An acquired lease. A daemon thread renews it until it is released; also a context manager.

    Args:
        graph: The graph of the node.
        label: The label of the node, one of ours.
        id: The id of the node.
        owner: The owner, from `new_owner`.
        seconds: How long a renewal is valid.
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
        """Raise if another process has taken over. The node stays locked for the transaction.

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
        """Stop renewing, and release the lease. The node may be finished, or deleted, by then."""
        self._stop.set()
        if self._lost or os.getpid() != self._pid:
            return
        _ended.add(self.owner)
        self._graph.write(
            f"MATCH (n:{self.label} {{id: $id}}) WHERE n.lease_owner = $owner "
            "SET n.lease_owner = null, n.lease_until = null",
            {"id": self.id, "owner": self.owner},
        )
        _ended.discard(self.owner)

    def __enter__(self) -> Self:
        """The lease itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release it; a failing release does not hide an error of the block."""
        try:
            self.release()
        except OdinError:
            if error is None:
                raise
            _log.warning("The lease of %s %r could not be released.", self.label, self.id, exc_info=True)

    def _renew_until_stopped(self) -> None:
        while not self._stop.wait(self._seconds / 3):
            try:
                renewed = self._graph.write(
                    f"MATCH (n:{self.label} {{id: $id}}) WHERE n.lease_owner = $owner "
                    "SET n.lease_until = timestamp() / 1000.0 + $seconds RETURN n.id AS id",
                    {"id": self.id, "owner": self.owner, "seconds": self._seconds},
                )
                if not renewed:
                    return
                if self.beat is not None:
                    self.beat()
            except OdinError:  # the engine may answer again before the lease expires; `check` decides
                _log.warning("The lease of %s %r could not be renewed.", self.label, self.id, exc_info=True)


def new_owner() -> str:
    """A name for a holder: ``host/namespace:pid:start:token``."""
    return f"{_host()}:{os.getpid()}:{_started(os.getpid())}:{secrets.token_hex(4)}"


def holder(graph: Graph, label: str, id: str) -> Holder | None:  # noqa: A002
    """The holder of the lease of a node; None if there is none."""
    rows = graph.read(f"MATCH (n:{label} {{id: $id}}) RETURN {FIELDS}", {"id": id})
    return of_row(rows[0]) if rows else None


FIELDS = "n.lease_owner AS lease_owner, n.lease_until > timestamp() / 1000.0 AS lease_holds"
"""The columns of a node ``n`` for `of_row`."""


def of_row(row: dict[str, object]) -> Holder | None:
    """The holder in a row of `FIELDS`."""
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
    """Acquire the lease of an existing node, if needed from a process that has ended.

    Raises:
        ConflictError: A live process has it.
    """
    owner = new_owner()
    current = holder(graph, label, id)
    if current is not None and current.live:
        raise busy(label, id, current)
    previous = "" if current is None else current.owner

    def take(tx: Transaction) -> bool:
        _lock(tx, label, id)
        return bool(
            tx.run(
                f"MATCH (n:{label} {{id: $id}}) WHERE coalesce(n.lease_owner, '') = $previous "
                "SET n.lease_owner = $owner, n.lease_until = timestamp() / 1000.0 + $seconds RETURN n.id AS id",
                {"id": id, "owner": owner, "previous": previous, "seconds": seconds},
            )
        )

    try:
        taken = graph.execute(take)
    except BaseException:
        _ended.add(owner)  # the engine may have stored it before it went
        raise
    if not taken:
        winner = holder(graph, label, id)
        raise busy(label, id, winner or Holder(owner, live=True))
    return Lease(graph, label, id, owner, seconds=seconds)


def is_held(tx: Transaction, label: str, id: str, owner: str) -> bool:  # noqa: A002
    """Whether the owner has the lease, which then stays so until the transaction ends."""
    _lock(tx, label, id)
    return bool(
        tx.run(
            f"MATCH (n:{label} {{id: $id}}) WHERE n.lease_owner = $owner RETURN n.id AS id", {"id": id, "owner": owner}
        )
    )


def busy(label: str, id: str, writer: Holder) -> ConflictError:  # noqa: A002
    """The error to raise when a live process has the lease."""
    return ConflictError(
        f"{label} {id!r} is being written by {writer}. Wait until it is finished, or end that process; "
        f"a process that is not heard of for {SECONDS:.0f} seconds loses its claim."
    )


def _lock(tx: Transaction, label: str, id_: str) -> None:
    # Neo4j locks what is written, not what is read: later statements of the transaction read under this lock.
    # ArcadeDB notices at the commit that two transactions have written.
    tx.run(f"MATCH (n:{label} {{id: $id}}) SET n.{LOCK} = true SET n.{LOCK} = null", {"id": id_}, NO_IMAGE)


def _host() -> str:
    # Containers may share a host name without seeing each other's processes, so the name includes the pid namespace.
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
    """Whether the owner has ended: here, or with a process of this machine."""
    if owner in _ended:
        return True
    host, pid, started, _ = owner.rsplit(":", 3)
    return host == _host() and pid.isdigit() and _started(int(pid)) != started
