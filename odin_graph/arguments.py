"""Arguments as their users give them: each kind is read in one way, or refused by the name of the argument."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Real
from operator import index
from pathlib import Path
from typing import Any

from odin_graph.errors import DataError, QueryError, ShapeError

_LONGEST = 255
"""Bytes of the name of a file, on all file systems of note."""


def whole(value: object) -> int | None:
    """A whole number, also one of NumPy's; None for anything else, truth values and arrays among them."""
    array = hasattr(value, "__setitem__")  # one without a dimension has an index, too
    if array or is_truth(value) or not hasattr(value, "__index__"):
        return None
    try:
        return index(value)
    except TypeError:  # an array
        return None


def whole_box(value: object) -> tuple[int, int, int, int]:
    """A box as its users write it: (left, top, right, bottom) in pixels, right and bottom exclusive.

    Raises:
        DataError: It is no box of four whole numbers.
        ShapeError: It is empty.
    """
    ordered = isinstance(value, Sequence) or hasattr(value, "__array__")
    numbers = list(value) if ordered and getattr(value, "ndim", 1) == 1 else []  # type: ignore[call-overload]
    if len(numbers) != 4 or not all(is_number(number) and float(number).is_integer() for number in numbers):
        raise DataError(f"{value!r:.80} is not a box: give (left, top, right, bottom) in whole pixels.")
    left, top, right, bottom = (int(number) for number in numbers)
    if left >= right or top >= bottom:
        raise ShapeError(f"The box {(left, top, right, bottom)} (left, top, right, bottom) is empty.")
    return left, top, right, bottom


def is_truth(value: object) -> bool:
    """Whether it is a truth value, also one of NumPy's, which need not be loaded for it."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return isinstance(value, bool) or (kind == "b" and not hasattr(value, "__setitem__"))


def is_number(value: object) -> bool:
    """Whether it is a finite real number, also one of NumPy's, and no truth value."""
    if is_truth(value) or not isinstance(value, Real):
        return False
    try:
        return isfinite(value)
    except OverflowError:  # a fraction beyond a float
        return False


def read_path(name: str, given: object) -> Path:
    """The path of a file or folder.

    Raises:
        DataError: It is not a path, or a name that no file can have.
    """
    if not isinstance(given, str | os.PathLike) or not isinstance(os.fspath(given), str):
        raise DataError(f"{name} is a path, as text or as a pathlib.Path, not {given!r:.80}.")
    text = os.fspath(given)
    try:
        fits = all(len(os.fsencode(part)) <= _LONGEST for part in Path(text).parts)
    except UnicodeEncodeError:  # half a character
        fits = False
    if not text or "\0" in text or not fits:
        raise DataError(f"{name}={text!r:.80} is not the path of a file or folder: give one.")
    return Path(text)


def is_there(path: Path) -> bool:
    """Whether there is such a file or folder; there is none of a name that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def read_text(name: str, given: object) -> str:
    """A text.

    Raises:
        QueryError: It is not one.
    """
    if not isinstance(given, str):
        raise QueryError(f"{name} is a text, not {given!r:.80}.")
    return given


def read_fields(call: str, given: object, more: Mapping[str, Any]) -> dict[str, Any]:
    """Names and values that are given as a dict, by keyword, or both.

    Raises:
        DataError: What is given in front is not a dict of names.
    """
    if given is not None and not (isinstance(given, Mapping) and all(isinstance(name, str) for name in given)):
        raise DataError(f"{call} takes names and values, as {call[:-1]}age=61) or a dict, not {given!r:.80}.")
    return {**(given or {}), **more}


def check_seed(seed: object) -> None:
    """Refuse what is no seed: without one nobody draws the same again.

    Raises:
        DataError: It is no whole number from 0 on.
    """
    if (number := whole(seed)) is None or number < 0:
        raise DataError(f"The seed is {seed!r:.80}: give a whole number from 0 on.")
