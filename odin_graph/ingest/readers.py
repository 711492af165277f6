"""Which reader reads a file, and what it gives of it, checked; errors begin with the file's name."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import PurePath
from typing import Any, Final, Self, TypeVar, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays.boxes import Box, read_box
from odin_graph.catalog.images.stacks import PARTS, is_rate
from odin_graph.errors import MetadataError, UnreadableImageError
from odin_graph.ingest.file import File, Origin
from odin_graph.ingest.files import printable
from odin_graph.ingest.formats.source import broken, frames_refused
from odin_graph.ingest.formats.unread import known_as, why_not
from odin_graph.ingest.frame import Contents, Frame, StackKind
from odin_graph.ingest.reader import READERS, Reader
from odin_graph.registry import PluginError
from odin_graph.schema.metadata import FieldType, asked_type, convert
from odin_graph.schema.reserved import check_name

T = TypeVar("T")

LABEL: Final = "label"


@dataclass(frozen=True)
class Readers:
    """Every reader by its name: looked up once a job, since entry points take milliseconds to find."""

    by_name: Mapping[str, Reader]

    @classmethod
    def installed(cls) -> Self:
        """Those that are registered now.

        Raises:
            PluginError: One cannot be loaded, or is no reader.
        """
        found = {name: READERS.get(name) for name in READERS}
        for name, reader in found.items():
            if Reader not in type(reader).__mro__ or not hasattr(reader, "formats"):
                raise PluginError(
                    f"The image reader {name!r} is {reader!r:.80}: register an object of a class that derives from "
                    "odin_graph.ingest.Reader and has formats = (...)."
                )
        return cls(found)

    @cached_property
    def _asked(self) -> list[tuple[str, Callable[[File], bool]]]:
        return [(name, reader.accepts) for name, reader in self.by_name.items()]

    @property
    def look_first(self) -> bool:
        """Whether files may hold other than one image without metadata each."""
        return not all(reader.single for reader in self.by_name.values())

    def of(self, file: File) -> str:
        """The name of the one that reads a file.

        Raises:
            UnreadableImageError: None does, or two; names the file and the reason.
            PluginError: One raises an error instead of an answer, which would stop the files of all others.
        """
        return _named(file.shown, self._of, file)

    def series(self, reader: str, file: File) -> str | None:
        """What a file is a part of.

        Raises:
            UnreadableImageError: It is broken; names the file.
        """
        return _named(file.shown, partial(self._series, reader), file, reader)

    def open(self, files: Sequence[File]) -> Opened:
        """What there is in a file, or in the files of a series; not yet decoded.

        Raises:
            UnreadableImageError: Names the file and the reason.
            MetadataError: A field with a name or type that no field has; names the file.
            PluginError: See `of`.
        """
        reader, name = self.of(files[0]), files[0].shown
        return Opened(name, reader, _named(name, partial(self._open, reader), files, reader), len(files))

    def small(self, file: File, most: int) -> NDArray[Any] | None:
        """The pixels (h, w, bands) of a file that is in memory, where its reader gives them in one step.

        Raises:
            UnreadableImageError: Names the file and the reason.
            PluginError: See `of`.
        """
        reader = self.of(file)
        return _named(file.shown, partial(self._small, reader, most), file, reader)

    def read(self, name: PurePath, origin: Origin) -> NDArray[Any]:
        """The pixels (h, w, bands) of a file of one image.

        Raises:
            UnreadableImageError: Names the file and the reason.
        """
        found = self.open((File(name, origin),)).image()
        return found.rows(0, found.shape[0])

    def _of(self, file: File) -> str:
        found = []
        try:
            for name, accepts in self._asked:
                if accepts(file):
                    found.append(name)
        except (OSError, MemoryError):  # of the file
            raise
        except Exception as error:
            raise PluginError(
                f"The image reader {name!r} cannot say whether it reads {printable(file.shown)} ({_shown(error)}): "
                "correct its accepts(), which is asked of every file, or uninstall its package."
            ) from error
        if len(found) > 1:
            found = [name for name in found if not any(name in self.by_name[other].before for other in found)]
        if len(found) == 1:
            return found[0]
        if found:
            raise UnreadableImageError(
                f"the readers {' and '.join(found)} both take it for theirs: uninstall the package of one, or have one "
                "say that it goes before the other (Reader.before)"
            )
        raise UnreadableImageError(
            why_not(file.head, [name for reader in self.by_name.values() for name in reader.formats])
        )

    def _series(self, reader: str, file: File) -> str | None:
        found = self.by_name[reader].series(file)
        if found is not None and not isinstance(found, str):
            raise UnreadableImageError(f"its reader {reader!r} gives {found!r:.80} as its series, not a text or None")
        return found

    def _small(self, reader: str, most: int, file: File) -> NDArray[Any] | None:
        found = self.by_name[reader].small(file.read(), most)
        if found is None:
            return None
        if not isinstance(found, np.ndarray) or found.ndim not in (2, 3):
            raise UnreadableImageError(f"its reader {reader!r} gives {type(found).__name__}, not pixels (h, w, bands)")
        pixels = found if found.dtype.isnative else found.astype(found.dtype.newbyteorder("="))
        return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]

    def _open(self, reader: str, files: Sequence[File]) -> Contents:
        try:
            return _checked_contents(reader, self.by_name[reader].open(files))
        except UnreadableImageError as error:
            if known_as(files[0].head) is None:
                raise
            formats = [name for other in self.by_name.values() for name in other.formats]
            raise UnreadableImageError(why_not(files[0].head, formats)) from error  # a DICOM may begin as a TIFF does


class Opened:
    """What a reader gives of a file or a series, checked."""

    def __init__(self, name: object, reader: str, contents: Contents, files: int) -> None:
        self.name, self.reader = name, reader
        """The file, and the name of its reader."""
        self._contents, self._files = contents, files
        self.fields: Mapping[str, FieldType] = self._checked_fields()
        """The types of metadata, by name."""

    def __repr__(self) -> str:
        """What it is, how many frames it has, and its fields."""
        part = f"{len(self):,} {PARTS[self.stack] if self.stack else 'image'}{'s' if len(self) != 1 else ''}"
        what = f"{self.stack} of {part}" if self.stack else part
        fields = ", ".join(f"{name} ({type_})" for name, type_ in self.fields.items())
        return f"<{printable(self.name)}, read by {self.reader!r}: {what}{fields and f', fields {fields}'}>"

    def __len__(self) -> int:
        """How many frames there are."""
        return _named(self.name, len, self._contents.frames, self.reader)

    def __getitem__(self, index: int) -> OpenedFrame:
        """A frame, not yet decoded.

        Raises:
            UnreadableImageError: There is no such frame, or no longer.
        """
        return _named(self.name, self._frame, index, self.reader)

    def image(self) -> OpenedFrame:
        """The one frame.

        Raises:
            UnreadableImageError: There are several.
        """
        if (number := len(self)) != 1:
            return _named(self.name, _refuse, number)
        return self[0]

    @property
    def stack(self) -> StackKind | None:
        """What the frames are in their order; None where each is an image by itself."""
        return self._contents.stack

    @property
    def fps(self) -> float | None:
        """Of a video: frames a second."""
        return self._contents.fps

    @property
    def metadata(self) -> dict[str, Any]:
        """Of the whole.

        Raises:
            UnreadableImageError: A value that is not of its field's type, or of no field; names the file.
        """
        return _named(self.name, self._checked, self._contents.metadata, self.reader)

    def metadata_of(self, index: int) -> dict[str, Any]:
        """Of a frame alone.

        Raises:
            UnreadableImageError: A value that is not of its field's type, or of no field; names the file.
        """
        return _named(self.name, lambda at: self._checked(self._contents.frames[at].metadata), index, self.reader)

    def file_of(self, index: int) -> int:
        """Which of the files a frame is from.

        Raises:
            UnreadableImageError: There is no such file.
        """
        return _named(self.name, self._file_of, index, self.reader)

    def _file_of(self, index: int) -> int:
        if (found := self._contents.frames[index].file) not in range(self._files):
            raise UnreadableImageError(
                f"its reader {self.reader!r} says that image {index} is from file {found}, of {self._files}"
            )
        return found

    def _checked_fields(self) -> dict[str, FieldType]:
        found = {}
        for name, asked in self._contents.fields.items():
            try:
                for kind in ("Image", self.stack) if name != LABEL else ():
                    if kind is not None:
                        check_name(kind, name)
                found[name] = asked_type(get_args(asked)[0]).listed if get_origin(asked) is list else asked_type(asked)
            except MetadataError as error:
                raise MetadataError(
                    f"{printable(self.name)}: its reader {self.reader!r} names a field {name!r} that cannot be: {error}"
                ) from error
        return found

    def _frame(self, index: int) -> OpenedFrame:
        if not 0 <= index < len(self):
            raise UnreadableImageError(f"it has {len(self)} images, and no number {index}: it changed meanwhile")
        return OpenedFrame(self.name, self.reader, self._contents.frames[index])

    def _checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, value in values.items():
            if name not in self.fields:
                raise UnreadableImageError(
                    f"its reader {self.reader!r} gives a value of {name!r}, and names no such field"
                )
            try:
                found[name] = convert(value, self.fields[name])
            except (ValueError, OverflowError, MetadataError) as error:
                raise UnreadableImageError(
                    f"its reader {self.reader!r} gives {value!r:.80} for {name!r}, which is not of type "
                    f"{self.fields[name]} ({error})"
                ) from error
        return found


class OpenedFrame:
    """An image that is read whole, by rows (`odin_graph.arrays.Rows`) or by boxes; its errors name the file."""

    __slots__ = ("_frame", "_name", "_reader", "at_once", "dtype", "file", "shape", "takes")

    def __init__(self, name: object, reader: str, frame: Frame) -> None:
        self._name, self._reader, self._frame = name, reader, frame
        dtype: np.dtype[Any] = np.dtype(frame.dtype)
        self.dtype = dtype if dtype.isnative else dtype.newbyteorder("=")
        height, width, *bands = _checked_shape(reader, frame.shape)
        self.shape: tuple[int, int, int] = (height, width, bands[0] if bands else 1)
        self.at_once, self.takes, self.file = frame.at_once, frame.takes, frame.file

    def read(self, box: Box | None = None) -> NDArray[Any]:
        """The pixels (h, w, bands) of a box (left, top, right, bottom), or of the whole.

        Raises:
            ShapeError: The box reaches outside.
            UnreadableImageError: Names the file and the reason.
        """
        height, width, _ = self.shape
        read = (0, 0, width, height) if box is None else read_box(box, self.shape)
        return _named(self._name, self._read, read, self._reader)

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands).

        Raises:
            UnreadableImageError: Names the file and the reason.
        """
        return _named(self._name, self._read, (0, first, self.shape[1], end), self._reader)

    def _read(self, box: Box) -> NDArray[Any]:
        found = np.asarray(self._frame.read(box))
        if found.ndim == 2:
            found = found[:, :, np.newaxis]
        expected = (box[3] - box[1], box[2] - box[0], self.shape[2])
        if found.shape == expected and found.dtype == self.dtype:
            return found
        if found.shape != expected or found.dtype.newbyteorder("=") != self.dtype:
            raise UnreadableImageError(
                f"its reader {self._reader!r} gives {found.dtype} of shape {found.shape} for the box {box}, and said "
                f"{self.dtype} of shape {self.shape}"
            )
        return found.astype(self.dtype)


