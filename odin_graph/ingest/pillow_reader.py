"""PNG, JPEG, TIFF, GIF, WebP, BMP and PNM in the file's own depth; docs/images.md says what becomes of each kind.

A file is read as what its bytes are, whatever its name. What Pillow would cut to 8 bits or give another meaning is read
by code of ours, or refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Final

from numpy.typing import NDArray

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.bmp import BmpSource
from odin_graph.ingest.formats import HEAD, format_of, why_not
from odin_graph.ingest.pillow import PillowSource
from odin_graph.ingest.png import PngSource
from odin_graph.ingest.pnm import PnmSource
from odin_graph.ingest.source import Origin, Source
from odin_graph.ingest.tiff import TiffSource


class PillowReader:
    """The formats that everybody has."""

    suffixes: ClassVar[frozenset[str]] = frozenset(
        {".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
    )

    def read(self, data: bytes) -> NDArray[Any]:
        """Pixels (h, w, bands), of whatever dtype the file has."""
        source = self.open(data)
        return source.rows(0, source.shape[0])

    def open(self, origin: Origin) -> Source:
        """The image of a file, not yet decoded."""
        head = origin[:HEAD] if isinstance(origin, bytes) else _head(origin)
        kind = format_of(head)
        if kind == "PNG":
            return PngSource(origin)
        if kind is None:
            raise UnreadableImageError(why_not(head))
        if kind == "TIFF":
            try:
                return TiffSource(origin)
            except UnreadableImageError as error:
                if head.startswith(b"DICM", 128):  # its preamble may begin as a TIFF does
                    raise UnreadableImageError(why_not(head)) from error
                raise
        data = origin.read_bytes() if isinstance(origin, Path) else origin
        if kind == "PNM":
            return PnmSource(data)
        return (BmpSource.of(data) if kind == "BMP" else None) or PillowSource(data, kind)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD)


READER: Final = PillowReader()
