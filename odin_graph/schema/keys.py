"""The workspace whose connection neomodel uses: its name, and its counter, from which new images get their keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from odin_graph.errors import WorkspaceError

KeySource = Callable[[int], Sequence[int]]
"""Reserves that many keys, which are never given again."""

_source: KeySource | None = None
_owner: str | None = None


def lend(source: KeySource | None, owner: str | None = None) -> None:
    """Let new images take their keys from ``source``; None takes it away. Done where neomodel is lent a driver.

    Args:
        source: Reserves keys.
        owner: The workspace's address, by which a node knows where it is from.
    """
    global _source, _owner
    _source, _owner = source, owner


def owner() -> str | None:
    """The address of the workspace that neomodel is connected to; None if it is to none of ours."""
    return _owner


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
