"""Conformance kits and hypothesis strategies for people who write plug-ins. Needs pytest and hypothesis."""

from __future__ import annotations

from odin_graph.testing.segments import SegmentStore, SegmentStoreConformance
from odin_graph.testing.strategies import DTYPES, key_sets, rows_of, units_of
from odin_graph.testing.units import UnitConformance

__all__ = ["DTYPES", "SegmentStore", "SegmentStoreConformance", "UnitConformance", "key_sets", "rows_of", "units_of"]
