"""How far two places on the sky are apart: ``fn.separation(F("ra"), F("dec"), 83.6, -5.4) < 0.1``."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from odin_graph.query.expressions.functions import NUMBER, Datum, function


@function("separation", NUMBER, NUMBER, NUMBER, NUMBER, gives="float")
def separation(ra: Datum, dec: Datum, ra2: Datum, dec2: Datum) -> Datum:
    """The angle between two directions in degrees, all of them in degrees (Vincenty's formula, exact everywhere)."""
    one, two, other, last = (np.deg2rad(_floats(value)) for value in (ra, dec, ra2, dec2))
    apart = other - one
    across = np.hypot(
        np.cos(last) * np.sin(apart), np.cos(two) * np.sin(last) - np.sin(two) * np.cos(last) * np.cos(apart)
    )
    along = np.sin(two) * np.sin(last) + np.cos(two) * np.cos(last) * np.cos(apart)
    return pa.array(np.atleast_1d(np.rad2deg(np.arctan2(across, along))), from_pandas=True)  # NaN is missing


def _floats(value: Datum) -> np.ndarray:
    """A column, or a constant as one number; what is missing is NaN."""
    if isinstance(value, pa.Scalar):
        return np.float64(value.as_py() if value.is_valid else np.nan)
    return value.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
