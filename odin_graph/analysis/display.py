"""Pixels of any dtype and number of bands as 8-bit RGB, for looking at only: nothing is stored so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_LOW, _HIGH = 0.5, 99.5
"""Percentiles that become black and white above 8 bits: a few hot pixels would leave the rest black."""
_SHOWN_BANDS: Final = 3
_SAMPLED: Final = 1 << 16
"""Values of an image that its percentiles are taken of, at even distances."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The values that are shown as black and as white."""

    low: float
    high: float

    @classmethod
    def of(cls, images: Iterable[NDArray[Any]]) -> Scale:
        """One for several images (h, w, bands): percentiles of what is shown of all of them together."""
        parts = [_sample(pixels[..., :_SHOWN_BANDS]) for pixels in images]
        values = np.concatenate([np.empty(0), *parts])
        if not values.size:
            return cls(0.0, 0.0)
        low, high = np.percentile(values, [_LOW, _HIGH])
        if high <= low:
            low, high = values.min(), values.max()
        return cls(float(low), float(high))

    def __str__(self) -> str:
        """The text for below a picture."""
        return f"{self.low:.6g} is black, {self.high:.6g} white"


def is_stretched(pixels: NDArray[Any]) -> bool:
    """Whether these are shown through a scale: 8 bits and booleans are shown as they are."""
    return pixels.dtype != bool and pixels.dtype != np.uint8


def displayable(pixels: NDArray[Any], scale: Scale | None = None) -> NDArray[np.uint8]:
    """An image (h, w, bands) as (h, w, 3) uint8; or several (n, h, w, bands), stretched alike, as (n, h, w, 3).

    8 bits and booleans are shown as they are; signed and wider integers and floats are stretched between two
    percentiles. One band is gray, two are red and green, of more than three the first three are shown; the fourth of
    four 8-bit bands is not taken for opacity, since nothing says that it is.

    Args:
        pixels: Of any dtype.
        scale: What is black and what is white; by default as these pixels have it by themselves.
    """
    shown = pixels[..., :_SHOWN_BANDS]
    if shown.dtype == bool:
        shown = shown.astype(np.uint8) * 255
    elif is_stretched(shown):
        shown = _stretched(shown.astype(np.float64), scale or Scale.of([shown]))
    if shown.shape[-1] == 1:
        return np.repeat(shown, 3, axis=-1)
    if shown.shape[-1] < _SHOWN_BANDS:
        missing = np.zeros((*shown.shape[:-1], _SHOWN_BANDS - shown.shape[-1]), np.uint8)
        return np.concatenate([shown, missing], axis=-1)
    return shown


def reduced(pixels: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """At most so many pixels high and wide: few stay the squares they are, many are averaged and not kept."""
    from PIL import Image

    if max(pixels.shape[:2]) <= most:
        return pixels
    image = Image.fromarray(pixels)
    image.thumbnail((most, most), Image.Resampling.BOX)
    return np.asarray(image)


def _sample(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Finite values, not too many of one image."""
    flat = pixels.reshape(-1)
    some = flat[:: max(1, -(-flat.size // _SAMPLED))].astype(np.float64)
    finite: NDArray[np.float64] = some[np.isfinite(some)]
    return finite


def _stretched(values: NDArray[np.float64], scale: Scale) -> NDArray[np.uint8]:
    low, high = scale.low, scale.high
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / (high - low if high > low else 1)
    shown: NDArray[np.uint8] = np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return shown
