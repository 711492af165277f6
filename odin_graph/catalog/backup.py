"""Backups of a workspace in use: a folder that is itself a workspace, as it was at one moment.

The graph is copied first, at one moment. The files it names were written before and never change, so they can be copied
while others write further ones.
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
"""A concurrent purge or compaction removes files that the copied graph names: then new files are copied again."""
_GOING: Final = 10.0
"""Seconds after which a file that is being removed is gone."""
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
                destination = partial / file.relative_to(backup)
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, destination)
                advance(1 if file.name != MARK else 0)
        _sync(partial)
        partial.rename(target)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        kind = SpaceError if error.errno == 28 else WorkspaceError  # ENOSPC
        raise kind(f"{target} cannot be written: {error.strerror or error}. Nothing of it is kept.") from error


def _copy_arrays(stores: Stores, target: Path, *, progress: bool) -> dict[str, int]:
    """Copy the current files below the root of the arrays; return the bytes of each copied file or segment, by URI."""
    raw, listed = stores.arrays.raw, _listed(stores)
    copied: dict[str, int] = {}
    with progress_bar("back up arrays", len(listed), show=progress) as advance:
        for file in listed:
            if (size := _copied(raw, file.uri, target)) is not None:
                copied[file.uri] = size
            advance(1)
    target.mkdir(parents=True, exist_ok=True)
    for stale in target.glob("*/*"):  # from an earlier try, purged since: must not survive in the copy
        if stale.relative_to(target).as_posix() not in copied:
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    (target / _OWNER).write_bytes(raw.read(_OWNER))
    return copied


def _copied(raw: Files, uri: str, target: Path) -> int | None:
    """Copy a file or segment and return its bytes; None if it is purged or collected as garbage meanwhile.

    A removal takes a moment: this waits until an incomplete segment is gone.
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
        destination = target / uri / name if name else target / uri
        if destination.is_file() and destination.stat().st_size == size:
            continue  # from an interrupted call: stored files never change
        destination.parent.mkdir(parents=True, exist_ok=True)
        partial_file = destination.with_name(destination.name + ".part")
        partial_file.write_bytes(raw.get(f"{path}/{name}" if name else path))
        partial_file.replace(destination)
    if sorted(raw.tree(path)) != sorted(tree):
        raise StoreError(f"{path} changes while it is copied.")
    return sum(size for _, size in tree)


def _listed(stores: Stores) -> list[StoredFile]:
    return [file for file in stores.arrays.files() if not file.uri.startswith(f"{FRESH}/")]


def _sync(folder: Path) -> None:
    """Flush the copied files to the disk, to survive a crash of the machine."""
    for path, _, names in os.walk(folder):
        for name in [*names, "."]:
            handle = os.open(os.path.join(path, name), os.O_RDONLY)  # noqa: PTH118 - thousands of files
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
