"""One registry pattern for every extension point.

An extension point is a typed Protocol, a `Registry` that holds its entries by name, and an entry-point group, so that
a user's package adds an entry without touching ours. Our own entries are entry points too: nothing is imported before
it is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Generic, TypeVar

from odin_graph.errors import ConflictError, OdinError, UnknownNameError

T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class PluginError(OdinError):
    """A registered entry cannot be loaded (the import's own error is the ``__cause__``), or is not as it should be."""


class Registry(Generic[T]):
    """Entries of one kind by name, registered by decorator or found as entry points.

    Names are lower case words joined by hyphens. Where an entry is called as a method, underscores stand for these.

    Args:
        kind: What an entry is, for messages: ``"image operation"``.
        group: The entry-point group: ``"odin_graph.ops"``.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind = kind
        self.group = group
        self._entries: dict[str, T] = {}
        self._unchecked: set[str] = set()
        """Registered by decorator, and not yet compared with what packages claim."""
        self._claims: EntryPoints | None = None

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
            self._unchecked.add(name)
            return entry

        return keep

    def get(self, name: str) -> T:
        """The entry of that name; loads the one entry point that is asked for, no other.

        Raises:
            UnknownNameError: No entry has the name.
            ConflictError: Several installed packages claim it, or one claims what is registered here.
            PluginError: Its module does not import, or its entry point is spelled in another way.
        """
        if name not in self._entries:
            points = self._points(name)
            if not points:
                remedy = f"A package that registers it (entry points {self.group!r}) may be missing here."
                raise UnknownNameError.of(self.kind, name, self, remedy=remedy)
            if len(points) > 1:
                raise self._conflict(name, [point.value for point in points])
            self._entries.setdefault(name, self._load(points[0]))
        elif name in self._unchecked:
            self._check(name)
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        """All names, loaded or not, sorted."""
        return iter(sorted({*self._entries, *(point.name for point in entry_points(group=self.group))}))

    def __contains__(self, name: object) -> bool:
        """Whether an entry has the name."""
        # One that is misspelled is here, so that `get` says what is wrong with it.
        return name in self._entries or any(
            name in (point.name, _spelled(point.name)) for point in entry_points(group=self.group)
        )

    def _points(self, name: str) -> list[EntryPoint]:
        found = entry_points(group=self.group)
        named = list(found.select(name=name)) or [point for point in found if _spelled(point.name) == name]
        # One distribution seen twice (an editable install beside a wheel) is one claim.
        return list({point.value: point for point in named}.values())

    def _check(self, name: str) -> None:
        """Refuse a package's claim to a name that is registered: which of the two is meant, nobody can know."""
        if self._claims is None:  # read once: it takes a look at every installed package
            self._claims = entry_points(group=self.group)
        entry = self._entries[name]
        others = {point.value for point in self._claims.select(name=name) if not _is_of(point, entry)}
        if others:
            raise self._conflict(name, [_origin(entry), *others])
        self._unchecked.discard(name)

    def _conflict(self, name: str, claims: Iterable[str]) -> ConflictError:
        return ConflictError(
            f"Several packages register the {self.kind} {name!r}: {', '.join(sorted(claims))}. "
            "Rename or uninstall all but one."
        )

    def _load(self, point: EntryPoint) -> T:
        if not _NAME.fullmatch(point.name):
            raise PluginError(
                f"The entry point {point.name!r} ({point.value}) is not a name for a {self.kind}: use lower case words "
                f"joined by hyphens, as in {_spelled(point.name)!r}."
            )
        try:
            entry: T = point.load()
        except Exception as error:
            raise PluginError(f"The {self.kind} {point.name!r} ({point.value}) cannot be loaded: {error}") from error
        return entry


def _spelled(name: str) -> str:
    """The name that one is meant to be."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def _is_of(point: EntryPoint, entry: object) -> bool:
    """Whether an entry point names an entry, also by another path than that of its definition."""
    if point.value.replace(":", ".") == _origin(entry):
        return True
    try:
        return _origin(point.load()) == _origin(entry)
    except Exception:  # noqa: BLE001 - what does not load is not this entry
        return False


def _origin(entry: object) -> str:
    return f"{getattr(entry, '__module__', '?')}.{getattr(entry, '__qualname__', type(entry).__qualname__)}"
