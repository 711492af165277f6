"""A context in which every write of ours is refused, for somebody who may only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from odin_graph.errors import ReadOnlyError

_read_only: ContextVar[bool] = ContextVar("odin_graph.read_only", default=False)


@contextmanager
def read_only() -> Iterator[None]:
    """Nothing changes the graph inside this block."""
    token = _read_only.set(True)
    try:
        yield
    finally:
        _read_only.reset(token)


def forbid_writing() -> None:
    """Refuse writes until the context (of a request's task) ends."""
    _read_only.set(True)


def is_read_only() -> bool:
    """Whether a write would be refused: upkeep is left to others then."""
    return _read_only.get()


def check_may_write() -> None:
    """Called before each write.

    Raises:
        ReadOnlyError: Only reading is allowed here.
    """
    if _read_only.get():
        raise ReadOnlyError(
            "The answer needs something that is not stored yet (vectors or units of a layer, an index), but you may "
            "only read: use a token with the scope write, or have it computed where the workspace is."
        )
