"""Arrow columns of metadata, labels and predictions by key, kept beside the graph."""

from __future__ import annotations

from odin_graph.columns.columns import Columns

__all__ = ["Columns"]
