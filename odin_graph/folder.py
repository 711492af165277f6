"""The workspace folder: ``workspace.json`` marks it, and it contains ``engine/``, ``arrays/`` and ``cache/``."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from odin_graph.errors import (
    MissingWorkspaceError,
    OdinError,
    SchemaVersionError,
    SpaceError,
    StoreError,
    WorkspaceError,
)

MARK: Final = "workspace.json"
FORMAT: Final = 1
"""Version of the folder layout. The schema of the graph has its own."""
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FRESH: Final = ".workspace-"
"""Prefix of a file of another process that makes the same workspace right now."""


def prepare_folder(folder: Path, *, create: bool) -> None:
    """Check that a folder is a workspace, or make it one.

    Raises:
        MissingWorkspaceError: There is none, and ``create`` is false.
        WorkspaceError: It is something else.
        SchemaVersionError: A newer odin_graph made it.
    """
    mark = folder / MARK
    try:
        if mark.exists():
            _check(folder, mark)
            return
        if folder.exists() and (
            not folder.is_dir() or any(not entry.name.startswith(_FRESH) for entry in folder.iterdir())
        ):
            if mark.exists():  # another process has made it meanwhile
                return
            raise WorkspaceError(f"{folder} exists and is not a workspace: choose a new name, or an empty folder.")
        if not create:
            raise MissingWorkspaceError(f"There is no workspace at {folder}: open it with create=True to make one.")
        folder.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(dir=folder, prefix=_FRESH)
        with os.fdopen(handle, "w") as out:
            json.dump({"format": FORMAT}, out)
        Path(fresh).replace(mark)
    except OdinError:
        raise
    except OSError as error:
        raise WorkspaceError(
            f"A workspace cannot be {'opened' if _exists(mark) else 'made'} at {folder}: {error.strerror}. Choose a "
            "folder you may write to."
        ) from error


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Turn errors of the system about a file or folder of the user into errors of ours.

    Raises:
        SpaceError: No space is left.
        StoreError: It cannot be written.
    """
    try:
        yield
    except OdinError:
        raise
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise SpaceError(
                f"No space is left to write {path}; nothing of it is kept. Make room or choose another place, and "
                "call again."
            ) from error
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}. Choose an existing folder where you may write."
        ) from error


def make_inside(folder: Path, root: Path) -> None:
    """Make a folder, and those above it below a root. A root that is gone was moved or deleted, and is not made again.

    Raises:
        OSError: The root does not exist, or the system refuses.
    """
    if folder != root and not folder.is_dir():
        make_inside(folder.parent, root)
        folder.mkdir(exist_ok=True)


def make_near(folder: Path, levels: int = 2) -> None:
    """Make a folder of a cache and missing parents, at most ``levels`` folders: never the workspace folder itself.

    Raises:
        OSError: More is missing, or the system refuses.
    """
    try:
        folder.mkdir(exist_ok=True)
    except FileNotFoundError:
        if levels <= 1:
            raise
        make_near(folder.parent, levels - 1)
        folder.mkdir(exist_ok=True)


def _exists(mark: Path) -> bool:
    try:
        return mark.exists()
    except OSError:
        return True


def _check(folder: Path, mark: Path) -> None:
    try:
        found = int(json.loads(mark.read_text())["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(f'{mark} is damaged: restore it, or write {{"format": {FORMAT}}} into it.') from error
    if found > FORMAT:
        raise SchemaVersionError(
            f"The workspace {folder} has format {found}, this odin_graph knows {FORMAT}: "
            "upgrade odin_graph (pip install --upgrade odin-graph)."
        )
