"""Nearest neighbours over embeddings: FAISS indexes that are derived from segments and can be built again."""

from __future__ import annotations

from odin_graph.vectors.index import VectorIndex
from odin_graph.vectors.metric import METRICS, distances
from odin_graph.vectors.store import VectorStore

__all__ = ["METRICS", "VectorIndex", "VectorStore", "distances"]
