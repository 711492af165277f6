"""Arrays outside their workspace's folder belong to one folder, so that a copy of it does not remove its files.

The id of a workspace is copied with its folder, so it cannot tell the two apart; device and inode of a folder can.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from odin_graph.arrays.files import Files
from odin_graph.errors import DataWarning, MismatchError, StoreError
from odin_graph.folder import MARK
from odin_graph.warned import warn

OWNER: Final = "folder.json"


def take_arrays(files: Files, folder: Path) -> None:
    """Check that the arrays of a folder, if they are outside it, belong to no other folder.

    A folder that was moved has the same inode and keeps them, and a copy of the arrays is free. If the folder that
    owned them is gone, they are taken over with a warning: it may be on another machine.

    Raises:
        MismatchError: The folder that they belong to is there, and this is a copy of it.
        StoreError: The mark in the arrays is damaged, or a part of them is a link, which a copy of them would share.
    """
    if files.local is not None and (links := [path for path in files.local.iterdir() if path.is_symlink()]):
        raise StoreError(
            f"{links[0]} is a link. A copy of {files.root} would remove files behind it: move them to their place. To "
            "store arrays on another disk, move all of them, and open the workspace with arrays=."
        )
    if files.local is not None and files.local.resolve().is_relative_to(folder.resolve()):
        return
    ours = {"folder": str(folder.resolve()), "is": _place(folder), "arrays": _place(files.local or files.root)}
    files.write_once(OWNER, json.dumps(ours).encode())
    try:
        owner = json.loads(files.read(OWNER))
        path, is_copied = Path(owner["folder"]), owner["arrays"] != ours["arrays"]
        is_ours = owner["is"] == ours["is"] or (path.exists() and path.samefile(folder))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{files.path(OWNER)} is damaged. If no copy of {folder} uses these arrays, delete that file."
        ) from error
    if owner == ours:
        return
    if not is_copied and not is_ours:
        if (path / MARK).exists():
            raise MismatchError(
                f"The arrays at {files.root} belong to {path}. {folder} is a copy of it: each would remove files of "
                "the other. Copy the arrays too, and open the copy with those."
            )
        warn(
            f"The arrays at {files.root} belonged to {path}, which is not there: they are now those of {folder}. If "
            "the other is still used, on another machine for instance, give one of the two a copy of the arrays.",
            DataWarning,
        )
    files.write(OWNER, json.dumps(ours).encode())


def _place(path: Path | str) -> Any:
    """Device and inode of a folder; an address that is no folder as it is."""
    if isinstance(path, str):
        return path
    status = path.stat()
    return [status.st_dev, status.st_ino]
