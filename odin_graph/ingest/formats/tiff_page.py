"""The page of a TIFF that is its image, how its numbers lie in the file, and why it is refused where it is."""

from __future__ import annotations

import logging
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import tifffile

from odin_graph.errors import UnreadableImageError
from odin_graph.ingest.formats.orientation import TAG, UPRIGHT, valid
from odin_graph.ingest.formats.source import broken, frames_refused

_REDUCED, _MASK = 1, 4
"""Bits of NewSubfileType: a smaller version of another page, and what is transparent in it."""
_PLAIN: Final = (1, 8, 32773, 32946)
"""Compressions that Python and tifffile have code for: none, deflate, PackBits, and deflate's old number."""
_DIFFERENCES: Final = 2
_WHOLE: Final = (8, 16, 32, 64)
"""Bits of numbers that NumPy has."""
_NEEDED: Final = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 317, 320, 322, 323, 324, 325}
    | {332, 336, 338, 339, 347, 512, 529, 530, 532, 32997, 32998}
)
"""Tags without which pixels would be others."""
REMEDY: Final = "save it as 8 or 16 bits of gray or RGB, or add its numbers as an array: images=[tifffile.imread(path)]"

# What tifffile remarks on a damaged file goes to its log, and not to the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Page:
    """How a page's numbers lie in the file."""

    height: int
    width: int
    bands: int
    dtype: np.dtype[Any]
    """In memory."""
    stored: np.dtype[Any]
    """In the file's byte order."""
    tall: int
    """Rows of a tile or a strip."""
    across: int
    """Pixels of a row of tiles, or of a strip's."""
    planes: int
    """1, or the number of bands where each is stored by itself."""
    offset: int | None
    """Where the numbers begin, if they lie in the file as in memory."""
    orientation: int
    mask: Any
    """Mask for numbers of a depth that NumPy has not: the bits that stay of a sum of differences."""
    empty: Any
    """The value of a tile that the file leaves out."""
    file_size: int


def image_page(file: tifffile.TiffFile) -> tifffile.TiffPage:
    """The page that holds the image; smaller versions of it and masks may be beside it.

    Raises:
        UnreadableImageError: There are several, or none.
    """
    try:
        if not len(file.pages):
            raise broken("it has no image")
        pages = [page.aspage() for page in file.pages] if len(file.pages) > 1 else [file.pages.first]
        full = [page for page in pages if not page.subfiletype & (_REDUCED | _MASK)]
        planes = _planes(file)
        for page in full:
            _check_tags(page)
    except UnreadableImageError:
        raise
    except Exception as error:  # what is damaged raises anything
        raise broken(error) from error
    if not full:
        if len(pages) == 1 and not pages[0].subifds:
            return pages[0]
        raise UnreadableImageError(
            "it contains a smaller version of an image, and the image itself elsewhere: " + REMEDY
        )
    if len(full) > 1 or planes > 1:
        raise frames_refused(max(len(full), planes))
    return full[0]


def checked(page: tifffile.TiffPage) -> Page:
    """The page's layout.

    Raises:
        UnreadableImageError: It is of a kind that is not read, or needs a codec that is not installed, or is damaged.
    """
    try:
        _check_numbers(page)
        _check_codec(page)
        return _layout(page)
    except UnreadableImageError:
        raise
    except Exception as error:
        raise broken(error) from error


def codec_missing(page: tifffile.TiffPage) -> UnreadableImageError:
    """The error where imagecodecs is not installed, or has no code for the file either."""
    what = f"it is compressed as {_name(page.compression)}"
    if page.compression in _PLAIN:
        what = f"its numbers are of {page.bitspersample} bits"
        if page.predictor not in (1, _DIFFERENCES):
            what = f"its numbers are stored as differences ({_name(page.predictor)})"
    if not _has_codecs():
        return UnreadableImageError(f"{what}, which needs the package imagecodecs: pip install 'odin-graph[tiff]'")
    return UnreadableImageError(f"{what}, which imagecodecs has no code for: {REMEDY}")


