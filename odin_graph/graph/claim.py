"""A keeper's claim to a folder: it alone runs the engine there, and knows when the folder is a copy or was moved."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from odin_graph.graph.endpoint import LOCK, Endpoint, place_of
from odin_graph.graph.locks import leads_to, seize

WAIT_SECONDS: Final = 0.05
REFUSED: Final = "odin_graph refuses: "
"""Begins the line of the log in which a keeper says why it refuses a folder."""
CHECKING: Final = "odin_graph checks a copy, which takes as long as reading the graph."
"""The line of the log that makes a process which waits for the start wait longer."""


class RefusedError(Exception):
    """The engine is not to run here; the message is the user's to read."""


class Claim:
    """The lock of a folder's keeper, until the process ends, however it ends.

    The lock file names the folder whose engine was started and did not stop cleanly since: a copy of the folder brings
    this text along, and is recognized by it.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock = lock
        self._folder = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        """Open, so that no other folder is given its inode."""
        self.place = place_of(folder)

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Wait while another keeper is about to stop; where it serves, there is nothing to do, and the process ends.

        Raises:
            RefusedError: The folder's files are those of another folder.
        """
        if shared := next((file for file in _files(folder) if file.is_symlink() or file.stat().st_nlink > 1), None):
            kind = "link" if shared.is_symlink() else "hard link"
            raise RefusedError(
                f"The files of {folder.parent} are {kind}s, shared with another folder: what is written to one "
                "would change the other. Make a copy of its own (cp -r), and open that."
            )
        while (lock := seize(folder / LOCK)) is None:
            if Endpoint.read(folder) is not None:
                os._exit(0)
            time.sleep(WAIT_SECONDS)
        return cls(folder, lock)

    def is_copy(self) -> bool:
        """Whether the folder was copied while its engine ran, or after it had been killed: files may not agree."""
        return os.pread(self._lock, 100, 0) not in (b"", self._ours())

    def begin(self) -> None:
        """Note that the engine runs here."""
        self._write(self._ours())

    def end(self) -> None:
        """Note that it stopped cleanly."""
        self._write(b"")

    def is_in_place(self) -> bool:
        """Whether the folder is where it was."""
        return leads_to(self.folder, self._folder) and leads_to(self.folder / LOCK, self._lock)

    def _ours(self) -> bytes:
        return b"%d %d" % self.place

    def _write(self, text: bytes) -> None:
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, text, 0)
        os.fsync(self._lock)


def _files(folder: Path) -> Iterator[Path]:
    """The files that the engine writes to in place. A snapshot tool may link only those that have not changed."""
    return (file for file in folder.rglob("*") if file.is_symlink() or file.is_file())
