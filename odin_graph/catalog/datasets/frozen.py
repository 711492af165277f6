"""The content of a data set version: keys, labels, and the digest over both."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.errors import DataError
from odin_graph.graph.writer import batches
from odin_graph.stores import Stores

_PART: Final = 100_000


@dataclass(frozen=True, eq=False)
class Content:
    """What a version freezes."""

    table: pa.Table
    """``key`` (int64) and ``label``, in the order of the set."""
    digest: str

    @property
    def keys(self) -> NDArray[np.int64]:
        """The keys, in the order of the set."""
        keys: NDArray[np.int64] = self.table.column("key").to_numpy()
        return keys


def freeze(stores: Stores, keys: NDArray[np.int64], label: str | None, labels: pa.Array | None) -> Content:
    """Look up digests and labels of the images, and check that the set can be frozen.

    Raises:
        DataError: No image, an image twice, an unknown image, or an image without a label.
    """
    keys = np.asarray(keys, np.int64)
    if not len(keys):
        raise DataError("A data set needs at least one image: the list or query that was given is empty.")
    if label is None or labels is not None or label in ("id", "digest"):
        images = stores.columns.images(["id", "digest"], keys)
    else:
        images = stores.columns.images(["id", "digest", label], keys)
    position = _positions(images, keys)
    rows = images.take(pa.array(position))
    _check_unique(keys, rows)
    _check_whole(rows)
    if label is None:
        frozen: pa.Array = pa.nulls(len(keys))
    else:
        frozen = rows.column(label).combine_chunks() if labels is None else labels
        _check_labeled(frozen, rows, label)
    table = pa.table({"key": pa.array(keys), "label": frozen})
    return Content(table, content_digest(rows.column("digest").to_pylist(), frozen.to_pylist()))


def content_digest(digests: Sequence[str], labels: Sequence[Any]) -> str:
    """SHA-256 over (image digest, label) in order, hexadecimal. A label counts by value and type, as JSON has it."""
    total, lines = hashlib.sha256(), _Lines()
    # A part at a time: a loop over a million members would take half of the time in which a version is frozen.
    for digests_of_part, labels_of_part in zip(batches(digests, _PART), batches(labels, _PART), strict=True):
        pairs: list[bytes] = [b""] * (2 * len(digests_of_part))
        pairs[::2] = map(bytes.fromhex, digests_of_part)
        pairs[1::2] = lines.of(labels_of_part)
        total.update(b"".join(pairs))
    return total.hexdigest()


class _Lines:
    """A line of JSON for each label, made once for those that are equal."""

    def __init__(self) -> None:
        # By type: 1, 1.0 and True are one key of a dict, and three labels.
        self._known: defaultdict[type, dict[Any, bytes]] = defaultdict(dict)

    def of(self, labels: list[Any]) -> list[bytes]:
        """The lines of labels, in their order."""
        kinds = set(map(type, labels))
        if list in kinds:
            return list(map(_line, labels))
        if len(kinds) > 1:
            return [self.of([label])[0] for label in labels]
        known = self._known[kinds.pop()]
        known.update((label, _line(label)) for label in dict.fromkeys(labels) if label not in known)
        return list(map(known.__getitem__, labels))


def _line(label: Any) -> bytes:
    return json.dumps(label, ensure_ascii=False, default=str).encode() + b"\n"


def _positions(images: pa.Table, keys: NDArray[np.int64]) -> NDArray[np.int64]:
    image_keys = images.column("key").to_numpy()
    position = np.minimum(np.searchsorted(image_keys, keys), max(0, len(image_keys) - 1))
    found = image_keys[position] == keys if len(image_keys) else np.zeros(len(keys), bool)
    if not found.all():
        unknown = keys[~found][:5].tolist()
        raise DataError(
            f"No image has the key {', '.join(map(str, unknown))}: give images of this workspace that are not deleted."
        )
    return position


def _check_unique(keys: NDArray[np.int64], rows: pa.Table) -> None:
    _, first, count = np.unique(keys, return_index=True, return_counts=True)
    if (count > 1).any():
        ids = rows.column("id").take(pa.array(first[count > 1][:5])).to_pylist()
        raise DataError(
            f"{int((count > 1).sum())} images are in the list twice, first {', '.join(map(repr, ids))}: "
            "a data set contains an image only once."
        )


def _check_whole(rows: pa.Table) -> None:
    """Refuse images that another client made without pixels: nothing can be frozen of them."""
    half = rows.filter(pc.or_(pc.is_null(rows.column("digest")), pc.is_null(rows.column("id"))))
    if half.num_rows:
        raise DataError(
            f"{half.num_rows} of {rows.num_rows} images have no pixels, first {half.column('id')[0].as_py()!r} (key "
            f"{half.column('key')[0].as_py()}): another client made them without odin_graph. Leave them out "
            '(where(~F("digest").is_null())), or remove them with that client and add them with db.images.add(...).'
        )


def _check_labeled(labels: pa.Array, rows: pa.Table, label: str) -> None:
    missing = pc.is_null(labels)
    if (number := pc.sum(missing).as_py() or 0) == 0:
        return
    ids = rows.column("id").filter(missing)[:5].to_pylist()
    raise DataError(
        f"{number} of {len(labels)} images have no {label!r}, first {', '.join(map(repr, ids))}. Give them one, "
        "leave them out (where(~F(...).is_null())), name another field with label=, "
        "or say label=None for a set without labels."
    )
