"""Arrays whose axes are probably meant in another order: stored as they are, with a remark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

_CHANNELS = (1, 3, 4)
_LEAST = 17
"""Rows and columns of what is plainly a picture; fewer may be bands."""


def remarks(pixels: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """A remark on images, by id and pixels, whose first axis looks like the channels of PyTorch."""
    turned = [(id_, image.shape) for id_, image in pixels if _channels_first(image.shape)]
    if turned:
        id_, shape = turned[0]
        yield (
            f"{len(turned):,} images, first {id_!r}, have shape {tuple(shape)} and were stored as {shape[0]} rows of "
            f"{shape[1]} pixels with {shape[2]} bands. If channels come first there, give np.moveaxis(image, 0, -1)."
        )


def remark_on_stack(shape: Sequence[int]) -> str | None:
    """A remark on an array (n, h, w) that looks like one image (h, w, bands)."""
    if len(shape) == 3 and shape[2] in _CHANNELS[1:] and min(shape[:2]) >= _LEAST:
        return (
            f"images= has shape {tuple(shape)} and was stored as {shape[0]} gray images of {shape[1]} x {shape[2]} "
            "pixels. If it is one image, give images=[image]."
        )
    return None


def remark_on_volume(what: str, shape: Sequence[int]) -> str | None:
    """A remark on a volume or video (n, h, w, bands), one of whose first two axes looks like the channels."""
    for axis in (1, 0):
        if len(shape) == 4 and shape[axis] in _CHANNELS and min(shape[2:]) >= _LEAST:
            return (
                f"{what} has shape {tuple(shape)} and was stored with {shape[3]} bands. If axis {axis} is channels, "
                f"give np.moveaxis(array, {axis}, -1)."
            )
    return None


def _channels_first(shape: Sequence[int]) -> bool:
    return len(shape) == 3 and shape[0] in _CHANNELS and min(shape[1:]) >= _LEAST
