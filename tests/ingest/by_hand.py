"""Encoders of tests' own, from the formats' descriptions: what they write is known without any decoder."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

PASSES = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


def png(
    values: NDArray[Any],
    depth: int,
    color: int,
    *,
    interlaced: bool = False,
    before: Sequence[tuple[bytes, bytes]] = (),
    pieces: int = 1,
    seed: int = 0,
) -> bytes:
    """A PNG of numbers (h, w, samples); each row by a filter drawn by chance, and the pixels in so many parts."""
    height, width, samples = values.shape
    draw = np.random.default_rng(seed)
    raw = b""
    for top, left, down, along in PASSES if interlaced else ((0, 0, 1, 1),):
        part = values[top::down, left::along]
        if part.size:
            raw += _filtered(_packed(part, depth), max(1, samples * depth // 8), draw)
    packed = zlib.compress(raw)
    step = -(-len(packed) // pieces)
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    parts = [(b"IHDR", head), *before]
    parts += [(b"IDAT", packed[at : at + step]) for at in range(0, len(packed), step)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in [*parts, (b"IEND", b"")])


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _packed(values: NDArray[Any], depth: int) -> NDArray[np.uint8]:
    """Rows of bytes."""
    rows = values.reshape(len(values), -1)
    if depth == 16:
        return rows.astype(">u2").view(np.uint8)
    if depth == 8:
        return rows.astype(np.uint8)
    bits = (rows[:, :, np.newaxis].astype(np.uint8) >> np.arange(depth - 1, -1, -1, dtype=np.uint8)) & 1
    return np.packbits(bits.reshape(len(rows), -1), axis=1)


def _filtered(rows: NDArray[np.uint8], step: int, draw: np.random.Generator) -> bytes:
    out = bytearray()
    above = np.zeros(rows.shape[1], int)
    for row in rows.astype(int):
        left, corner = (np.concatenate([np.zeros(step, int), line[:-step]]) for line in (row, above))
        guess = left + above - corner
        nearest = np.argmin([abs(guess - left), abs(guess - above), abs(guess - corner)], axis=0)
        guesses = [0 * row, left, above, (left + above) // 2, np.choose(nearest, [left, above, corner])]
        kind = int(draw.integers(5))
        out += bytes([kind]) + ((row - guesses[kind]) % 256).astype(np.uint8).tobytes()
        above = row
    return bytes(out)


def tiff(values: NDArray[Any], bits: int, *, order: str = "<", fill: int = 1, **tags: Any) -> bytes:
    """A TIFF of one strip of numbers (h, w, samples), uncompressed; more tags by number, as ``t262=1``."""
    height, width, samples = values.shape
    if bits in (16, 32, 64):
        data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    else:
        data = _packed(values, bits).tobytes()
    if fill == 2:
        data = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    kinds = {"u": 1, "i": 2, "f": 3, "b": 1}
    fields: dict[int, Any] = {256: width, 257: height, 258: [bits] * samples, 259: 1, 262: 2 if samples > 2 else 1}
    fields |= {266: fill, 277: samples, 278: height, 279: len(data), 339: [kinds[values.dtype.kind]] * samples}
    fields |= {int(name[1:]): value for name, value in tags.items()}
    fields[273] = 0
    place = 8 + 2 + 12 * len(fields) + 4
    extra = b""
    entries = b""
    for code in sorted(fields):
        value = fields[code]
        if code == 273:
            entries += struct.pack(f"{order}HHII", code, 4, 1, 0)  # mended below
            continue
        numbers = value if isinstance(value, list) else [value]
        wide = code in (279, 256, 257, 278)
        body = struct.pack(f"{order}{len(numbers)}{'I' if wide else 'H'}", *numbers)
        if len(body) <= 4:
            entries += struct.pack(f"{order}HHI", code, 4 if wide else 3, len(numbers)) + body.ljust(4, b"\0")
        else:
            entries += struct.pack(f"{order}HHII", code, 4 if wide else 3, len(numbers), place + len(extra))
            extra += body + b"\0" * (len(body) % 2)
    begin = place + len(extra)
    entries = entries.replace(struct.pack(f"{order}HHII", 273, 4, 1, 0), struct.pack(f"{order}HHII", 273, 4, 1, begin))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    return head + struct.pack(f"{order}H", len(fields)) + entries + b"\0\0\0\0" + extra + data


def pnm(values: NDArray[Any], most: int, *, plain: bool = False, comment: bool = False) -> bytes:
    """A PGM or PPM of numbers (h, w, 1 or 3), a PBM where the largest is 0: True is white."""
    height, width, samples = values.shape
    kind = (1 if most == 0 else 2 if samples == 1 else 3) + (0 if plain else 3)
    note = b"# made by hand\n" if comment else b""
    head = b"P%d\n%s%d %d\n" % (kind, note, width, height) + (b"%d\n" % most if most else b"")
    if most == 0:
        black = ~values[..., 0]
        return head + (
            b"".join(b"%d" % one for one in black.ravel()) if plain else np.packbits(black, axis=1).tobytes()
        )
    if plain:
        return head + b" ".join(b"%d" % one for one in values.ravel()) + b"\n"
    return head + values.astype(np.uint8 if most < 256 else ">u2").tobytes()


def bmp(values: NDArray[Any], masks: Sequence[int], bits: int, *, top_down: bool = False) -> bytes:
    """A BMP whose bands (h, w, n) are packed by masks, with the header of its fourth version."""
    height, width, _ = values.shape
    packed = np.zeros((height, width), np.uint32)
    for band, mask in enumerate(masks):
        packed |= values[..., band].astype(np.uint32) << ((mask & -mask).bit_length() - 1)
    lines = packed.astype(f"<u{bits // 8}").view(np.uint8).reshape(height, -1)
    lines = np.pad(lines, ((0, 0), (0, -lines.shape[1] % 4)))
    data = (lines if top_down else lines[::-1]).tobytes()
    given = [*masks, 0][:4]
    info = struct.pack("<IiiHHIIiiII", 108, width, -height if top_down else height, 1, bits, 3, len(data), 0, 0, 0, 0)
    info += struct.pack("<4I", *given) + b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(info) + len(data), 0, 0, 14 + len(info)) + info + data
