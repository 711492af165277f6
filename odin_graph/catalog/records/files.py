"""Files below the root of the arrays, named by the SHA-256 of their content: weights, exported programs and models."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from odin_graph.errors import StoreError
from odin_graph.stores import Stores


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: its folder and its suffix."""

    folder: str
    suffix: str

    def uri(self, digest: str) -> str:
        """The path of the file with that digest, below the root of the arrays."""
        return f"{self.folder}/{digest}{self.suffix}"


WEIGHTS = Kind("weights", ".safetensors")
DEFINED: Final = {"program": Kind("programs", ".pt2"), "stored": Kind("programs", ".model")}
"""By the kind of a model's definition: exported programs, and models of other libraries."""


class FileReader(Protocol):
    """Reads files that things name, from this machine or another one. `StoredFiles` is one."""

    @property
    def origin(self) -> str:
        """Whose files they are: decisions to trust code from there are kept by it."""
        ...

    def read(self, kind: Kind, digest: str, of: str) -> bytes:
        """The file with that digest, which the thing of that id names; the digest is checked."""
        ...


@dataclass(frozen=True)
class StoredFiles:
    """The files of open stores."""

    stores: Stores

    @property
    def origin(self) -> str:
        """The workspace."""
        return self.stores.workspace_id

    def read(self, kind: Kind, digest: str, of: str) -> bytes:  # noqa: ARG002 - files lie by their digest
        """The file with that digest."""
        return get(self.stores, kind, digest)


def put(stores: Stores, kind: Kind, data: bytes) -> str:
    """Write a file atomically. Returns its digest.

    Raises:
        SpaceError: No space is left.
    """
    digest = hashlib.sha256(data).hexdigest()
    # Also if it exists: an old unnamed file could be removed as garbage before it is named.
    stores.arrays.raw.write(kind.uri(digest), data)
    return digest


def get(stores: Stores, kind: Kind, digest: str) -> bytes:
    """Read a file, and check its digest.

    Raises:
        StoreError: The file is missing or was changed.
    """
    data = stores.arrays.raw.read(kind.uri(digest))
    if hashlib.sha256(data).hexdigest() != digest:
        raise changed(kind, digest)
    return data


def pieces(stores: Stores, kind: Kind, digest: str) -> tuple[int, Iterator[bytes]]:
    """The bytes of a file, and the file piece by piece: the caller that puts them together checks the digest.

    Raises:
        StoreError: The file is missing.
    """
    return stores.arrays.raw.pieces(kind.uri(digest))


def changed(kind: Kind, digest: str) -> StoreError:
    """The error for a file whose content has another digest."""
    return StoreError(
        f"{kind.uri(digest)} is not what was written: it was changed or damaged. Run odin doctor, and bring the "
        "file back from a copy."
    )
