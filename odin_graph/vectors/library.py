"""FAISS, which is one of two extras."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
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
            'Nearest neighbors need FAISS: pip install "odin-graph[cpu]", or "odin-graph[gpu]" on CUDA, never both.'
        ) from error
    return module


@contextmanager
def threads() -> Iterator[None]:
    """FAISS's own threads may be used in here.

    OpenMP's threads stay behind at a fork, and a child that called for them would wait for ever: it has one.
    """
    if not _forked:
        yield
        return
    with one_thread():
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """FAISS uses the calling thread alone: where the work was divided before, its threads wait for each other."""
    library = faiss()
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
