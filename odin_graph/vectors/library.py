"""FAISS, which is one of two extras."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

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


@contextmanager
def clustered_on_gpus(index: Any, measure: int) -> Iterator[None]:
    """Inverted lists that are trained in here have their k-means on every GPU that FAISS sees, where it sees any.

    It is most of what a build costs. The index itself stays where it is, and is read on any machine.
    """
    library = faiss()
    if _forked or not getattr(library, "get_num_gpus", int)():
        yield
        return
    held = library.index_cpu_to_all_gpus(library.IndexFlat(index.d, measure))
    index.clustering_index = held  # FAISS keeps no reference: it lives as long as this block
    try:
        yield
    finally:
        index.clustering_index = None


@contextmanager
def threads() -> Iterator[None]:
    """FAISS's own threads may be used in here.

    OpenMP's threads stay behind at a fork, and a child that called for them would wait for ever: it has one.
    """
    library = faiss()
    if not _forked:
        yield
        return
    before = library.omp_get_max_threads()
    library.omp_set_num_threads(1)
    try:
        yield
    finally:
        library.omp_set_num_threads(before)


_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True


os.register_at_fork(after_in_child=_after_fork)