def _checked_contents(reader: str, given: Any) -> Contents:
    """What a reader has opened, if it is what a reader gives.

    Raises:
        UnreadableImageError: It is something else; names the reader.
    """
    if not isinstance(given, Contents):
        what = f"{type(given).__name__} and not Contents"
    elif not (hasattr(given.frames, "__len__") and hasattr(given.frames, "__getitem__")):
        what = f"frames as {type(given.frames).__name__} and not as a list"
    elif not all(isinstance(part, Mapping) for part in (given.fields, given.metadata)):
        what = "fields or metadata that are not a dict"
    elif given.stack not in (None, *get_args(StackKind)):
        what = f"stack={given.stack!r}, and there is {' or '.join(map(repr, get_args(StackKind)))}"
    elif given.stack == "Video" and not is_rate(given.fps):
        what = f"a video of fps={given.fps!r} and not its frames a second"
    else:
        return given
    raise UnreadableImageError(f"its reader {reader!r} gives {what}")


def _checked_shape(reader: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) not in (2, 3):
        raise UnreadableImageError(f"its reader {reader!r} gives pixels of shape {shape}, not (h, w, bands)")
    return tuple(map(operator.index, shape))


def _refuse(number: int) -> OpenedFrame:
    raise frames_refused(number)


def _shown(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _named(name: object, call: Callable[[Any], T], argument: Any, reader: str = "") -> T:
    """What a call gives; its error with the file's name before it, and the reader's where it may be its fault."""
    try:
        return call(argument)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{printable(name)}: {error}") from error
    except MemoryError as error:
        raise UnreadableImageError(f"{printable(name)}: there is not enough memory to decode it") from error
    except OSError as error:
        raise UnreadableImageError(f"{printable(name)}: {error.strerror or error}") from error
    except PluginError:  # of a reader, whatever the file
        raise
    except Exception as error:  # a broken file makes decoders raise anything
        by = f", by its reader {reader!r}" if reader else ""
        raise UnreadableImageError(f"{printable(name)}: {broken(f'{_shown(error)}{by}')}") from error
