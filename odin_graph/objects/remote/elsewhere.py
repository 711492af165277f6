"""Calls that do not work over HTTP."""

from __future__ import annotations

from typing import Any, ClassVar

from odin_graph.errors import RemoteError


class Elsewhere:
    """Raises `RemoteError` for each name that only the local counterpart of the class has."""

    _beside: ClassVar[frozenset[str]] = frozenset()
    """The names of the counterpart."""

    def __getattr__(self, name: str) -> Any:
        """Raise `RemoteError` for a name of the local counterpart."""
        if not name.startswith("_") and name in self._beside:
            if name in vars(self).get("fields", ()):
                raise RemoteError(f"{name} is one of the fields that were loaded: write [{name!r}] instead of .{name}.")
            raise beside_alone(name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")


def beside_alone(name: str) -> RemoteError:
    """The error for a call that does not work over HTTP."""
    return RemoteError(
        f"{name} needs the workspace itself, because it stores something, or needs your code or models. Over HTTP you "
        "get only queries, their answers and pixels. On the machine of the workspace, use og.connect(folder)."
    )
