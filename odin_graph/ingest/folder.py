"""A folder of class folders: what most people's images are in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from odin_graph.errors import DataError
from odin_graph.ingest.entry import Entry


def entries_of_folder(folder: Path) -> list[Entry]:
    """Every file below it. The id is the path in it; the label the first folder's name, None for files in none.

    Hidden files and folders are left out. Links to folders are followed, each folder once.

    Raises:
        DataError: There is no file.
    """
    inside = sorted(path.relative_to(folder) for path in _files(folder))
    if not inside:
        raise DataError(f"{folder} holds no files: class folders with images are expected in it.")
    return [
        Entry(id=name.as_posix(), path=folder / name, label=name.parts[0] if len(name.parts) > 1 else None)
        for name in inside
    ]


def _files(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:  # a link in a circle
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here) / name for name in files if not name.startswith("."))
