"""What a file that no reader accepts is, by its first bytes: an EPS may be named as a PNG."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

_MARKS: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"%!PS", "EPS or PostScript, which only a program that it runs could draw"),
    (0, b"\xc5\xd0\xd3\xc6", "EPS, which only a program that it runs could draw"),
    (0, b"%PDF", "PDF"),
    (4, b"ftypavi", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftyphev", "HEIC"),
    (4, b"ftypmif1", "HEIF"),
    (4, b"ftyp", "a video (MP4 or QuickTime)"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"II\xbc\x01", "JPEG XR"),
    (0, b"8BPS", "Photoshop"),
    (0, b"DDS ", "DDS"),
    (0, b"SIMPLE  =", "FITS"),
    (128, b"DICM", "DICOM"),
    (344, b"n+1\0", "NIfTI"),
    (344, b"ni1\0", "NIfTI"),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5"),
    (0, b"\x93NUMPY", "a NumPy array (.npy): hand it in with images=np.load(...)"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"qoif", "QOI"),
    (0, b"\0\0\x01\0", "an icon (ICO)"),
    (0, b"\0\0\x02\0", "a cursor (CUR)"),
    (0, b"icns", "an icon (ICNS)"),
    (0, b"\x8aMNG", "MNG"),
    (0, b"\x8bJNG", "JNG"),
    (0, b"gimp xcf", "GIMP"),
    (0, b"P7\n", "PAM"),
    (0, b"PF\n", "PFM"),
    (0, b"Pf\n", "PFM"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile"),
    (40, b" EMF", "a Windows metafile"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Microsoft compound file, as Thumbs.db and old Office documents are"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "compressed with gzip: unpack it"),
    (0, b"BZh", "compressed with bzip2: unpack it"),
    (0, b"\xfd7zXZ\0", "compressed with xz: unpack it"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it"),
    (8, b"AVI ", "a video (AVI)"),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)"),
    (0, b"version https://git-lfs", "a pointer of Git LFS and not the file itself: git lfs pull fetches it"),
    (0, b"SQLite format 3", "an SQLite database"),
)
"""Offset, bytes there, and the words for it."""


def known_as(head: bytes) -> str | None:
    """The name of a format that is not read, by its marks; None where they are not known."""
    return next((name for at, mark, name in _MARKS if head.startswith(mark, at)), None)


def why_not(head: bytes, formats: Collection[str]) -> str:
    """The message for a file that no reader accepts, with the formats that are read."""
    if not head:
        return "it is not an image: it is empty"
    *others, last = sorted(formats, key=str.lower)
    names = f"{', '.join(others)} and {last}" if others else last
    found = known_as(head)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if found is None and text.startswith((b"<!doctype html", b"<html", b"<svg", b"<?xml")):
        found = "SVG" if b"<svg" in text else "a page of HTML or XML, as a server sends instead of an image"
    if found is None:
        return f"it is not an image, or of a format that is not read: {names} are"
    if ":" in found or found.startswith("a page"):
        return f"it is {found}"
    return f"it is {found}. {names} are read: save it as one of them, or add its pixels as an array"
