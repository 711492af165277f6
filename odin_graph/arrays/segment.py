"""What the graph stores about one segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import prod
from typing import Any, Final, Literal, Self

import numpy as np

from odin_graph.arrays.names import written_at
from odin_graph.errors import StoreError

Codec = Literal["dense", "ragged", "tiled", "table", "units"]
LASTING: Final = ("pixels", "originals")
"""Arrays whose row of a key never changes, so that any segment with the key has the right row."""


@dataclass(frozen=True, slots=True)
class SegmentInfo:
    """One immutable piece of an array. The `Segment` node holds the same, and makes its rows visible."""

    id: str
    array: str
    """The array it is a piece of: ``pixels``, ``PredictionSet/<id>/columns`` ..."""
    uri: str
    """Relative to the arrays' root."""
    keys: str
    """Digest of its sorted keys, which names the file with them."""
    rows: int
    codec: Codec
    dtype: str
    """NumPy's name of it; empty for a table."""
    shape: tuple[int, ...]
    """The shape of a row; empty where rows differ, or are scalars. For units, their number."""
    min_key: int
    max_key: int
    digest: str = ""
    """Digest of the stored files, see `contents`: checked before they are first read. Empty if unknown."""

    @classmethod
    def from_node(cls, node: Mapping[str, Any]) -> Self:
        """Read it from the properties of its node.

        Raises:
            StoreError: One is missing.
        """
        if absent := [name for name in cls.__slots__ if name != "digest" and name not in node]:
            raise StoreError(
                f"The segment {node.get('id', '')!r} of {node.get('array', 'an array')!r} has no {absent[0]} in the "
                "graph: another client removed it. Restore the newest backup; `odin doctor` lists what is missing."
            )
        return cls(
            id=node["id"],
            array=node["array"],
            uri=node["uri"],
            keys=node["keys"],
            rows=int(node["rows"]),
            codec=node["codec"],
            dtype=node["dtype"],
            shape=tuple(int(size) for size in node["shape"]),
            min_key=int(node["min_key"]),
            max_key=int(node["max_key"]),
            digest=node.get("digest") or "",
        )

    def node(self) -> dict[str, Any]:
        """The properties of its node."""
        properties = {name: getattr(self, name) for name in self.__slots__}
        created = datetime.fromtimestamp(written_at(self.id) or 0, UTC).replace(tzinfo=None)
        return {**properties, "shape": list(self.shape), "created_at": created}

    @property
    def row_bytes(self) -> int:
        """Bytes of one decoded row of a dense or tiled segment."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize
