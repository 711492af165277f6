"""Whose code a user vouched for, kept: by workspace (of a server: its address) and digest, in the user's own file.

It lies beside the user's other settings and not in the workspace, so that nobody who writes the workspace can vouch for
what it holds. Changed code has another digest, and is asked about again.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from odin_graph.warned import warn


def trust_file() -> Path:
    """The file of decisions: under ``$XDG_CONFIG_HOME``, by default ``~/.config``."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "odin-graph" / "trusted.json"


def trusted(origin: str) -> frozenset[str]:
    """The digests of definitions that this user vouched for in this workspace."""
    return frozenset(_read().get(origin, ()))


def keep(origin: str, digest: str) -> None:
    """Keep that this user vouched for a definition; where nothing can be written it holds for this process alone."""
    if digest in trusted(origin):
        return
    try:
        _change(lambda decisions: decisions.setdefault(origin, []).append(digest))
    except OSError as error:
        warn(
            f"The decision to trust the code cannot be kept in {trust_file()} ({error.strerror}): it is valid only in "
            "this process.",
            UserWarning,
        )


def revoke(origin: str, digest: str | None = None) -> int:
    """Forget a decision, by default all of this workspace; how many."""
    gone = trusted(origin) if digest is None else trusted(origin) & {digest}

    def forget(decisions: dict[str, list[str]]) -> None:
        left = [known for known in decisions.pop(origin, []) if known not in gone]
        if left:
            decisions[origin] = left

    if gone:
        _change(forget)
    return len(gone)


def _read() -> dict[str, list[str]]:
    file = trust_file()
    try:
        about = file.stat()
        text = file.read_text(encoding="utf-8")
    except OSError:
        return {}
    if about.st_uid != os.getuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        warn(
            f"{file} is not read, because others may have written it. It lists the code that you trust. "
            f"Look at it, and chmod 600 it or remove it.",
            UserWarning,
        )
        return {}
    try:
        decisions = json.loads(text)
    except ValueError:
        return {}
    return decisions if isinstance(decisions, dict) else {}


def _change(change: Callable[[dict[str, list[str]]], object]) -> None:
    """Read, change and replace the file whole, one process at a time."""
    file = trust_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone(file.with_suffix(".lock")):
        decisions = _read()
        change(decisions)
        handle, name = tempfile.mkstemp(dir=file.parent)  # of mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as new:
                json.dump(decisions, new, indent=1, sort_keys=True)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    handle = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
