"""The user's cache folder, as tests see it: what is theirs goes elsewhere, and what takes long to make is shared."""

from __future__ import annotations

import os
from pathlib import Path

SHARED = ("engine", "neo4j", "s3proxy")
"""Of ours: the archive of the embedded engine's classes, and servers from Maven's jars."""


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
    for other in real.iterdir():
        if other.name != ours.name:
            (folder / other.name).symlink_to(other)
    os.environ["XDG_CACHE_HOME"] = str(folder)
