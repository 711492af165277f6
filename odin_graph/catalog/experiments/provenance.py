"""What an experiment ran with: the commit of the working folder and the packages of the process."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

_SECONDS = 10


def commit_of(folder: Path) -> str | None:
    """The git commit of a folder, with ``-dirty`` where tracked files differ from it; None outside a repository."""
    head = _git(folder, "rev-parse", "--verify", "HEAD")
    if head is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{head}-dirty" if changed else head


@cache
def package_versions() -> dict[str, str]:
    """Every installed distribution and its version, and that of Python."""
    found = {dist.name: dist.version for dist in distributions() if dist.name}
    return {"python": ".".join(map(str, sys.version_info[:3])), **dict(sorted(found.items()))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed words, no shell
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
