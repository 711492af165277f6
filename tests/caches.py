"""The user's cache folder, as tests see it: what is theirs goes elsewhere, and what takes long to make is shared."""

from __future__ import annotations

import os
import sys
from pathlib import Path

SHARED = ("neo4j", "s3proxy")
"""Of ours: servers from Maven's jars."""
ARCHIVES = Path(sys.prefix) / "odin-graph-engine"
"""Where the archive of the embedded engine's classes is kept: of one environment, since a user's few would be evicted
by those of others, and each start of an engine would take twice as long."""


def own_cache(folder: Path) -> None:
    """Make an empty folder the user's cache: the caches of other programs are there, and of ours those that are shared.

    A workspace on a server has its cache in the user's folder, and every test has a workspace.
    """
    real = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    ours = folder / "odin-graph"
    ours.mkdir()
    for name in SHARED:
        (real / "odin-graph" / name).mkdir(parents=True, exist_ok=True)
        (ours / name).symlink_to(real / "odin-graph" / name)
    ARCHIVES.mkdir(exist_ok=True)
    (ours / "engine").symlink_to(ARCHIVES)
    for other in real.iterdir():
        if other.name != ours.name:
            (folder / other.name).symlink_to(other)
    os.environ["XDG_CACHE_HOME"] = str(folder)
