"""Every error that odin_graph raises on purpose, as one tree.

OdinError
├── QueryError              change the call
│   ├── UnknownNameError    no such thing; the message lists what there is
│   ├── PositionError       a position beyond the end of an answer
│   ├── TimeLimitError      it takes longer than it may
│   ├── MemoryLimitError    it takes more memory than the graph engine has
│   ├── RemoteError         it runs beside the workspace alone, not over HTTP
│   └── ExpressionError     an expression used where it has no meaning
├── DataError               what was handed in is refused
│   ├── MetadataError       a metadata name or type
│   ├── UnreadableImageError
│   ├── ShapeError          shapes that do not fit
│   └── LeakError           a strict experiment would be judged by what it learns from
├── ConflictError           it exists already, with other content
│   └── FrozenError         it is frozen, or something frozen uses it
├── ModelError              a model cannot be defined, built or run
│   └── TrustError          it would run code that nobody vouched for
├── WorkspaceError          the workspace itself
│   ├── MissingWorkspaceError
│   ├── MismatchError       graph and arrays belong to different workspaces
│   └── SchemaVersionError  written by a newer odin_graph
├── StoreError              arrays, columns or indexes; run `odin doctor`
│   └── SpaceError          no space left
├── EngineError             the graph engine; its cause is attached
│   ├── EngineStartError
│   ├── UnreachableError
│   ├── UncertainWriteError a write may have happened, or not
│   ├── LoginError
│   └── ReadOnlyError       a write through the read-only path
└── MissingExtraError       an optional package is not installed
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Self


class OdinError(Exception):
    """Base of all. Takes the finished message alone, so that pickling and DataLoader workers keep the class."""


class QueryError(OdinError):
    """The call cannot be answered as it stands: change it."""


class UnknownNameError(QueryError, LookupError):
    """A name that does not exist. Not a KeyError, which would show its message in quotes."""

    @classmethod
    def of(cls, kind: str, name: object, known: Iterable[str], *, remedy: str = "", number: int = 0) -> Self:
        """Build the message: the name, the nearest one, and what there is (the first twenty).

        Args:
            kind: What was looked for, for example ``"data set"``.
            name: The name that was given.
            known: Every name there is.
            number: How many there are, where `known` is a part of them.
            remedy: A last sentence that says what to do, if the list alone does not.
        """
        names = sorted(known)
        near = get_close_matches(str(name), names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        listed = ", ".join(names[:20]) or "none yet"
        left = max(number, len(names)) - 20
        more = f" and {left:,} more" if left > 0 else ""
        end = f" {remedy}" if remedy else ""
        return cls(f"There is no {kind} {name!r}.{hint} There is: {listed}{more}.{end}")


class PositionError(QueryError, IndexError):
    """A position beyond the end of an answer."""


class TimeLimitError(QueryError, TimeoutError):
    """It takes longer than its ``timeout=`` allows; what ran at the engine was stopped there."""


class MemoryLimitError(QueryError, MemoryError):
    """It takes more memory than the graph engine has, which was started again."""


class RemoteError(QueryError, AttributeError):
    """It runs beside the workspace alone, and cannot be asked of a server."""


class ExpressionError(QueryError, TypeError):
    """An expression is used where it has no meaning, for example as a truth value."""


class DataError(OdinError, ValueError):
    """What was handed in is refused; nothing of it is stored."""


class MetadataError(DataError):
    """A metadata name that is ours, or a value of a type that clashes with the recorded one."""


class UnreadableImageError(DataError):
    """A file that is no image, or a broken one."""


class ShapeError(DataError):
    """Arrays whose shapes do not fit each other or the model."""


class LeakError(DataError):
    """A strict experiment would be judged by images that it learns from."""


class ConflictError(OdinError):
    """The id exists with other content."""


class DataWarning(UserWarning):
    """What was handed in was taken, and something of it is probably not as it was meant."""


class LeakWarning(UserWarning):
    """An experiment is judged by images that it learns from."""


class SplitWarning(UserWarning):
    """A split came out otherwise than asked: its shares, or a class that a part lacks."""


class CoverageWarning(UserWarning):
    """Something is measured on a part of a data set, since the rest has no predictions."""


class LayoutWarning(UserWarning):
    """Arrays whose axes are probably meant in another order than (height, width, bands)."""


class NotFiniteWarning(UserWarning):
    """A layer said NaN or infinity of some images: counted, and never coded as a number."""


class FrozenError(ConflictError):
    """It is frozen, or something frozen uses it."""


class ModelError(OdinError):
    """A model cannot be defined, built again, loaded or run."""


class TrustError(ModelError):
    """Loading would run code from the workspace, and nobody vouched for it."""


class WorkspaceError(OdinError):
    """The workspace cannot be opened as asked."""


class MissingWorkspaceError(WorkspaceError, FileNotFoundError):
    """There is no workspace at the address."""


class MismatchError(WorkspaceError):
    """Graph and arrays carry different workspace ids."""


class SchemaVersionError(WorkspaceError):
    """The workspace was written by a newer odin_graph."""


class StoreError(OdinError):
    """Arrays, columns or indexes are not as the graph says: run ``odin doctor``."""


class SpaceError(StoreError, OSError):
    """No space is left where the arrays or the embedded graph are written."""


class EngineError(OdinError):
    """The graph engine failed; the driver's own error is the ``__cause__``."""


class EngineStartError(EngineError):
    """The embedded engine did not start; the message ends with the end of its log."""


class UnreachableError(EngineError, ConnectionError):
    """Neither a graph engine nor a server answers at the address."""


class UncertainWriteError(EngineError):
    """The graph engine went away while it committed: all of it was written, or nothing."""


class LoginError(EngineError):
    """The graph engine refuses the user or the password, or a server the token."""


class ReadOnlyError(EngineError):
    """A statement that writes was sent through the read-only path."""


class MissingExtraError(OdinError, ImportError):
    """An optional package is not installed; the message names the extra."""
