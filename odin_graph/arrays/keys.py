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

_CACHE_BYTES: Final = 64 << 20


def keys_uri(digest: str) -> str:
    """The uri of a key vector, below the root."""
    return f"keys/{digest}.npy"


class KeyVectors:
    """Reads and writes key vectors; the most recently used are cached in memory."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._cache: OrderedDict[str, Keys] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def write(self, keys: Keys) -> str:
        """Store a sorted vector (n,), once; returns its digest."""
        digest = _digest(keys)
        uri = keys_uri(digest)
        # Touched, so that `odin gc`, which spares recent files, does not remove a vector that was garbage until now.
        if not self._files.touch(uri):
            out = io.BytesIO()
            np.save(out, keys, allow_pickle=False)
            self._files.write(uri, out.getvalue())
        return digest

    def read(self, digest: str) -> Keys:
        """The vector (n,) of that digest, read-only; from memory if it is cached.

        Raises:
            StoreError: It is missing or damaged.
        """
        with self._lock:
            if digest in self._cache:
                self._cache.move_to_end(digest)
                return self._cache[digest]
        keys = self.verified(digest)
        with self._lock:
            if digest not in self._cache:
                self._cache[digest] = keys
                self._bytes += keys.nbytes
            while self._bytes > _CACHE_BYTES and len(self._cache) > 1:
                self._bytes -= self._cache.popitem(last=False)[1].nbytes
        return keys

    def verified(self, digest: str) -> Keys:
        """The vector on disk, checked against its digest; raises as `read` does."""
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
    """Parse what `numpy.save` wrote, without a copy: `numpy.load` takes a millisecond to copy it piece by piece."""
    file = io.BytesIO(data)
    np.lib.format.read_magic(file)
    _, _, dtype = np.lib.format.read_array_header_1_0(file)
    keys: Keys = np.frombuffer(data, dtype, offset=file.tell())
    return keys


def _digest(keys: Keys) -> str:
    return hashlib.sha256(np.ascontiguousarray(keys, "<i8").data).hexdigest()
