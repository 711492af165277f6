"""Pixels of any dtype and number of bands as 8-bit RGB, for looking at only: nothing is stored so."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_LOW, _HIGH = 0.5, 99.5
"""Percentiles that become black and white above 8 bits: a few hot pixels would leave the rest black."""
_SHOWN_BANDS: Final = 3


def displayable(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """An image (h, w, bands) as (h, w, 3) uint8; or several (n, h, w, bands), stretched alike, as (n, h, w, 3).

    8 bits and booleans are shown as they are; wider integers and floats are stretched between two percentiles. One
    band is grey, two are red and green, of more than three the first three are shown; the fourth of four 8-bit bands
    is not taken for opacity, since nothing says that it is.
    """
    shown = pixels[..., :_SHOWN_BANDS]
    if shown.dtype == bool:
        shown = shown.astype(np.uint8) * 255
    elif shown.dtype != np.uint8:
        shown = _stretched(shown.astype(np.float64))
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


def _stretched(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros(values.shape, np.uint8)
    low, high = np.percentile(finite, [_LOW, _HIGH])
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / (high - low if high > low else 1)
    shown: NDArray[np.uint8] = np.round(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return shown
