"""Functions that objects call on a workspace, local or remote: they only read.

A function that is `served` takes the open stores first. A local session calls it; for a remote one the server calls
it, by its name, with arguments that are checked against its type hints: texts, numbers, queries and parts of queries.
Its result is a table, or made of plain values, arrays, tables and dataclasses that are marked `travels`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

C = TypeVar("C", bound=Callable[..., Any])
D = TypeVar("D", bound=type[Any])

SERVED: Final[dict[str, Callable[..., Any]]] = {}
"""By name: the file's and the function's, ``measure.results``. Nothing else is answered."""
TRAVELS: Final[dict[str, type[Any]]] = {}
"""Dataclasses by name. Nothing else is made of what a server sends."""


def served(function: C) -> C:
    """Let a server call this function for clients; it must only read."""
    _register(SERVED, name_of(function), function)
    return function


def served_as(guarded: Callable[..., Any]) -> Callable[[C], C]:
    """Let a server answer calls of a function by another one, of the same arguments, that is safe for strangers'.

    Near, the function itself is called.
    """

    def register(function: C) -> C:
        _register(SERVED, name_of(function), guarded)
        return function

    return register


def travels(cls: D) -> D:
    """Allow a dataclass in the result of a served function. Only its fields are sent."""
    _register(TRAVELS, cls.__name__, cls)
    return cls


def name_of(function: Callable[..., Any]) -> str:
    """The name by which a server knows a function."""
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__.strip('_')}"


def _register(table: dict[str, Any], name: str, entry: Any) -> None:
    if table.setdefault(name, entry).__module__ != entry.__module__:  # a module may be loaded anew
        raise ValueError(f"{name} is there twice: {table[name]!r} and {entry!r}")
    table[name] = entry
