"""FAISS, which is one of two extras."""

from __future__ import annotations

from types import ModuleType

from odin_graph.errors import MissingExtraError


def faiss() -> ModuleType:
    """The module, of faiss-cpu or faiss-gpu.

    Raises:
        MissingExtraError: Neither is installed.
    """
    try:
        import faiss as module
    except ImportError as error:
        raise MissingExtraError(
            'Nearest neighbours need FAISS: pip install "odin-graph[cpu]", or "odin-graph[gpu]" on CUDA, never both.'
        ) from error
    return module
