"""The engine's classes as Java has loaded and linked them once, in the user's cache: a start takes half of the work.

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
    """Where the archive of the installed engine is, or is to be; None where there is to be none.

    Args:
        options: Of Java, which an archive has to have been made with.
    """
    if os.environ.get(_SWITCH) == "0":
        return None
    try:
        spec = importlib.util.find_spec("arcadedb_embedded")
        package = Path((spec.submodule_search_locations or [""])[0]) if spec is not None else Path()
        said = [(package / "jre" / "release").read_text(), *options]
        said += [f"{jar.name} {jar.stat().st_size} {jar.stat().st_mtime_ns}" for jar in sorted(package.glob("jars/*"))]
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "odin-graph" / "engine"
        return home / f"{hashlib.sha256(f'{package} {said}'.encode()).hexdigest()[:20]}.aot"
    except (OSError, RuntimeError):  # another Java than the wheel's; a user without a home
        return None


def use(archive: Path | None) -> list[str]:
    """The options of Java that use an archive, if it is there. Java checks that it fits, and does without if not."""
    if archive is None:
        return []
    try:
        os.utime(archive)  # of several environments' archives, the ones that are used stay
    except OSError:
        return []
    return ["-XX:+IgnoreUnrecognizedVMOptions", f"-XX:AOTCache={archive}"]


def make_later(archive: Path | None) -> None:
    """Have an archive made that is not there, by a process that nobody waits for."""
    if archive is None or archive.exists():
        return
    words = archive.with_suffix(".log")
    with suppress(OSError):
        archive.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if words.exists() and time.time() - words.stat().st_mtime < _AGAIN:
            return  # it is being made, or cannot be
        with words.open("wb") as log:
            subprocess.Popen(
                [sys.executable, "-m", "odin_graph.graph.rehearsal"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                start_new_session=True,
            )
