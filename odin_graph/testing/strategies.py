"""What hypothesis draws for arrays: keys, and rows of every dtype that is stored."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

DTYPES: Final = ("bool", "uint8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64")
"""NumPy's names of the dtypes that a store keeps bit by bit."""


def key_sets(max_size: int = 30) -> st.SearchStrategy[list[int]]:
    """Distinct keys in any order: neighbours, so that there are runs, and far ones beyond 32 bits."""
    key = st.integers(-5, 40) | st.sampled_from([2**31, 2**40, 2**62, -(2**62)])
    return st.lists(key, unique=True, min_size=1, max_size=max_size)


def rows_of(n: int, dtype: str, shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[Any]]:
    """Arrays (n, *shape) of a dtype; floats may be NaN or infinite."""
    return npst.arrays(np.dtype(dtype), (n, *shape))


def units_of(units: int, n: int) -> st.SearchStrategy[NDArray[np.float32]]:
    """What units say of images (units, n): of both signs or of a ReLU, subnormal, large, constant, NaN, infinite."""
    odd = st.sampled_from([0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan, 1.0])
    signed = st.floats(width=32) | st.floats(-1, 1, width=32) | odd.map(np.float32).map(float)
    relu = st.just(0.0) | st.floats(0, 10, width=32)
    return st.sampled_from([signed, relu]).flatmap(lambda said: npst.arrays(np.float32, (units, n), elements=said))
