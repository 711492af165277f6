"""PNM (PBM, PGM, PPM), binary and plain: the numbers of the file as they are, whatever its maximum."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.ingest.file import File
from odin_graph.ingest.formats.source import broken, check_size, frames_refused, one_image
from odin_graph.ingest.frame import Contents
from odin_graph.ingest.reader import Reader

_MARKS: Final = tuple(
    kind + gap for kind in (b"P1", b"P2", b"P3", b"P4", b"P5", b"P6") for gap in (b" ", b"\n", b"\r", b"\t", b"#")
)
_PLAIN: Final = b"123"
_BITMAP: Final = b"14"
_COLOR: Final = b"36"
_GAP: Final = rb"(?:\s|#[^\n\r]*[\n\r])+"
_NUMBER: Final = rb"(\d{1,9})"
_DEEPEST: Final = 65535
_DIGITS: Final = 9


class PnmSource:
    """The image of a file; see `odin_graph.ingest.formats.source.Source`.

    PBM is bool, True for white as elsewhere. Others are uint8, or uint16 where the file's maximum is above 255.

    Raises:
        UnreadableImageError: It is broken, or holds several images.
    """

    at_once: int | None = None

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._kind = data[1]
        bitmap = self._kind in _BITMAP
        head = re.match(rb"P\d" + (_GAP + _NUMBER) * (2 if bitmap else 3), data)
        if head is None or data[head.end() : head.end() + 1].isdigit():
            raise broken("its header is cut off")
        width, height, self._most = int(head[1]), int(head[2]), 1 if bitmap else int(head[3])
        if not width or not height or not 0 < self._most <= _DEEPEST:
            raise broken("its header is of no PNM that there is")
        check_size(width, height)
        self._start = head.end() + 1
        self.shape = (height, width, 3 if self._kind in _COLOR else 1)
        self.dtype: np.dtype[Any] = np.dtype(np.bool_ if bitmap else np.uint8 if self._most <= 255 else np.uint16)

    def rows(self, first: int, end: int) -> NDArray[Any]:
        """Pixels (end - first, w, bands)."""
        return np.ascontiguousarray(self._pixels()[first:end])

    def _pixels(self) -> NDArray[Any]:
        height, width, bands = self.shape
        if self._kind in _PLAIN:
            return self._plain()
        if self._kind in _BITMAP:
            raw = self._raw(np.dtype(np.uint8), height * -(-width // 8)).reshape(height, -1)
            bits: NDArray[Any] = np.unpackbits(raw, axis=1, count=width)[..., np.newaxis] == 0
            return bits
        stored = np.dtype(np.uint8 if self._most <= 255 else ">u2")
        pixels = self._raw(stored, height * width * bands).reshape(self.shape)
        return self._checked(pixels).astype(self.dtype, copy=False)

    def _raw(self, dtype: np.dtype[Any], number: int) -> NDArray[Any]:
        end = self._start + number * dtype.itemsize
        if len(self._data) < end:
            raise broken(
                f"{max(0, len(self._data) - self._start):,} of {end - self._start:,} bytes of pixels are there"
            )
        if re.match(rb"\s*P[1-6]\s", self._data[end : end + 64]):
            raise frames_refused(2 + len(self._data[end:]) // (end + 1))
        return np.frombuffer(self._data, dtype, number, self._start)

    def _plain(self) -> NDArray[Any]:
        text = re.sub(rb"#[^\n\r]*", b"", self._data[self._start - 1 :])
        number = self.shape[0] * self.shape[1] * self.shape[2]
        if self._kind in _BITMAP:  # its digits may stand without a gap
            digits = np.frombuffer(text.translate(None, b" \t\n\r\v\f"), np.uint8)
            if len(digits) != number or not np.isin(digits, (48, 49)).all():
                raise broken(f"{len(digits):,} of {number:,} numbers are there, or others than 0 and 1")
            white: NDArray[Any] = digits.reshape(self.shape) == 48
            return white
        if re.search(rb"\d{%d}|[^\d\s]" % (_DIGITS + 1), text):
            raise broken("there is something else than numbers among its numbers")
        words = text.split()
        if len(words) != number:
            raise broken(f"{len(words):,} of {number:,} numbers are there")
        return self._checked(np.array(words).astype(np.uint32)).astype(self.dtype).reshape(self.shape)

    def _checked(self, pixels: NDArray[Any]) -> NDArray[Any]:
        if int(pixels.max()) > self._most:
            raise broken(f"it contains {int(pixels.max()):,}, but its maximum is {self._most:,}")
        return pixels


class PnmReader(Reader):
    """PBM, PGM and PPM."""

    formats: ClassVar[tuple[str, ...]] = ("PNM",)
    single: ClassVar[bool] = True

    def accepts(self, file: File) -> bool:
        """By its mark, and what ends it."""
        return file.head.startswith(_MARKS)

    def open(self, files: Sequence[File]) -> Contents:
        """One image."""
        return one_image(PnmSource(files[0].read()))


READER: Final = PnmReader()
