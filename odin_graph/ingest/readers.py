"""Which reader reads a file, and what it gives of it, checked; errors begin with the file's name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any, Final, Self, TypeVar, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays.boxes import Box, read_box
from odin_graph.errors import MetadataError, UnreadableImageError
from odin_graph.ingest.file import File, Origin
from odin_graph.ingest.files import printable
from odin_graph.ingest.formats.source import broken, frames_refused
from odin_graph.ingest.formats.unread import known_as, why_not
from odin_graph.ingest.frame import Contents, Frame, StackKind
from odin_graph.ingest.reader import READERS, Reader
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
        """Those that are registered now."""
        return cls({name: READERS.get(name) for name in READERS})

    @cached_property
    def _asked(self) -> list[tuple[str, Callable[[File], bool]]]:
        return [(name, reader.accepts) for name, reader in self.by_name.items()]

    @property
    def look_first(self) -> bool:
        """Whether files may hold other than one image without metadata each."""
        return not all(reader.single for reader in self.by_name.values())

    def of(self, file: File) -> Reader:
        """The one that reads a file.

        Raises:
            UnreadableImageError: None does, or two; names the file and the reason.
        """
        return _named(file.shown, self._of, file)

    def series(self, reader: Reader, file: File) -> str | None:
        """What a file is a part of.

        Raises:
            UnreadableImageError: It is broken; names the file.
        """
        return _named(file.shown, reader.series, file)

    def open(self, files: Sequence[File]) -> Opened:
        """What there is in a file, or in the files of a series; not yet decoded.

        Raises:
            UnreadableImageError: Names the file and the reason.
        """
        return Opened(files[0].shown, _named(files[0].shown, self._open, files))

    def read(self, name: PurePath, origin: Origin) -> NDArray[Any]:
        """The pixels (h, w, bands) of a file of one image.

        Raises:
            UnreadableImageError: Names the file and the reason.
        """
        found = self.open((File(name, origin),)).image()
        return found.rows(0, found.shape[0])

    def _of(self, file: File) -> Reader:
        found = [name for name, accepts in self._asked if accepts(file)]
        if len(found) > 1:
            found = [name for name in found if not any(name in self.by_name[other].before for other in found)]
        if len(found) == 1:
            return self.by_name[found[0]]
        if found:
            raise UnreadableImageError(
                f"the readers {' and '.join(found)} both take it for theirs: uninstall the package of one, or have one "
                "say that it goes before the other (Reader.before)"
            )
        raise UnreadableImageError(
            why_not(file.head, [name for reader in self.by_name.values() for name in reader.formats])
        )

    def _open(self, files: Sequence[File]) -> Contents:
        reader = self._of(files[0])
        try:
            return reader.open(files)
        except UnreadableImageError as error:
            if known_as(files[0].head) is None:
                raise
            formats = [name for other in self.by_name.values() for name in other.formats]
            raise UnreadableImageError(why_not(files[0].head, formats)) from error  # a DICOM may begin as a TIFF does


class Opened:
    """What a reader gives of a file or a series, checked."""

    def __init__(self, name: object, contents: Contents) -> None:
        self.name = name
        self._contents = contents

    def __len__(self) -> int:
        """How many frames there are."""
        return len(self._contents.frames)

    def __getitem__(self, index: int) -> OpenedFrame:
        """A frame, not yet decoded.

        Raises:
            UnreadableImageError: There is no such frame, or no longer.
        """
        return _named(self.name, self._frame, index)

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

    @cached_property
    def fields(self) -> Mapping[str, FieldType]:
        """The types of metadata, by name.

        Raises:
            MetadataError: A name or type that no field has.
        """
        found = {}
        for name, asked in self._contents.fields.items():
            if name != LABEL:
                check_name("Image", name)
            found[name] = asked_type(get_args(asked)[0]).listed if get_origin(asked) is list else asked_type(asked)
        return found

    @property
    def metadata(self) -> dict[str, Any]:
        """Of the whole.

        Raises:
            UnreadableImageError: A value that is not of its field's type, or of no field; names the file.
        """
        return _named(self.name, self._checked, self._contents.metadata)

    def metadata_of(self, index: int) -> dict[str, Any]:
        """Of a frame alone.

        Raises:
            UnreadableImageError: A value that is not of its field's type, or of no field; names the file.
        """
        return _named(self.name, self._checked, self._contents.frames[index].metadata)

    def file_of(self, index: int) -> int:
        """Which of the files a frame is from."""
        return self._contents.frames[index].file

    def _frame(self, index: int) -> OpenedFrame:
        if not 0 <= index < len(self):
            raise UnreadableImageError(f"it has {len(self)} images, and no number {index}: it changed meanwhile")
        return OpenedFrame(self.name, self._contents.frames[index])

    def _checked(self, values: Mapping[str, Any]) -> dict[str, Any]:
        found = {}
        for name, value in values.items():
            if name not in self.fields:
                raise UnreadableImageError(f"its reader gives a value of {name!r}, and names no such field")
            try:
                found[name] = convert(value, self.fields[name])
            except (ValueError, OverflowError, MetadataError) as error:
                raise UnreadableImageError(
                    f"its reader gives {value!r:.80} for {name!r}, which is not of type {self.fields[name]} ({error})"
                ) from error
        return found


class OpenedFrame:
    """An image that is read whole, by rows (`odin_graph.arrays.Rows`) or by boxes; its errors name the file."""

    __slots__ = ("_frame", "_name", "at_once", "dtype", "file", "shape", "takes")

    def __init__(self, name: object, frame: Frame) -> None:
        self._name, self._frame = name, frame
        dtype: np.dtype[Any] = np.dtype(frame.dtype)
        self.dtype = dtype if dtype.isnative else dtype.newbyteorder("=")
        height, width, *bands = _checked_shape(frame.shape)
        self.shape: tuple[int, int, int] = (height, width, bands[0] if bands else 1)
        self.at_once, self.takes, self.file = frame.at_once, frame.takes, frame.file

    def read(self, box: Box | None = None) -> NDArray[Any]:
        """The pixels (h, w, bands) of a box (left, top, right, bottom), or of the whole.

        Raises:
            ShapeError: The box reaches outside.
            UnreadableImageError: Names the file and the reason.
        """
        height, width, _ = self.shape
        return _named(self._name, self._read, (0, 0, width, height) if box is None else read_box(box, self.shape))

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands).

        Raises:
            UnreadableImageError: Names the file and the reason.
        """
        return _named(self._name, self._read, (0, first, self.shape[1], end))

    def _read(self, box: Box) -> NDArray[Any]:
        found = np.asarray(self._frame.read(box))
        if found.ndim == 2:
            found = found[:, :, np.newaxis]
        expected = (box[3] - box[1], box[2] - box[0], self.shape[2])
        if found.shape == expected and found.dtype == self.dtype:
            return found
        if found.shape != expected or found.dtype.newbyteorder("=") != self.dtype:
            raise UnreadableImageError(
                f"its reader gives {found.dtype} of shape {found.shape} for the box {box}, and said {self.dtype} of "
                f"shape {self.shape}"
            )
        return found.astype(self.dtype)


def _checked_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) not in (2, 3):
        raise UnreadableImageError(f"its reader gives pixels of shape {shape}, not (h, w, bands)")
    return shape


def _refuse(number: int) -> OpenedFrame:
    raise frames_refused(number)


def _named(name: object, call: Callable[[Any], T], argument: Any) -> T:
    """What a call gives; its error with the file's name before it."""
    try:
        return call(argument)
    except UnreadableImageError as error:
        raise UnreadableImageError(f"{printable(name)}: {error}") from error
    except MemoryError as error:
        raise UnreadableImageError(f"{printable(name)}: there is not enough memory to decode it") from error
    except OSError as error:
        raise UnreadableImageError(f"{printable(name)}: {error.strerror or error}") from error
    except MetadataError:  # of a field with a name or type that no field has, whatever the file
        raise
    except Exception as error:  # a broken file makes decoders raise anything
        raise UnreadableImageError(f"{printable(name)}: {broken(error)}") from error
