"""What reads image files, by registry: our own formats and those of others' packages alike."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Protocol

from numpy.typing import NDArray

from odin_graph.ingest.file import File
from odin_graph.ingest.frame import Contents
from odin_graph.registry import Registry


class Reader(Protocol):
    """Reads one family of formats: an entry of `READERS` is an instance of a class of it.

    What formats of medicine, astronomy and video would say here:

    ======= ============================== ============================================== ==============================
    format  `accepts`, `series`            frames and their metadata                      of the whole
    ======= ============================== ============================================== ==============================
    DICOM   ``DICM`` at 128, before        one for each file, or for each of              ``stack="Volume"`` of several;
            ``tiff``, as its preamble may  NumberOfFrames: position, orientation (a       patientID, StudyDate, spacing
            be one; SeriesInstanceUID      ``list[float]`` each), window, AcquisitionTime by ``list[float]``; the frames
                                           (datetime); `read` seeks its fragment          sorted by position
    NIfTI   ``n+1`` at 344, also behind    slices along the last axis, and of 4D each     ``stack="Volume"``; spacing,
            gzip's mark; of a pair         time point's: index, seconds; `read` slices    the affine's 12 numbers, units
            ``.hdr`` and ``.img`` their    the mapped array; behind gzip it inflates to
            common name                    the slice, ``at_once=None``
    FITS    ``SIMPLE  =`` at 0             the image HDUs, each an image by itself, its   ``fields`` of the cards that
                                           cards the fields; `read` seeks rows; numbers   the file has
                                           of the other byte order as they are
    OCT     the maker's mark at 0; a       B-scans: start and end on the fundus (floats), ``stack="Volume"``; eye, scan
            folder of one scan its name    quality; `read` seeks                          date, spacing
    video   ``ftyp`` at 4, ``AVI `` at 8   a lazy sequence; the time of each (float); no  ``stack="Video"``, ``fps``;
                                           frame is decoded before `read`, which seeks    when it was taken (datetime)
                                           to the key frame before
    ======= ============================== ============================================== ==============================
    """

    formats: ClassVar[tuple[str, ...]]
    """What it reads, in the words of messages: ``("PNG",)``."""
    before: ClassVar[frozenset[str]] = frozenset()
    """Names of readers that it goes before, where both accept a file; else such a file is refused."""
    single: ClassVar[bool] = False
    """Whether each file is one image without metadata. Such files are opened only when they are decoded; the others
    once before, for what there is in them."""

    @abstractmethod
    def accepts(self, file: File) -> bool:
        """Whether it reads this file, by its first bytes (`File.head`), and by its name where they do not tell.

        It is asked of every file of a call, also of those of other readers. What it raises stops the call with a
        `PluginError`, whatever `on_error` says; but an OSError is one of the file.
        """
        ...

    def series(self, file: File) -> str | None:  # noqa: ARG002 - for those that have series
        """What the file is a part of, as a text that is the id of the whole; None where it stands for itself.

        The files of a call with the same text are opened together.
        """
        return None

    @abstractmethod
    def open(self, files: Sequence[File]) -> Contents:
        """What there is in a file, or in all the files of a series, in the order in which they were given.

        It reads headers, and no pixels. Called from several threads, and more than once for the same files.

        Raises:
            UnreadableImageError: With the reason alone; the caller adds the file's name. Whatever else is raised says
                that the file is broken, with the name and text of the error and the name of the reader.
        """
        ...

    def small(self, data: bytes, most: int) -> NDArray[Any] | None:  # noqa: ARG002 - for those that have many
        """The pixels (h, w) or (h, w, bands) of a small file in one step, those of `open`; None leaves it to that.

        For formats of which users have many small files, where `single` is true: of these, opening takes as long as
        decoding. None is right for whatever takes more than ``most`` bytes in memory, is broken, or is out of the
        ordinary.
        """
        return None


READERS: Final[Registry[Reader]] = Registry("image reader", "odin_graph.readers")
