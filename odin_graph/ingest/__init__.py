"""Readers of what users have: folders, manifests and NumPy arrays become images."""

from __future__ import annotations

from odin_graph.ingest.entry import Entry
from odin_graph.ingest.ingest import IngestReport, ingest
from odin_graph.ingest.sources import entries_of
from odin_graph.ingest.split import split_positions

__all__ = ["Entry", "IngestReport", "entries_of", "ingest", "split_positions"]
