"""What hypothesis draws: keys and rows of every dtype that is stored, and values of metadata, odd ones among them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

DTYPES: Final = ("bool", "uint8", "int16", "uint16", "int32", "int64", "float16", "float32", "float64")
"""NumPy's names of the dtypes that a store keeps bit by bit."""

ODD: Final[Mapping[str, tuple[Any, ...]]] = {
    "bool": (False, True),
    "int": (0, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)),
    "float": (-0.0, 0.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 2.0**53, 2.0**63, -(2.0**63), 1.7e308),
    "string": (
        "",
        " ",
        "\u00e9",
        "e\u0301",
        "stra\u00dfe",
        "\u0130",
        "\uff5e",
        "\U0001f600",
        "\u65e5\u672c",
        "'; DROP",
        "x`y",
        "%_\\",
    ),
    "date": (date.min, date(1969, 12, 31), date(2024, 2, 29), date.max),
    "datetime": tuple(
        datetime.fromisoformat(text)  # as times are stored: by UTC, and without a zone
        for text in ("0001-01-01", "1969-12-31T23:59:59.999", "2024-02-29T12:30", "9999-12-31T23:59:59.999")
    ),
}
"""By the type of a field: values at which engines differ. NaN is a missing value, and -0.0 is 0.0."""


def values(of: str) -> st.SearchStrategy[Any]:
    """A value of metadata of a type (``int``, ``list[float]``): missing, small or odd."""
    if of.startswith("list["):
        item = values(of[5:-1]).filter(lambda value: value is not None and value == value)
        return st.none() | st.lists(item, max_size=3)
    return st.none() | st.sampled_from(ODD[of]) | _USUAL[of]


_USUAL: Final[Mapping[str, st.SearchStrategy[Any]]] = {
    "bool": st.booleans(),
    "int": st.integers(-5, 5),
    "float": st.sampled_from([-2.5, -1.0, 0.1, 0.5, 1.0, 3.0, 1e12]),
    "string": st.sampled_from(["a", "ab", "DME", "na\u00efve"]),
    "date": st.dates(date(2020, 1, 1), date(2020, 1, 6)),
    "datetime": st.integers(0, 3).map(lambda hour: datetime.fromisoformat(f"2020-01-01T0{hour}:00:00.123")),
}


def key_sets(max_size: int = 30) -> st.SearchStrategy[list[int]]:
    """Distinct keys in any order: neighbors, so that there are runs, and far ones beyond 32 bits."""
    key = st.integers(-5, 40) | st.sampled_from([2**31, 2**40, 2**62, -(2**62)])
    return st.lists(key, unique=True, min_size=1, max_size=max_size)


def rows_of(n: int, dtype: str, shape: tuple[int, ...]) -> st.SearchStrategy[NDArray[Any]]:
    """Arrays (n, *shape) of a dtype; floats may be NaN or infinite."""
    return npst.arrays(np.dtype(dtype), (n, *shape))


def units_of(units: int, n: int) -> st.SearchStrategy[NDArray[np.float32]]:
    """Values of units over images (units, n): of both signs or of a ReLU, subnormal, large, constant, NaN, infinite."""
    odd = st.sampled_from([0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan, 1.0])
    signed = st.floats(width=32) | st.floats(-1, 1, width=32) | odd.map(np.float32).map(float)
    relu = st.just(0.0) | st.floats(0, 10, width=32)
    return st.sampled_from([signed, relu]).flatmap(
        lambda elements: npst.arrays(np.float32, (units, n), elements=elements)
    )
