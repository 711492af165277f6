"""TileDB segments: pixels, activations, probabilities and tables, each immutable, addressed by sorted keys."""

from __future__ import annotations

from odin_graph.arrays.boxes import Box
from odin_graph.arrays.compaction import compact
from odin_graph.arrays.files import Files, StoredFile
from odin_graph.arrays.keys import keys_uri
from odin_graph.arrays.names import segment_parts
from odin_graph.arrays.pruning import without
from odin_graph.arrays.segment import SegmentInfo
from odin_graph.arrays.segmented import SegmentedArray, StoredRows
from odin_graph.arrays.store import ArrayStore
from odin_graph.arrays.tiled import Rows, slabs
from odin_graph.arrays.unit_array import Columns, UnitArray
from odin_graph.arrays.unit_store import UnitStore

__all__ = [
    "ArrayStore",
    "Box",
    "Columns",
    "Files",
    "Rows",
    "SegmentInfo",
    "SegmentedArray",
    "StoredFile",
    "StoredRows",
    "UnitArray",
    "UnitStore",
    "compact",
    "keys_uri",
    "segment_parts",
    "slabs",
    "without",
]
