"""Which columns of a table a reader cares for: what a notebook displays, beside what `to_pandas` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pandas as pd

_IMAGE: Final = frozenset(
    {"key", "digest", "file_digest", "path", "created_at", "deleted", "height", "width", "bands", "dtype"}
)
_THING: Final = frozenset(
    {"digest", "definition", "tree", "query", "packages", "leaks", "loaders", "lease_owner", "lease_until", "deleted",
     "nodes", "number"}
)  # fmt: skip


_DIGITS: Final = 12
"""Of a digest, which are enough to tell two apart."""


def readable(frame: pd.DataFrame, kind: str = "Image") -> pd.DataFrame:
    """Id, label, metadata and what steps added: without digests, keys, bookkeeping, and columns without a value.

    Times are to the second, and the digests that stay are cut off.
    """
    hidden = _IMAGE if kind == "Image" else _THING
    shown = [name for name in frame.columns if name not in hidden and not str(name).startswith("odin_")]
    kept = frame[shown]
    for name in kept.select_dtypes(["datetime", "datetimetz"]).columns:
        kept = kept.assign(**{str(name): kept[name].dt.strftime("%Y-%m-%d %H:%M:%S")})
    for name in kept.columns.intersection(["commit", "weights"]):
        kept = kept.assign(**{name: kept[name].str[:_DIGITS]})
    return kept.dropna(axis=1, how="all") if len(kept) else kept
