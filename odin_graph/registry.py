"""One registry pattern for every extension point.

An extension point is a typed Protocol, a `Registry` that holds its entries by name, and an entry-point group, so that
a user's package adds an entry without touching ours. Our own entries are entry points too: nothing is imported before
it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from odin_graph.errors import ConflictError, OdinError, UnknownNameError

T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class PluginError(OdinError):
    """A registered entry cannot be loaded; the import's own error is the ``__cause__``."""


class Registry(Generic[T]):
    """Entries of one kind by name, registered by decorator or found as entry points.

    Args:
        kind: What an entry is, for messages: ``"image operation"``.
        group: The entry-point group: ``"odin_graph.ops"``.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate an entry to register it under ``name`` (lower case words joined by hyphens).

        Raises:
            ConflictError: Another entry has the name already; the last one never wins silently.
        """
        if not _NAME.fullmatch(name):
            raise ConflictError(f"{name!r} is not a name for a {self.kind}: use lower case words joined by hyphens.")

        def keep(entry: T) -> T:
            existing = self._entries.get(name)
            # The same definition, run again (a notebook cell, a reload), replaces itself.
            if existing is not None and _origin(existing) != _origin(entry):
                raise ConflictError(
                    f"The {self.kind} {name!r} is registered already, by {_origin(existing)}. "
                    f"Give {_origin(entry)} another name."
                )
            self._entries[name] = entry
            return entry

        return keep

    def get(self, name: str) -> T:
        """The entry of that name; loads the one entry point that is asked for, no other.

        Raises:
            UnknownNameError: No entry has the name.
            ConflictError: Several installed packages claim it.
            PluginError: Its module does not import.
        """
        if name not in self._entries:
            points = self._points(name)
            if not points:
                remedy = f"A package that registers it (entry points {self.group!r}) may be missing here."
                raise UnknownNameError.of(self.kind, name, self, remedy=remedy)
            if len(points) > 1:
                claims = ", ".join(sorted(point.value for point in points))
                raise ConflictError(
                    f"Several packages register the {self.kind} {name!r}: {claims}. Uninstall all but one."
                )
            self._entries.setdefault(name, self._load(points[0]))
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        """All names, loaded or not, sorted."""
        return iter(sorted({*self._entries, *(point.name for point in entry_points(group=self.group))}))

    def __contains__(self, name: object) -> bool:
        """Whether an entry has the name."""
        return name in self._entries or any(point.name == name for point in entry_points(group=self.group))

    def _points(self, name: str) -> list[EntryPoint]:
        # One distribution seen twice (an editable install beside a wheel) is one claim.
        return list({point.value: point for point in entry_points(group=self.group, name=name)}.values())

    def _load(self, point: EntryPoint) -> T:
        try:
            entry: T = point.load()
        except Exception as error:
            raise PluginError(f"The {self.kind} {point.name!r} ({point.value}) cannot be loaded: {error}") from error
        return entry


def _origin(entry: object) -> str:
    return f"{getattr(entry, '__module__', '?')}.{getattr(entry, '__qualname__', type(entry).__qualname__)}"
