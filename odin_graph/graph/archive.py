"""The engine's classes as Java has loaded and linked them once, in the user's cache: a start takes half the work.

Made by `odin_graph.graph.rehearsal`, a process of its own, after the first start that had none.
``ODIN_ENGINE_ARCHIVE=0`` does without.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_SWITCH: Final = "ODIN_ENGINE_ARCHIVE"
_AGAIN: Final = 86_400.0
"""Seconds after which an archive that could not be made is tried again."""


def archive_of(options: Sequence[str]) -> Path | None:
    """The path of the installed engine's archive, whether it exists or not; None if there is to be none.

    Args:
        options: Java's options, with which an archive must have been made.
    """
    if os.environ.get(_SWITCH) == "0":
        return None
    try:
        spec = importlib.util.find_spec("arcadedb_embedded")
        package = Path((spec.submodule_search_locations or [""])[0]) if spec is not None else Path()
        parts = [(package / "jre" / "release").read_text(), *options]
        parts += [f"{jar.name} {jar.stat().st_size} {jar.stat().st_mtime_ns}" for jar in sorted(package.glob("jars/*"))]
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "odin-graph" / "engine"
        return home / f"{hashlib.sha256(f'{package} {parts}'.encode()).hexdigest()[:20]}.aot"
    except (OSError, RuntimeError):  # another Java than the wheel's; a user without a home
        return None


def use(archive: Path | None) -> list[str]:
    """Java's options to use an archive, if it exists. Java checks that it fits, and does without if not."""
    if archive is None:
        return []
    try:
        os.utime(archive)  # of several environments' archives, the ones that are used stay
    except OSError:
        return []
    # The profiles in the archive would have the optimizing compiler begin at once, which costs more than it gives.
    profiles = ["-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTReplayTraining"]
    return ["-XX:+IgnoreUnrecognizedVMOptions", *profiles, f"-XX:AOTCache={archive}"]


def make_later(archive: Path | None) -> None:
    """Start a process that makes a missing archive; nobody waits for it."""
    if archive is None or archive.exists():
        return
    log_file = archive.with_suffix(".log")
    with suppress(OSError):
        archive.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if log_file.exists() and time.time() - log_file.stat().st_mtime < _AGAIN:
            return  # it is being made, or cannot be
        with log_file.open("wb") as log:
            subprocess.Popen(
                [sys.executable, "-m", "odin_graph.graph.rehearsal"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
            )
