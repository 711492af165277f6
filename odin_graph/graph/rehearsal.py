"""Makes the archive of the engine's classes: starts an engine that nobody uses, at lowest priority.

Run as ``python -m odin_graph.graph.rehearsal``.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from odin_graph.graph.archive import archive_of
from odin_graph.graph.claim import Claim
from odin_graph.graph.connection import Graph
from odin_graph.graph.installation import install
from odin_graph.graph.keeper import JVM, start
from odin_graph.graph.locks import release, seize

_RELEASES: Final = 3
"""Archives that are kept, including those of this user's other environments."""


def main() -> None:
    """Start an engine that nobody uses, have it do what every first open does, and keep what Java loaded for it."""
    os.nice(19)
    archive = archive_of(JVM)
    if archive is None:
        return
    archive.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if (lock := seize(archive.with_suffix(".lock"))) is None:
        return  # another process makes it at this moment
    try:
        if archive.exists():
            return
        with tempfile.TemporaryDirectory(prefix="odin-archive-", dir=archive.parent) as folder:
            made = Path(folder) / "made.aot"
            _rehearse(Path(folder) / "engine", [f"-XX:AOTCacheOutput={made}"])
            made.replace(archive)
        for old in sorted(archive.parent.glob("*.aot"), key=lambda file: file.stat().st_mtime)[:-_RELEASES]:
            old.unlink()
            old.with_suffix(".log").unlink(missing_ok=True)  # by which it would pass for one that cannot be made
    finally:
        release(lock)


def _rehearse(folder: Path, options: Sequence[str]) -> None:
    """Start an engine and stop it again, with what a first open does in between; the Java in this process ends.

    Args:
        folder: An empty one.
        options: Of Java.
    """
    import jpype

    folder.mkdir()
    server, endpoint, _ = start(Claim.of(folder), 0, options)
    graph = Graph(endpoint)
    install(graph)
    graph.reserve_keys(1)
    graph.user_read("MATCH (i:Image) WHERE i.key > $key RETURN i.id AS id ORDER BY id LIMIT 1", {"key": 0})
    graph.close()
    server.stop()
    jpype.shutdownJVM()


if __name__ == "__main__":
    main()
