"""Where a new image of the ORM gets its key from: the workspace whose connection neomodel uses lends its counter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from odin_graph.errors import WorkspaceError

KeySource = Callable[[int], Sequence[int]]
"""Reserves that many keys, which are never given again."""

_source: KeySource | None = None


def lend(source: KeySource | None) -> None:
    """Let new images take their keys from ``source``; None takes it away. Done where neomodel is lent a driver."""
    global _source
    _source = source


def reserve(n: int = 1) -> Sequence[int]:
    """Reserve ``n`` keys of the workspace that neomodel is connected to.

    Raises:
        WorkspaceError: No workspace has lent its connection.
    """
    if _source is None:
        raise WorkspaceError(
            "No workspace is connected to the ORM, so a new image gets no key: "
            "open one with og.connect(...), or lend an open one with db.orm()."
        )
    return _source(n)
