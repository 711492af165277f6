"""Key vectors: sorted int64 keys, in files named by their digest, which segments of the same keys share."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from typing import Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays.files import Files
from odin_graph.errors import StoreError

Keys = NDArray[np.int64]

_HELD_BYTES: Final = 64 << 20


def keys_uri(digest: str) -> str:
    """Where a key vector is kept, below the root."""
    return f"keys/{digest}.npy"


class KeyVectors:
    """Reads and writes key vectors; those that were used last are kept in memory."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._held: OrderedDict[str, Keys] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def write(self, keys: Keys) -> str:
        """Store a sorted vector (n,), once; its digest."""
        digest = _digest(keys)
        uri = keys_uri(digest)
        # Touched, so that `odin gc`, which spares what is young, does not take a vector that was garbage until now.
        if not self._files.touch(uri):
            out = io.BytesIO()
            np.save(out, keys, allow_pickle=False)
            self._files.write(uri, out.getvalue())
        return digest

    def read(self, digest: str) -> Keys:
        """The vector (n,) of that digest, read-only; from memory where it is there.

        Raises:
            StoreError: It is missing or damaged.
        """
        with self._lock:
            if digest in self._held:
                self._held.move_to_end(digest)
                return self._held[digest]
        keys = self.verified(digest)
        with self._lock:
            if digest not in self._held:
                self._held[digest] = keys
                self._bytes += keys.nbytes
            while self._bytes > _HELD_BYTES and len(self._held) > 1:
                self._bytes -= self._held.popitem(last=False)[1].nbytes
        return keys

    def verified(self, digest: str) -> Keys:
        """The vector on disk, held against its digest; raises as `read` does."""
        uri = keys_uri(digest)
        try:
            keys = _parsed(self._files.read(uri))
        except (ValueError, EOFError) as error:
            raise StoreError(f"{self._files.path(uri)} is damaged. Run `odin doctor`.") from error
        if keys.dtype != np.int64 or _digest(keys) != digest:
            raise StoreError(f"{self._files.path(uri)} does not contain the keys in its name. Run `odin doctor`.")
        keys.flags.writeable = False
        return keys


def _parsed(data: bytes) -> Keys:
    """What `numpy.save` wrote, where it lies: `numpy.load` takes a millisecond to copy it piece by piece."""
    file = io.BytesIO(data)
    np.lib.format.read_magic(file)
    _, _, dtype = np.lib.format.read_array_header_1_0(file)
    found: Keys = np.frombuffer(data, dtype, offset=file.tell())
    return found


def _digest(keys: Keys) -> str:
    return hashlib.sha256(np.ascontiguousarray(keys, "<i8").data).hexdigest()
