"""Open the engine of a workspace folder: attach to the one that runs, or start one as a child of its own session."""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from odin_graph.errors import EngineStartError, OdinError, SpaceError, WorkspaceError
from odin_graph.graph.claim import CHECKING, REFUSED
from odin_graph.graph.endpoint import FILE, LEAST_SPACE, Endpoint, loopback
from odin_graph.graph.locks import alone, hold, leads_to, release

START_SECONDS: Final = 180.0
"""Seconds after which a start has failed. It takes two or three on an idle machine, minutes on an overloaded one."""
LOG_LINES: Final = 15
LOG_BYTES: Final = 1 << 20
"""A larger log is put aside at the next start, in place of the one before."""
EXHAUSTED: Final = "java.lang.OutOfMemoryError"
"""The word in the log of an engine that ended because a statement took all its memory."""
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_GONE: Final = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


class Attachment:
    """The use of a folder's engine, from `open_embedded` to `close`; a forked child shares it.

    The engine runs while any process holds the lock ``users.lock`` of the folder, and stops a few seconds after the
    last of them has ended, in whatever way.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._users = folder / "users.lock"
        self._user = hold(self._users)

    def check_place(self) -> None:
        """Refuse a folder that is no longer the one that was opened.

        Raises:
            WorkspaceError: It was moved, deleted, or replaced by another.
        """
        if not leads_to(self._users, self._user):
            raise moved(self.folder.parent)

    def endpoint(self) -> Endpoint:
        """The endpoint of the engine; starts it if it does not run.

        Raises:
            EngineStartError: It did not start; the message ends with the end of its log.
            WorkspaceError: The folder was moved or deleted, cannot be written to, or is in use on another machine.
        """
        self.check_place()
        with _plain_errors(self.folder):
            endpoint = self._running()
            if endpoint is None:
                with alone(self.folder / "start.lock"):  # of two that start at once, the second attaches
                    endpoint = self._running() or _start(self.folder)
        return endpoint

    def was_exhausted(self, endpoint: Endpoint) -> bool:
        """Whether the engine that ran there ended because a statement took all its memory."""
        return EXHAUSTED in _log_text(self.folder / "engine.log", endpoint.log)

    def close(self) -> None:
        """Stop using it."""
        release(self._user)

    def _running(self) -> Endpoint | None:
        endpoint = Endpoint.read(self.folder)
        if endpoint is not None and endpoint.loopback != loopback():
            raise WorkspaceError(
                f"{self.folder.parent} is open on another machine or in another container, whose engine is not reached "
                "from here: serve it there with `odin serve` and connect to its address, or use a Neo4j server."
            )
        return endpoint


def open_embedded(folder: Path) -> tuple[Endpoint, Attachment]:
    """The engine of a workspace folder, and what to close when it is not used any more.

    Raises:
        EngineStartError: It did not start; the message ends with the end of its log.
        WorkspaceError: The folder cannot be written to.
    """
    if folder.is_symlink():  # a copy of the workspace would bring the link along, and share the graph
        raise WorkspaceError(
            f"{folder} is a link. A copy of {folder.parent} would write to the same graph: move the folder behind the "
            "link to its place, or move the whole workspace, and link to that."
        )
    with _plain_errors(folder):
        folder.mkdir(exist_ok=True, mode=0o700)
        attachment = Attachment(folder)
    try:
        return attachment.endpoint(), attachment
    except BaseException:
        attachment.close()
        raise


def moved(workspace: Path | str) -> WorkspaceError:
    """The error for a folder that is gone."""
    return WorkspaceError(
        f"{workspace} is not the folder any more that was opened: it was moved, deleted or replaced meanwhile. Nothing "
        "is written there; open the workspace where it is now, with og.connect(...)."
    )


@contextmanager
def _plain_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError about the engine's folder into one of our errors."""
    try:
        yield
    except OdinError:
        raise
    except OSError as error:
        if error.errno in _FULL:
            raise SpaceError(f"No space is left at {folder}: make room, and open the workspace again.") from error
        if error.errno in _GONE:
            raise moved(folder.parent) from error
        raise WorkspaceError(
            f"{folder.parent} cannot be opened: {error.strerror or error} ({error.filename}). The graph engine writes "
            "into its folder, even if you only read: copy the workspace to a place where you may write, or get the "
            "right to write here."
        ) from error


def _start(folder: Path) -> Endpoint:
    if importlib.util.find_spec("arcadedb_embedded") is None:
        raise EngineStartError(
            "The embedded graph engine (arcadedb-embedded) has no wheel for this platform, or is not installed. "
            'Give the address of a Neo4j server: og.connect(graph="neo4j://host", arrays="folder").'
        )
    log = folder / "engine.log"
    (folder / FILE).unlink(missing_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
        begins = out.seek(0, os.SEEK_END)
        keeper = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "odin_graph.graph.keeper", str(folder), str(begins)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd="/",  # it keeps no folder of the user's busy
            start_new_session=True,  # Ctrl-C in the user's terminal is not meant for it
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
    # It outlives this call, and may outlive this process. Should it end first, somebody has to collect it.
    threading.Thread(target=keeper.wait, name="keeper of the graph engine", daemon=True).start()
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until or CHECKING in _log_text(log, begins):
        ended = keeper.poll() is not None  # asked first: a keeper ends where another one has come to serve
        endpoint = Endpoint.read(folder)
        if endpoint is not None:
            return endpoint
        if ended:
            raise _failed(folder, log, begins, f"ended as it started (exit {keeper.returncode})")
        time.sleep(0.02)
    keeper.kill()
    raise _failed(folder, log, begins, f"did not start within {START_SECONDS:.0f} s")


def _failed(folder: Path, log: Path, begins: int, how: str) -> OdinError:
    """Why a start failed: a full disk, which the log cannot tell, the keeper's refusal, or the end of the log."""
    text = _log_text(log, begins)
    for line in text.splitlines():
        if line.startswith(REFUSED):
            return WorkspaceError(line.removeprefix(REFUSED))
    full = shutil.disk_usage(folder).free < LEAST_SPACE
    room = f"No space is left at {folder}: make room, and open the workspace again.\n" if full else ""
    end = "\n".join(text.splitlines()[-LOG_LINES:])
    return EngineStartError(f"The graph engine of {folder} {how}.\n{room}The end of {log}:\n{end}")


def _log_text(log: Path, begins: int) -> str:
    """The text of a log from a position on."""
    try:
        with log.open("rb") as file:
            file.seek(begins)
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
