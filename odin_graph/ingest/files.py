"""Files as they lie on the disk: only regular ones are opened, and their names may be of any bytes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from odin_graph.errors import UnreadableImageError

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def file_size(path: str | Path) -> int:
    """The bytes of a file, which is not opened: a pipe would wait for its writer for ever.

    Raises:
        UnreadableImageError: It is not there, or no file; names it.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, for each file
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise UnreadableImageError(f"{printable(path)}: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise UnreadableImageError(f"{printable(path)}: it is {kind}, and no file")
    return found.st_size


def read_small(path: str, size: int) -> bytes:
    """Read a file of about so many bytes, in three system calls and without Python's file objects."""
    file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    try:
        data = os.read(file, size + 1)
    finally:
        os.close(file)
    return data if len(data) == size else Path(path).read_bytes()  # it changed meanwhile


def read_file(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        UnreadableImageError: It cannot be read; names it.
    """
    file_size(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"{printable(path)}: {error.strerror or error}") from error


def is_text(*names: object) -> bool:
    """Whether those that are strings can be stored: a name of other bytes than UTF-8 comes with half characters."""
    for name in names:  # noqa: SIM110 - all() takes three times as long, for each file
        if isinstance(name, str) and not name.isascii() and not _encodes(name):
            return False
    return True


def printable(name: object) -> str:
    """A name or path for messages, in characters that every terminal and log takes."""
    return str(name) if is_text(str(name)) else str(name).encode("utf-8", "backslashreplace").decode("utf-8")


def _encodes(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
