"""A folder of class folders: what most people's images are in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from odin_graph.errors import DataError
from odin_graph.ingest.entry import Entry


def entries_of_folder(folder: Path) -> tuple[list[Entry], list[str]]:
    """Every file below it. The id is the path in it; the label the first folder's name, None for files in none.

    Hidden files and folders are left out. Links to folders are followed: a folder that is reached in two ways is two
    folders, whose images have ids and labels of their own; one that leads back to where it stands is not entered again.

    Returns:
        The entries by path, and a sentence for each folder that was reached in two ways.

    Raises:
        DataError: There is no file.
    """
    ways: dict[str, list[str]] = {}
    inside = sorted(path.relative_to(folder) for path in _files(folder, folder, (), ways))
    if not inside:
        raise DataError(f"{folder} has no files: give a folder with one subfolder of images for each class.")
    entries = [
        Entry(
            id=name.as_posix(),
            path=str(folder / name),
            label=name.parts[0] if len(name.parts) > 1 else None,
            name=str(name),
        )
        for name in inside
    ]
    notes = [
        f"{' and '.join(sorted(names))} are one folder: its images are stored once for each."
        for names in ways.values()
        if len(names) > 1
    ]
    return entries, sorted(notes)


def _files(top: Path, current: Path, above: tuple[str, ...], ways: dict[str, list[str]]) -> Iterator[Path]:
    real = os.path.realpath(current)
    if real in above:  # a link in a circle
        return
    ways.setdefault(real, []).append(current.relative_to(top).as_posix())
    try:
        inside = sorted(os.scandir(current), key=lambda entry: entry.name)
    except OSError:
        yield current  # reading it fails, by name and with the reason, as any other file's
        return
    for entry in inside:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            yield from _files(top, current / entry.name, (*above, real), ways)
        else:
            yield current / entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself: reading it fails, by name and with the reason
        return False
