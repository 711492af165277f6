"""Nearest neighbors over vectors: exactly, by FAISS's kernels over mapped segments, or by indexes of known recall."""

from __future__ import annotations

from odin_graph.vectors.approximate import Approximate, SegmentIndex
from odin_graph.vectors.exact import Part, Vectors
from odin_graph.vectors.metric import METRICS, distances
from odin_graph.vectors.store import VectorStore

__all__ = ["METRICS", "Approximate", "Part", "SegmentIndex", "VectorStore", "Vectors", "distances"]
