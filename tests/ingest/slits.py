"""Files of a made-up scanner, one a slice, as docs/extending.md describes them."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH = 20, 30


def voxels(scan: int, slices: int = 4) -> NDArray[np.uint16]:
    return np.random.default_rng(scan).integers(0, 2**16, (slices, HEIGHT, WIDTH), np.uint16)


def write_scan(folder: Path, scan: int, operator: str = "Ada Lima", slices: int = 4) -> list[Path]:
    """A file a slice, whose order by name is not that by depth, without a suffix that says anything."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for place, pixels in enumerate(voxels(scan, slices)):
        path = folder / f"IM{slices - place}.{scan}"
        head = struct.pack("<4s3Hf8s", b"SLIT", scan, HEIGHT, WIDTH, place / 2, operator.encode())
        path.write_bytes(head + pixels.astype("<u2").tobytes())
        paths.append(path)
    return paths
