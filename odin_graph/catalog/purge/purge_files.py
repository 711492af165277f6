"""Files that a purge destroys: what its swaps replaced, what nothing names any more, and every local cache."""

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
    """Remove what the purge's own transactions took out of the graph; how many files."""
    rows = stores.graph.read("MATCH (x:Deletion {id: $id}) RETURN x.files AS files", {"id": deletion})
    files = list(dict.fromkeys(rows[0]["files"] or ())) if rows else []
    for uri in files:
        stores.arrays.remove(uri)
    return len(files)


def sweep(stores: Stores, keys: Keys) -> tuple[int, list[str]]:
    """Remove what no node names and holds some of the images: how many files, and what may hold them and was left.

    Compactions and broken writers leave such files. Whoever may be about to name one cannot be about to name the
    images: their segments have new names by now, and are no longer what a compaction began with.
    """
    # Listed before the names are read: a file that is written in between is not in the list.
    files = stores.arrays.files()
    named = named_uris(stores)
    removed, unsure = 0, 0
    for file in files:
        if file.uri in named or file.uri.startswith(("keys/", "weights/", "programs/")):
            continue
        holds = _holds(stores, file, keys)
        if holds or (holds is None and (file.age >= GRACE_SECONDS or is_abandoned(file.uri))):
            stores.arrays.remove(file.uri)
            removed += 1
        elif holds is None:
            unsure += 1
    if not unsure:
        return removed, []
    said = (
        f"{unsure} files younger than an hour that nothing names and that do not say what they hold: another process "
        "may be writing them. odin gc removes them later."
    )
    return removed, [said]


def remove_caches(stores: Stores) -> None:
    """Drop this machine's decoded segments and saved columns: whoever has one mapped keeps it until they let go."""
    for file in sorted(stores.cache.rglob("*")) if stores.cache.is_dir() else ():
        if file.is_file() and file.suffix != _KEPT:
            file.unlink(missing_ok=True)


def _holds(stores: Stores, file: StoredFile, keys: Keys) -> bool | None:
    """Whether a file that nothing names holds some of the images; None where nobody can say."""
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
