"""The same function over many things at once: on threads, or in processes for code that holds the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

from odin_graph.arguments import whole
from odin_graph.errors import DataError

T = TypeVar("T")
_MOST = 1024
"""Processes."""
_IDLE_SECONDS = 10
"""A process that has nothing to do ends: it may hold the engine of a workspace up."""


def run_all(
    function: Callable[..., T], calls: Iterable[tuple[object, ...]], *, threads: int, workers: int = 0
) -> list[T]:
    """The results of the function for each call, in order.

    Args:
        function: Anything with threads. With processes it and what it is called with are pickled, functions of a
            notebook or script among them.
        calls: The arguments of each.
        threads: So many at once. NumPy and most operations let go of the interpreter, Python code does not.
        workers: So many processes instead; they are kept for the next call.

    Raises:
        DataError: Less than no process, or something that does not pickle.
    """
    if (number := whole(workers)) is None or not 0 <= number <= _MOST:
        raise DataError(f"workers={workers!r:.80} is not known: give how many, up to {_MOST}, or 0 for threads.")
    if workers:
        return _in_processes(function, calls, workers)
    # One thread of BLAS for each of ours: with more they wait for each other, at three times the time.
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads, thread_name_prefix="odin") as pool:
        try:
            return [future.result() for future in [pool.submit(function, *call) for call in calls]]
        except BaseException:  # Ctrl-C too: calls that have not begun are cancelled
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _in_processes(function: Callable[..., T], calls: Iterable[tuple[object, ...]], workers: int) -> list[T]:
    from pickle import PicklingError

    from joblib import Parallel, delayed, parallel_config

    try:
        with parallel_config(backend="loky", n_jobs=workers, idle_worker_timeout=_IDLE_SECONDS):
            found: list[T] = Parallel()(delayed(function)(*call) for call in calls)
    except (PicklingError, TypeError) as error:
        if "pickle" not in str(error):
            raise
        raise DataError(
            f"The function does not go into another process ({error}): take what does not pickle out of it, or leave "
            "workers= out."
        ) from error
    return found
