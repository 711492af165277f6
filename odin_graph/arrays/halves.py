"""The codec f16: activations of units in half precision, divided by a power of two to make use of its range."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import codes

_TOP: Final = 15
"""The largest value of a unit is stored below 2**15."""
_LAST: Final = -25
"""Half precision has steps of 2**-24 around zero."""
_LARGEST: Final = float(np.finfo(np.float32).max)

Floats = NDArray[np.float32]
Scales = NDArray[np.float64]


def pack(values: Floats, scales: Scales) -> NDArray[np.float16]:
    """Values (units, n) of units with these scales, as they are stored. NaN and infinities stay what they are."""
    with np.errstate(under="ignore"):
        return np.ldexp(values, -_exponents(scales)).astype(np.float16)


def unpack(halves: NDArray[np.float16], scales: Scales) -> Floats:
    """The stored values (units, n) as float32."""
    wide = np.ldexp(halves.astype(np.float64), _exponents(scales))
    # A value that was rounded up may lie above the largest value, and so above the range of float32.
    np.clip(wide, scales[:, :1], scales[:, 1:2], out=wide, where=np.isfinite(wide))
    found: Floats = wide.astype(np.float32)
    return found


def error(scales: Scales) -> NDArray[np.float64]:
    """How far a stored value may lie from the one that was captured, a unit (units,)."""
    bound: NDArray[np.float64] = np.abs(scales[:, :2]).max(axis=1) * 2.0**-11
    return bound


def repack(halves: NDArray[np.float16], scales: Scales) -> tuple[NDArray[np.float16], Scales, NDArray[np.float64]]:
    """The same values with scales (units, 4) of these values alone, whatever others they were stored with.

    Also the error (units,) of values that lost digits because they were stored with much larger ones.
    """
    exponents = _exponents(scales)
    wide = np.ldexp(halves.astype(np.float64), exponents)
    found = codes.scales(wide)
    np.clip(found[:, :2], -_LARGEST, _LARGEST, out=found[:, :2])
    coarse = np.where(scales[:, :2].any(axis=1), np.ldexp(1.0, exponents[:, 0] + _LAST), 0.0)
    return np.ldexp(wide, -_exponents(found)).astype(np.float16), found, coarse


def _exponents(scales: Scales) -> NDArray[np.int32]:
    _, exponents = np.frexp(np.abs(scales[:, :2]).max(axis=1))
    found: NDArray[np.int32] = (exponents - _TOP).astype(np.int32)[:, None]
    return found
