"""Every error that odin_graph raises on purpose, as one tree.

OdinError
├── QueryError              change the call
│   ├── UnknownNameError    the name does not exist; the message lists the names that do
│   ├── PositionError       a position beyond the end of an answer
│   ├── TimeLimitError      it takes longer than timeout= allows
│   ├── MemoryLimitError    it needs more memory than the graph engine has
│   ├── RemoteError         it needs the workspace itself and does not work over HTTP
│   └── ExpressionError     an expression used where it has no meaning
├── DataError               your data is refused
│   ├── MetadataError       a metadata name or type
│   ├── UnreadableImageError
│   ├── ShapeError          shapes that do not match
│   └── LeakError           a strict experiment would be evaluated on images that it learns from
├── ConflictError           it exists already, with other content
│   └── FrozenError         it is frozen, or something frozen uses it
├── ModelError              a model cannot be defined, built or run
│   └── TrustError          it would run code of the workspace that you did not trust
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
    """Base of all errors. It takes only the finished message, so pickling and DataLoader workers keep the class."""


class QueryError(OdinError):
    """The call cannot be answered: change it."""


class UnknownNameError(QueryError, LookupError):
    """A name that does not exist. Not a KeyError, which would show its message in quotes."""

    @classmethod
    def of(cls, kind: str, name: object, known: Iterable[str], *, remedy: str = "", number: int = 0) -> Self:
        """Build the message: the name, the nearest one, and what there is (the first twenty).

        Args:
            kind: The kind of thing, for example ``"data set"``.
            name: The name that was given.
            known: All names that exist.
            number: How many names exist, if `known` is only a part of them.
            remedy: A last sentence that says what to do, if the list is not enough.
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
    """The call takes longer than its ``timeout=`` allows. It was stopped in the engine too."""


class MemoryLimitError(QueryError, MemoryError):
    """The call needs more memory than the graph engine has. The engine was started again."""


class RemoteError(QueryError):
    """The call needs the workspace itself, and does not work over HTTP."""


class ExpressionError(QueryError, TypeError):
    """An expression is used where it has no meaning, for example as a truth value."""


class DataError(OdinError, ValueError):
    """Your data is refused. Nothing of it is stored."""


class MetadataError(DataError):
    """A metadata name that odin_graph uses itself, or a value whose type conflicts with the type of the field."""


class UnreadableImageError(DataError):
    """A file that is not an image, or a broken image."""


class ShapeError(DataError):
    """Arrays whose shapes do not match each other or the model."""


class LeakError(DataError):
    """A strict experiment would be evaluated on images that it learns from."""


class ConflictError(OdinError):
    """The id exists with other content."""


class DataWarning(UserWarning):
    """Your data was accepted, but a part of it is probably not what you meant."""


class LeakWarning(UserWarning):
    """An experiment is evaluated on images that it learns from."""


class SplitWarning(UserWarning):
    """A split differs from what you asked for: its shares, or a part lacks a class."""


class CoverageWarning(UserWarning):
    """A measure covers only a part of a data set, because the rest has no predictions."""


class LayoutWarning(UserWarning):
    """Arrays whose axes are probably not in the order (height, width, bands)."""


class NotFiniteWarning(UserWarning):
    """A layer gives NaN or infinity for some images. They are counted, and never coded as numbers."""


class FrozenError(ConflictError):
    """It is frozen, or something frozen uses it."""


class ModelError(OdinError):
    """A model cannot be defined, built again, loaded or run."""


class TrustError(ModelError):
    """Loading would run code from the workspace, and you did not confirm that you trust it."""


class WorkspaceError(OdinError):
    """The workspace cannot be opened in this way."""


class MissingWorkspaceError(WorkspaceError, FileNotFoundError):
    """There is no workspace at the address."""


class MismatchError(WorkspaceError):
    """The graph and the arrays have different workspace ids."""


class SchemaVersionError(WorkspaceError):
    """The workspace was written by a newer odin_graph."""


class StoreError(OdinError):
    """Arrays, columns or indexes do not match the graph: run ``odin doctor``."""


class SpaceError(StoreError, OSError):
    """No space is left where the arrays or the embedded graph are written."""


class EngineError(OdinError):
    """The graph engine failed; the error of the driver is the ``__cause__``."""


class EngineStartError(EngineError):
    """The embedded engine did not start. The message ends with the last lines of its log."""


class UnreachableError(EngineError, ConnectionError):
    """No graph engine or server answers at the address."""


class UncertainWriteError(EngineError):
    """The graph engine stopped during a commit: either all of it was written, or nothing."""


class LoginError(EngineError):
    """The graph engine refuses the user or the password, or a server refuses the token."""


class ReadOnlyError(EngineError):
    """A statement that writes was sent through the read-only path."""


class MissingExtraError(OdinError, ImportError):
    """An optional package is not installed; the message names the extra."""
