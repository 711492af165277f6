"""What there is in files, before any is stored: images, in their order, with metadata of known types."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from odin_graph.errors import MetadataError, OdinError, UnknownNameError, UnreadableImageError
from odin_graph.ingest.entry import Entry, Part
from odin_graph.ingest.file import File
from odin_graph.ingest.files import file_size, printable
from odin_graph.ingest.folder import entries_of_folder
from odin_graph.ingest.readers import LABEL, Opened, Readers
from odin_graph.registry import PluginError
from odin_graph.schema.metadata import FieldType, plain, widen


@dataclass(frozen=True, eq=False)
class Found:
    """Entries of images, found in entries of files."""

    entries: Sequence[Entry]
    notes: Sequence[str] = ()


class Looked(dict[str, Opened]):
    """What there is in files, by id."""

    def __missing__(self, id_: str) -> Opened:
        raise UnknownNameError.of("file or series", id_, self)


def look(source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Looked:
    """What there is in files, by id; nothing is stored, and no pixels are decoded before they are asked for.

    ``look("scans")["knee-7"]`` has `fields` (the type of each name of metadata), `metadata` of the whole,
    `metadata_of(12)` of the 13th frame, a length and frames: ``[12].read((0, 0, 64, 64))`` are the pixels of a part.

    Args:
        source: A folder, a file, or several files.

    Raises:
        UnreadableImageError: A file that cannot be read; names it and the reason.
        DataError: There is no file.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        entries = entries_of_folder(path)[0] if path.is_dir() else [_entry(path)]
    else:
        entries = [_entry(Path(file)) for file in source]
    readers = Readers.installed()
    found = Looked()
    for id_, files, group in _things(readers, entries):
        if group[0].error is not None:
            raise group[0].error
        found[id_] = readers.open(files or tuple(map(_file_of, group)))
    return found


def images_in(entries: Sequence[Entry], *, labeled: bool) -> Found:
    """Each image of each file or series, with its metadata; what is given beside a file comes before what is in it.

    Where no reader but those of single images is installed, nothing is opened.

    Args:
        entries: Of files; those of pixels stay as they are.
        labeled: Whether the label of an entry was given for its file, and is not the name of a folder.

    Returns:
        The entries; one whose file cannot be read has its error.

    Raises:
        MetadataError: A field that cannot be, or has two types.
    """
    readers = Readers.installed()
    if not readers.look_first:
        return Found(entries)
    images: list[Entry] = []
    fields: dict[str, FieldType] = {}
    others: dict[str, int] = {}
    for id_, files, group in _things(readers, entries):
        try:
            if not files:
                images += group
                continue
            opened = readers.open(files)
            for name, type_ in opened.fields.items():
                fields[name] = widen(fields.get(name, type_), type_, f"{printable(opened.name)}: Image.{name}")
            images += _of_thing(id_, opened, files, group, labeled, others)
        except (MetadataError, PluginError):
            raise
        except OdinError as error:
            images.append(replace(group[0], id=id_, error=error))
    notes = [
        f"{count:,} images have another {name!r} in their files than was given: what was given is stored."
        for name, count in others.items()
    ]
    return Found(images, notes)


def _entry(path: Path) -> Entry:
    return Entry(path.as_posix(), str(path), name=str(path))


def _file_of(entry: Entry) -> File:
    assert entry.path is not None
    return File(entry.name, Path(entry.path), entry.path)


def _things(readers: Readers, entries: Sequence[Entry]) -> Iterator[tuple[str, tuple[File, ...], list[Entry]]]:
    """Id, files and entries of each file or series, by its first file; no files for what is not looked into first."""
    groups: dict[tuple[bool, int | str, str | None], list[Entry]] = {}
    for place, entry in enumerate(entries):
        looked, series = False, None
        owner: int | str = place
        if entry.path is not None:
            try:
                file_size(entry.path)
                file = _file_of(entry)
                reader = readers.of(file)
                looked = not readers.by_name[reader].single
                series = readers.series(reader, file) if looked else None
                owner = place if series is None else reader
            except PluginError:
                raise
            except OdinError as error:
                if looked:  # a part of what is not known, so no image by itself
                    entry = replace(entry, error=error)
                looked = False  # others fail again when they are decoded, in their turn
        groups.setdefault((looked, owner, series), []).append(entry)
    for (looked, _, series), group in groups.items():
        # An id that a manifest gives all files of a series is the id of the whole.
        given = len({entry.id for entry in group}) == 1 and group[0].id != PurePath(group[0].name).as_posix()
        id_ = group[0].id if series is None or given else series
        yield id_, tuple(map(_file_of, group)) if looked else (), group


def _of_thing(
    id_: str, opened: Opened, files: tuple[File, ...], group: Sequence[Entry], labeled: bool, others: dict[str, int]
) -> Iterator[Entry]:
    if not len(opened):
        raise UnreadableImageError(f"{printable(files[0].shown)}: it has no image")
    whole = opened.metadata
    for index in range(len(opened)):
        own = opened.metadata_of(index)
        if twice := sorted(set(own) & set(whole)):
            raise UnreadableImageError(
                f"{printable(files[0].shown)}: its reader {opened.reader!r} gives {twice[0]!r} for the whole "
                f"and for image {index}"
            )
        entry = group[opened.file_of(index)]
        given = {name: value for name, value in entry.metadata.items() if plain(value) is not None}
        values = {**entry.metadata, **whole, **own}
        label = values.pop(LABEL, None)
        for name in given:
            if values.get(name) is not None and values[name] != plain(given[name]):
                others[name] = others.get(name, 0) + 1
        if label is None or (labeled and plain(entry.label) is not None):
            label = entry.label
        alone = len(opened) == 1 and opened.stack is None
        yield Entry(
            id_ if alone else f"{id_}/{index:06d}",
            entry.path,
            None,
            label,
            {**values, **given},
            entry.name,
            Part(id_, files, index, opened.stack),
        )


__all__ = ["Found", "images_in", "look"]
