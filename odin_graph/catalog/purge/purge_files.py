"""Remove the files that a purge destroys: replaced ones, unnamed ones with purged images, and all local caches."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.arrays import StoredFile, segment_parts
from odin_graph.arrays.writer import is_abandoned
from odin_graph.catalog.purge.gc import GRACE_SECONDS, named_uris
from odin_graph.catalog.purge.purge_arrays import BY_IMAGE
from odin_graph.errors import StoreError
from odin_graph.stores import Stores

Keys = NDArray[np.int64]
_KEPT: Final = ".lock"


def remove_replaced(stores: Stores, deletion: str) -> int:
    """Remove the files that the transactions of the purge replaced; return how many."""
    rows = stores.graph.read("MATCH (x:Deletion {id: $id}) RETURN x.files AS files", {"id": deletion})
    files = list(dict.fromkeys(rows[0]["files"] or ())) if rows else []
    for uri in files:
        stores.arrays.remove(uri)
    return len(files)


def sweep(stores: Stores, keys: Keys) -> tuple[int, list[str]]:
    """Remove files that no node names and that contain some of the images.

    Compactions and broken writers leave such files. A writer that will still name one cannot name purged images: their
    segments have been replaced, so that a compaction of the old ones fails.

    Returns:
        The number of removed files, and sentences on files that were left.
    """
    # Listed before the names are read, so that a file written in between is not in the list.
    files = stores.arrays.files()
    named = named_uris(stores)
    removed, unclear = 0, 0
    for file in files:
        if file.uri in named or file.uri.startswith(("keys/", "weights/", "programs/")):
            continue
        contains = _contains(stores, file, keys)
        if contains or (contains is None and (file.age >= GRACE_SECONDS or is_abandoned(file.uri))):
            stores.arrays.remove(file.uri)
            removed += 1
        elif contains is None:
            unclear += 1
    if not unclear:
        return removed, []
    message = (
        f"{unclear} files younger than an hour that nothing names and that do not say what they hold: another process "
        "may be writing them. odin gc removes them later."
    )
    return removed, [message]


def remove_caches(stores: Stores) -> None:
    """Remove the caches of this machine. A process that has a file mapped keeps it until it unmaps it."""
    for file in sorted(stores.cache.rglob("*")) if stores.cache.is_dir() else ():
        if file.is_file() and file.suffix != _KEPT:
            file.unlink(missing_ok=True)


def _contains(stores: Stores, file: StoredFile, keys: Keys) -> bool | None:
    """Whether an unnamed file contains some of the images; None if that cannot be determined."""
    try:
        if file.uri.startswith("indexes/"):
            with np.load(io.BytesIO(stores.arrays.raw.read(file.uri)), allow_pickle=False) as index:
                return bool(np.isin(keys, index["keys"]).any())
        if (parts := segment_parts(file.uri)) is None:
            return None
        word, digest = parts
        if word not in BY_IMAGE:
            return False
        return bool(np.isin(keys, stores.arrays.keys_of(digest)).any())
    except (StoreError, ValueError, KeyError, OSError):
        return None
