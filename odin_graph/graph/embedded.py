"""Open the engine of a workspace folder: attach to the one that runs, or start one as a child of its own session."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from odin_graph.errors import EngineStartError
from odin_graph.graph.endpoint import LEAST_SPACE, Endpoint
from odin_graph.graph.locks import alone, hold, release

START_SECONDS: Final = 60.0
"""After which a start has failed. It takes about three on an idle machine."""
LOG_LINES: Final = 15
LOG_BYTES: Final = 1 << 20
"""Above which a log is put aside at the next start, in place of the one before."""


def open_embedded(folder: Path) -> tuple[Endpoint, Callable[[], None]]:
    """The engine of a workspace folder, and the call that stops using it.

    The engine stays up while any process holds the folder's users' lock, and stops by itself a few seconds after the
    last one has gone, however it went.

    Raises:
        EngineStartError: It did not start; the message ends with the end of its log.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    user = hold(folder / "users.lock")
    try:
        endpoint = Endpoint.read(folder / "endpoint.json")
        if endpoint is None:
            with alone(folder / "start.lock"):  # of two that start at once, the second attaches
                endpoint = Endpoint.read(folder / "endpoint.json") or _start(folder)
    except BaseException:
        release(user)
        raise
    return endpoint, lambda: release(user)


def _start(folder: Path) -> Endpoint:
    if importlib.util.find_spec("arcadedb_embedded") is None:
        raise EngineStartError(
            "The embedded graph engine (arcadedb-embedded) has no wheel for this platform, or is not installed. "
            'Give the address of a Neo4j server: og.connect(graph="neo4j://host", arrays="folder").'
        )
    log = folder / "engine.log"
    (folder / "endpoint.json").unlink(missing_ok=True)
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
        keeper = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "odin_graph.graph.keeper", str(folder)],
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
    while time.monotonic() < until:
        ended = keeper.poll() is not None  # asked first: a keeper ends where another one has come to serve
        endpoint = Endpoint.read(folder / "endpoint.json")
        if endpoint is not None:
            return endpoint
        if ended:
            raise EngineStartError(
                f"The graph engine of {folder} ended as it started (exit {keeper.returncode}).\n{_end(log)}"
            )
        time.sleep(0.02)
    keeper.kill()
    raise EngineStartError(f"The graph engine of {folder} did not start within {START_SECONDS:.0f} s.\n{_end(log)}")


def _end(log: Path) -> str:
    """Why it failed: a full disk, which the log itself cannot tell, and the end of the log."""
    full = shutil.disk_usage(log.parent).free < LEAST_SPACE
    room = f"No space is left at {log.parent}: make room, and open the workspace again.\n" if full else ""
    lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
    return f"{room}The end of {log}:\n" + "\n".join(lines)
