"""Backups of a workspace that is in use: a folder that is a workspace itself, as it was at one moment.

The graph is copied first, as of one moment. What it names was written before and never changes, so the files of the
arrays can be copied while others write further ones.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from odin_graph.arrays import StoredFile
from odin_graph.arrays.files import FRESH, Files
from odin_graph.errors import ConflictError, MissingWorkspaceError, OdinError, SpaceError, StoreError, WorkspaceError
from odin_graph.folder import MARK, prepare_folder
from odin_graph.graph.dump import dump
from odin_graph.graph.endpoint import Endpoint
from odin_graph.progress import progress_bar
from odin_graph.stores import Stores

_TRIES: Final = 50
"""A purge or compaction meanwhile removes files that the copy of the graph names: then what is new is copied again."""
_GOING: Final = 10.0
"""Seconds in which what is being removed is gone."""
_OWNER: Final = "workspace.json"


@dataclass(frozen=True)
class BackupReport:
    """What a backup contains."""

    folder: Path
    files: int
    bytes: int
    """Of the arrays."""

    def __str__(self) -> str:
        """One line."""
        return f"{self.folder}: {self.files:,} files, {self.bytes / 2**20:,.1f} MiB of arrays, and the graph"


def back_up(stores: Stores, target: Path, *, progress: bool = True) -> BackupReport:
    """Copy a workspace, which others may use meanwhile, into a new folder. If interrupted, call it again: it continues.

    Args:
        stores: The open workspace, with the embedded engine.
        target: A folder that does not exist. It opens like any workspace.
        progress: Show a progress bar.

    Raises:
        WorkspaceError: The target exists, or the graph is a server.
        SpaceError: No space is left; what was copied is kept for the next call.
        ConflictError: Purges went on and on meanwhile.
    """
    target = target.expanduser().resolve()
    if target.exists():
        raise WorkspaceError(f"{target} exists: give a folder that does not, so that no older backup is overwritten.")
    if stores.address.folder is not None and target.is_relative_to(Path(stores.address.folder).resolve()):
        raise WorkspaceError(f"{target} is inside the workspace itself: give a folder outside of it.")
    partial = target.with_name(f".{target.name}.partial")
    try:
        for _ in range(_TRIES):
            shutil.rmtree(partial / "engine", ignore_errors=True)
            partial.mkdir(parents=True, exist_ok=True, mode=0o700)
            before = {file.uri for file in _listed(stores)}
            dump(stores.graph.endpoint, partial / "engine" / "databases")
            copied = _copy_arrays(stores, partial / "arrays", progress=progress)
            if before <= copied.keys():
                break
        else:
            raise ConflictError(
                f"Images are being added to {stores.address} or purged from it all the time: back it up later."
            )
        prepare_folder(partial / "mark", create=True)
        (partial / "mark" / MARK).replace(partial / MARK)
        (partial / "mark").rmdir()
        _sync(partial)
        partial.rename(target)
    except OdinError:  # a SpaceError of the engine is an OSError too
        raise
    except OSError as error:
        kind = SpaceError if error.errno == 28 else WorkspaceError  # ENOSPC
        raise kind(
            f"The backup cannot be written to {target}: {error.strerror or error}. Make room or choose another place, "
            "and call again: it continues where it stopped."
        ) from error
    return BackupReport(target, len(copied), sum(copied.values()))


def restore(backup: Path, target: Path, *, progress: bool = True) -> None:
    """Make a workspace of a backup, which stays as it is.

    Args:
        backup: The folder of a backup, or of a workspace that nobody has open.
        target: A folder that does not exist.
        progress: Show a progress bar.

    Raises:
        MissingWorkspaceError: There is no workspace in the folder.
        WorkspaceError: The target exists, or somebody has the backup open.
    """
    backup, target = backup.expanduser().resolve(), target.expanduser().resolve()
    prepare_folder(backup, create=False)
    databases = backup / "engine" / "databases"
    if not databases.is_dir():
        raise MissingWorkspaceError(f"{backup} is not a backup: it contains no graph.")
    if target.exists():
        raise WorkspaceError(f"{target} exists: give a folder that does not, so that no workspace is overwritten.")
    if Endpoint.read(backup / "engine") is not None:
        raise WorkspaceError(f"{backup} is open: close it, or make a copy of it as it is with `odin backup`.")
    if target.is_relative_to(backup):
        raise WorkspaceError(f"{target} is inside the backup itself: give a folder outside of it.")
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    files = [file for folder in (databases, backup / "arrays") for file in sorted(folder.rglob("*")) if file.is_file()]
    try:
        partial.mkdir(parents=True, mode=0o700)
        with progress_bar(f"restore {backup.name}", len(files), show=progress) as advance:
            for file in [*files, backup / MARK]:
                into = partial / file.relative_to(backup)
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, into)
                advance(1 if file.name != MARK else 0)
        _sync(partial)
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        kind = SpaceError if error.errno == 28 else WorkspaceError  # ENOSPC
        raise kind(f"{target} cannot be written: {error.strerror or error}. Nothing of it is kept.") from error


def _copy_arrays(stores: Stores, target: Path, *, progress: bool) -> dict[str, int]:
    """Copy what stands below the arrays' root now; the bytes of each file or segment that was copied, by its uri."""
    raw, listed = stores.arrays.raw, _listed(stores)
    copied: dict[str, int] = {}
    with progress_bar("back up arrays", len(listed), show=progress) as advance:
        for file in listed:
            if (size := _copied(raw, file.uri, target)) is not None:
                copied[file.uri] = size
            advance(1)
    target.mkdir(parents=True, exist_ok=True)
    for stale in target.glob("*/*"):  # of an earlier try: purged since, and so not to live on in a copy
        if stale.relative_to(target).as_posix() not in copied:
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    (target / _OWNER).write_bytes(raw.read(_OWNER))
    return copied


def _copied(raw: Files, uri: str, target: Path) -> int | None:
    """Copy a file or segment, and give its bytes; None where it is purged, or collected as garbage, meanwhile.

    That takes a moment, in which some of it is gone: whether it goes on being there is waited for.
    """
    until = time.monotonic() + _GOING
    while True:
        try:
            return _copy(raw, uri, target)
        except StoreError:
            shutil.rmtree(target / uri, ignore_errors=True)
            if not raw.exists(uri):
                return None
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _copy(raw: Files, uri: str, target: Path) -> int:
    path = raw.path(uri)
    tree = raw.tree(path)
    for name, size in tree:
        into = target / uri / name if name else target / uri
        if into.is_file() and into.stat().st_size == size:
            continue  # of a call that was interrupted: what is stored never changes
        into.parent.mkdir(parents=True, exist_ok=True)
        fresh = into.with_name(into.name + ".part")
        fresh.write_bytes(raw.get(f"{path}/{name}" if name else path))
        fresh.replace(into)
    if sorted(raw.tree(path)) != sorted(tree):
        raise StoreError(f"{path} changes while it is copied.")
    return sum(size for _, size in tree)


def _listed(stores: Stores) -> list[StoredFile]:
    return [file for file in stores.arrays.files() if not file.uri.startswith(f"{FRESH}/")]


def _sync(folder: Path) -> None:
    """Let what was copied outlive a crash of the machine."""
    for path, _, names in os.walk(folder):
        for name in [*names, "."]:
            handle = os.open(os.path.join(path, name), os.O_RDONLY)  # noqa: PTH118 - thousands of files
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
