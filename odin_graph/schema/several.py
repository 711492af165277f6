"""Whether an argument is one thing or many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard


def is_several(given: object) -> TypeGuard[Iterable[Any]]:
    """Whether many things were given: a text is one, and so is an array without a dimension, which has `__iter__`."""
    return isinstance(given, Iterable) and not isinstance(given, str | bytes) and getattr(given, "ndim", 1) != 0
