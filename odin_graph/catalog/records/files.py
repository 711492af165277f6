"""Whole files below the arrays' root, named by the SHA-256 of what is in them: weights and exported programs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from odin_graph.errors import StoreError
from odin_graph.stores import Stores


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of file: the folder, and how the names end."""

    folder: str
    suffix: str

    def uri(self, digest: str) -> str:
        """Where the file of that digest is, below the arrays' root."""
        return f"{self.folder}/{digest}{self.suffix}"


WEIGHTS = Kind("weights", ".safetensors")
PROGRAMS = Kind("programs", ".pt2")


def put(stores: Stores, kind: Kind, data: bytes) -> str:
    """Write a file, whole or not at all. Returns its digest.

    Raises:
        SpaceError: No space is left.
    """
    digest = hashlib.sha256(data).hexdigest()
    # Also where it is there: an old file that nothing names yet would be taken for garbage before it is named.
    stores.arrays.raw.write(kind.uri(digest), data)
    return digest


def get(stores: Stores, kind: Kind, digest: str) -> bytes:
    """Read a file, and check that it is what was written.

    Raises:
        StoreError: It is gone, or is not what was written.
    """
    data = stores.arrays.raw.read(kind.uri(digest))
    if hashlib.sha256(data).hexdigest() != digest:
        raise StoreError(
            f"{kind.uri(digest)} is not what was written: it was changed or damaged. Run odin doctor, and bring the "
            "file back from a copy."
        )
    return data
