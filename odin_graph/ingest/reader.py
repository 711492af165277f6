"""Readers by registry: each turns the bytes of a file into pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, ClassVar, Final, Protocol, Self

from numpy.typing import NDArray

from odin_graph.errors import ConflictError, UnreadableImageError
from odin_graph.registry import Registry


class Reader(Protocol):
    """Reads one family of formats. An entry of `READERS` is an instance."""

    suffixes: ClassVar[frozenset[str]]
    """Of the files that it is asked for, lower case with the dot. Together with ours each suffix has one reader."""

    def read(self, data: bytes) -> NDArray[Any]:
        """Pixels (h, w, bands) of a file's bytes, in the file's own dtype and bands. Called from several threads.

        Raises:
            UnreadableImageError: With the reason alone; the caller adds the file's name.
        """
        ...


READERS: Final[Registry[Reader]] = Registry("image reader", "odin_graph.readers")


@dataclass(frozen=True)
class Readers:
    """Every reader by the suffixes it claims: looked up once a job, since entry points take milliseconds to find."""

    by_suffix: Mapping[str, Reader] = field(default_factory=dict)

    @classmethod
    def installed(cls) -> Self:
        """Those that are registered now.

        Raises:
            ConflictError: Two claim one suffix.
        """
        claims: dict[str, str] = {}
        found: dict[str, Reader] = {}
        for name in READERS:
            reader = READERS.get(name)
            for suffix in sorted(reader.suffixes):
                if suffix in claims:
                    raise ConflictError(
                        f"Two image readers claim files that end in {suffix!r}: {claims[suffix]} and {name}. "
                        "Uninstall the package of one."
                    )
                claims[suffix] = name
                found[suffix] = reader
        return cls(found)

    def read(self, path: PurePath, data: bytes) -> NDArray[Any]:
        """The pixels (h, w, bands) of a file.

        Raises:
            UnreadableImageError: Names the file and the reason.
        """
        reader = self.by_suffix.get(path.suffix.lower())
        if reader is None:
            known = ", ".join(sorted(self.by_suffix))
            ends = f"end in {path.suffix!r}" if path.suffix else "have no suffix"
            raise UnreadableImageError(f"{path}: no reader for files that {ends}. There is: {known}.")
        try:
            return reader.read(data)
        except UnreadableImageError as error:
            raise UnreadableImageError(f"{path}: {error}") from error
