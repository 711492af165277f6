"""Whether an argument is one thing or many, and whether these are in an order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import DataError


def is_several(given: object) -> TypeGuard[Iterable[Any]]:
    """Whether many things were given: a text is one, and so is an array without a dimension, which has `__iter__`."""
    return isinstance(given, Iterable) and not isinstance(given, str | bytes) and getattr(given, "ndim", 1) != 0


def in_order(name: str, given: Any, ask: str = "give one value an image") -> Any:
    """What has a value for each of several things, in their order; a Series by its rows and not by its index.

    Args:
        name: Of the argument.
        given: What was given for it.
        ask: What the message asks for.

    Raises:
        DataError: It is one thing, a mapping, whose order is another one, or has no order.
    """
    other = isinstance(given, str | bytes | Mapping | set | frozenset) or hasattr(given, "columns")
    if other or getattr(given, "ndim", 1) == 0 or not (is_several(given) or hasattr(given, "__getitem__")):
        raise DataError(f"{name!r} is {given!r:.60}: {ask}, in a list or an array.")
    if hasattr(given, "iloc"):
        return given.tolist()
    return given if hasattr(given, "__getitem__") else list(given)


def read_numbers(name: str, given: Any) -> NDArray[np.float64]:
    """A number for each of several things (n,), in their order.

    Raises:
        DataError: They have no order, or are no numbers.
    """
    try:
        return np.asarray(in_order(name, given), np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name!r} is {given!r:.60}: give one number an image, in a list or an array.") from error


def refuse_unordered(name: str, given: Any) -> None:
    """Refuse a set where something else has a value for each: its order is another one in each process.

    Raises:
        DataError: It is one.
    """
    if isinstance(given, set | frozenset):
        raise DataError(f"{name!r} is a set, which has no order: give a list, in the order of the values.")
