"""Reading a size that a user gave."""

from __future__ import annotations

from collections.abc import Sequence

from odin_graph.errors import DataError


def read_size(op: str, size: object) -> int | tuple[int, int]:
    """A size in pixels: one number, or (height, width).

    Raises:
        DataError: It is neither, or not positive.
    """
    if _is_length(size):
        return size  # type: ignore[return-value]
    if isinstance(size, Sequence) and len(size) == 2 and all(map(_is_length, size)):
        return size[0], size[1]
    raise DataError(f"{op} takes a size of one whole number or (height, width) in pixels, not {size!r}.")


def both(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width: one number is both."""
    return (size, size) if isinstance(size, int) else size


def _is_length(value: object) -> bool:
    return type(value) is int and value > 0
