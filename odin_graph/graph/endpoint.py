"""How to reach an engine: an address, a log-in that writes, and one that only reads if the engine supports it."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, Self

from odin_graph.graph.locks import is_seized

LEAST_SPACE: Final = 1 << 20
"""Bytes that an embedded engine cannot work without."""
FILE: Final = "endpoint.json"
LOCK: Final = "keeper.lock"
"""The keeper of a folder's engine locks it as long as it lives."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A graph engine that answers, or did when this was written."""

    address: str
    user: str
    password: str = field(repr=False)
    """Of the embedded engine: new at each start, so that no other engine, and no later one, accepts it."""
    database: str | None = None
    reader: str | None = None
    """The log-in that only reads; None where the engine has no such users (Neo4j Community)."""
    reader_password: str | None = field(default=None, repr=False)
    http: str | None = None
    """The embedded engine's own HTTP address, for its record counters."""
    generation: str = ""
    """Of the change counters: they start again at 0 with the engine."""
    counted: tuple[int, ...] = ()
    """The counters when the engine was last stopped cleanly."""
    folder: str = ""
    """The embedded engine's own, on this machine, as its keeper knows it."""
    place: tuple[int, int] = (0, 0)
    """Device and inode of that folder. Its keeper has it open, so that no other folder can have them."""
    loopback: str = ""
    """The loopback interface that the address is on."""
    pid: int = 0
    """The keeper's."""
    counters: str = ""
    """The keeper's socket that tells the engine's counters; empty where there is none."""
    columns: str = ""
    """The keeper's socket that hands out columns; empty where there is none."""
    log: int = 0
    """The offset of this engine's log in ``engine.log``."""

    def write(self, folder: Path) -> None:
        """Write it into an engine's folder, whole or not at all, readable by this user alone."""
        handle, name = tempfile.mkstemp(dir=folder, prefix=".endpoint-")  # made with mode 0600
        try:
            with os.fdopen(handle, "w") as out:
                json.dump(asdict(self), out)
                out.flush()
                os.fsync(out.fileno())
            Path(name).replace(folder / FILE)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """The endpoint of an engine's folder whose keeper lives; None where there is none.

        None as well for the endpoint of another folder, which a copy brings along, and if the keeper knows the folder
        by a former name: such a keeper ends by itself.
        """
        try:
            stored = json.loads((folder / FILE).read_text())
            endpoint = cls(**{**stored, "counted": tuple(stored["counted"]), "place": tuple(stored["place"])})
            status = Path(endpoint.folder).stat()
            if place_of(folder) != endpoint.place or (status.st_dev, status.st_ino) != endpoint.place:
                return None
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return endpoint if endpoint.alive() else None

    def alive(self) -> bool:
        """Whether its keeper lives. The kernel tells, by a lock that ends with the process: no clock takes part."""
        try:
            return place_of(Path(self.folder)) == self.place and is_seized(Path(self.folder) / LOCK)
        except OSError:
            return False


def place_of(folder: Path) -> tuple[int, int]:
    """Device and inode of a folder."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def loopback() -> str:
    """Names what this process means by 127.0.0.1: this machine since it was started, and its container."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/net').stat().st_ino}"
    return socket.gethostname()
