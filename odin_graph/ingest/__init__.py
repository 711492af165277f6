"""Readers of what users have: folders, manifests and NumPy arrays become images."""

from __future__ import annotations

from odin_graph.ingest.entry import Entry
from odin_graph.ingest.file import File
from odin_graph.ingest.frame import Contents, Frame
from odin_graph.ingest.ingest import ingest
from odin_graph.ingest.looking import look
from odin_graph.ingest.reader import READERS, Reader
from odin_graph.ingest.report import IngestReport
from odin_graph.ingest.sources import entries_of
from odin_graph.ingest.split import split_positions

__all__ = [
    "READERS",
    "Contents",
    "Entry",
    "File",
    "Frame",
    "IngestReport",
    "Reader",
    "entries_of",
    "ingest",
    "look",
    "split_positions",
]
