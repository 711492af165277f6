"""What objects ask of a workspace, near and far: functions that only read, and what they give.

A function that is `served` takes the open stores first. Beside the workspace it is called; far away the server calls
it, by its name, with arguments that are checked against its type hints: texts, numbers, queries and parts of queries.
What it gives is a table, or made of plain values, arrays, tables and dataclasses that `travels` names.
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
    """Have a server answer this function, which reads and nothing else."""
    _keep(SERVED, name_of(function), function)
    return function


def travels(cls: D) -> D:
    """Let a dataclass be a part of what a served function gives. Its fields are all that it holds."""
    _keep(TRAVELS, cls.__name__, cls)
    return cls


def name_of(function: Callable[..., Any]) -> str:
    """By which a server knows a function."""
    return f"{function.__module__.rpartition('.')[2]}.{function.__name__.strip('_')}"


def _keep(table: dict[str, Any], name: str, what: Any) -> None:
    if table.setdefault(name, what).__module__ != what.__module__:  # a module may be loaded anew
        raise ValueError(f"{name} is there twice: {table[name]!r} and {what!r}")
    table[name] = what