def _check_tags(page: tifffile.TiffPage) -> None:
    """Refuse a page with a damaged tag that its pixels depend on: tifffile leaves such out, and takes what is usual."""
    parent = page.parent
    form = parent.tiff
    handle = parent.filehandle
    handle.seek(page.offset)
    (number,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
    entries = handle.read(number * form.tagsize)
    if len(entries) < number * form.tagsize:
        raise broken("its directory is cut off")
    codes = [struct.unpack_from(f"{form.byteorder}H", entries, at)[0] for at in range(0, len(entries), form.tagsize)]
    if lost := sorted(code for code in codes if code in _NEEDED and code not in page.tags):
        raise broken(f"its tag {lost[0]} is damaged")


def _planes(file: tifffile.TiffFile) -> int:
    """How many images lie behind each other in one page, by the metadata of the file."""
    planes = 1
    if file.is_imagej:
        metadata = file.imagej_metadata or {}
        with suppress(TypeError, ValueError):
            planes = max(planes, int(metadata.get("images", 1)))
    if file.is_shaped or file.is_stk or file.is_lsm:
        planes = max(planes, *(int(np.prod(of.shape)) // max(1, int(np.prod(of.keyframe.shape))) for of in file.series))
    return planes


def _check_numbers(page: tifffile.TiffPage) -> None:
    if page.imagedepth > 1:
        raise UnreadableImageError("it is a volume: hand it in with db.volumes.add(...), as an array (depth, h, w)")
    bits: Any = page.bitspersample
    if isinstance(bits, tuple):
        raise UnreadableImageError(f"its bands have different depths, {bits} bits: {REMEDY}")
    if page.dtype is None or page.dtype.kind not in "buif":
        kind = (
            "complex" if page.sampleformat in (5, 6) else f"of {page.bitspersample} bits in a format that NumPy has not"
        )
        raise UnreadableImageError(f"its numbers are {kind}: {REMEDY}")
    if not page.imagelength or not page.imagewidth or not page.samplesperpixel or not page.dataoffsets:
        raise broken("it has no pixels")


def _check_codec(page: tifffile.TiffPage) -> None:
    if not _has_codecs() and not (
        page.compression in _PLAIN
        and page.predictor in (1, _DIFFERENCES)
        and (page.bitspersample == 1 or page.bitspersample in _WHOLE)
    ):
        raise codec_missing(page)
    try:
        page.decode(None, 0)  # tifffile says what it cannot do when it looks for the code
    except (ImportError, KeyError) as error:
        raise codec_missing(page) from error
    except (NotImplementedError, ValueError) as error:
        if str(page.compression.value if hasattr(page.compression, "value") else page.compression) in str(error):
            raise codec_missing(page) from error
        raise UnreadableImageError(f"it is of a kind of TIFF that is not read ({error}): {REMEDY}") from error


def _layout(page: tifffile.TiffPage) -> Page:
    height, width, bands = int(page.imagelength), int(page.imagewidth), int(page.samplesperpixel)
    tall = int(page.tilelength if page.is_tiled else min(page.rowsperstrip, height))
    columns = -(-width // int(page.tilewidth)) if page.is_tiled else 1
    planes = bands if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1
    parts = -(-height // tall) * columns * planes
    if min(len(page.dataoffsets), len(page.databytecounts)) < parts:
        raise broken(f"{min(len(page.dataoffsets), len(page.databytecounts)):,} of its {parts:,} parts are there")
    dtype = np.dtype(page.dtype).newbyteorder("=")
    bits = int(page.bitspersample)
    as_in_memory = (
        page.compression == tifffile.COMPRESSION.NONE
        and page.predictor == 1
        and page.fillorder == 1
        and not page.is_tiled
        and page.is_contiguous
        and bits == dtype.itemsize * 8
        and dtype.kind != "b"
    )
    orientation = page.tags.get(TAG)
    return Page(
        height,
        width,
        bands,
        dtype,
        dtype.newbyteorder(page.parent.byteorder),
        tall,
        columns * int(page.tilewidth) if page.is_tiled else width,
        planes,
        int(page.dataoffsets[0]) if as_in_memory else None,
        (valid(orientation.value) if orientation is not None else None) or UPRIGHT,
        dtype.type((1 << bits) - 1) if dtype.kind == "u" and bits not in _WHOLE else None,
        _empty(page, dtype),
        int(page.parent.filehandle.size),
    )


def _empty(page: tifffile.TiffPage, dtype: np.dtype[Any]) -> Any:
    with suppress(TypeError, ValueError, OverflowError):
        return dtype.type(page.nodata)
    return dtype.type(0)


def _has_codecs() -> bool:
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        return False
    return True


def _name(code: Any) -> str:
    return str(getattr(code, "name", code))


__all__ = ["REMEDY", "Page", "checked", "codec_missing", "image_page"]
