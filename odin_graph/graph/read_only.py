"""Work for somebody who may only read: every write of ours is refused while it lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from odin_graph.errors import ReadOnlyError

_read_only: ContextVar[bool] = ContextVar("odin_graph.read_only", default=False)


@contextmanager
def read_only() -> Iterator[None]:
    """Nothing that is done in here changes the graph."""
    token = _read_only.set(True)
    try:
        yield
    finally:
        _read_only.reset(token)


def forbid_writing() -> None:
    """From here on to the end of the context (of a request's task) nothing changes the graph."""
    _read_only.set(True)


def is_read_only() -> bool:
    """Whether a write would be refused: what is mere upkeep is left to somebody else then."""
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
