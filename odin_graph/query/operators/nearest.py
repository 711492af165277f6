"""The operator of `nearest`: exact neighbors among the images that come from below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.catalog.activations.vector_indexes import ensure_index
from odin_graph.errors import QueryError
from odin_graph.query.expressions.nodes import UnitGroup
from odin_graph.query.names.spaces import owner_of, segments_with, vectors_of
from odin_graph.query.operators.operator import Operator, Over
from odin_graph.query.operators.snapshot import Snapshot
from odin_graph.query.plan.spaces import spell_space
from odin_graph.query.plan.steps.nearest import Example, Nearest
from odin_graph.vectors import Approximate

_AWAY: Final = 0.15 / 0.75
"""Weight of the examples that are unlike: by the weights that Manning, Raghavan and Schütze give for Rocchio's rule
(Introduction to Information Retrieval, 2008, section 9.1.1)."""


class NearestImages(Over):
    """The k nearest of the images below, nearest first, ties by key; adds ``distance``."""

    engine = "vectors"
    why = (
        "every vector of the images that pass is compared, in memory order; missing ones of a layer are computed first"
    )

    def __init__(self, snapshot: Snapshot, below: Operator, step: Nearest) -> None:
        super().__init__(
            snapshot, below, f"{step.k} nearest to {described(step)} by {spell_space(step.by)} ({step.metric})"
        )
        assert not isinstance(step.by, UnitGroup), "an operator of its own"
        self.step, self.by = step, step.by
        if step.recall is not None:
            self.why = f"as much of an index as {float(step.recall):.0%} of them need; a scan where that does not pay"

    def _apply(self, table: pa.Table) -> pa.Table:
        step, stores, by = self.step, self.snapshot.stores, self.by
        keys = table.column("key").to_numpy()
        examples = [example.image for example in (*step.like, *step.unlike) if example.image is not None]
        rows = np.flatnonzero(~np.isin(keys, examples))  # a stored image is not among its own neighbors
        allowed, first = np.unique(keys[rows], return_index=True)
        if not len(allowed):
            return table.slice(0, 0).append_column("distance", pa.array([], pa.float64()))
        segments = segments_with(stores, by, allowed)
        vectors = stores.vectors.open(segments, step.metric)
        if not vectors.parts:
            return table.slice(0, 0).append_column("distance", pa.array([], pa.float64()))
        query = query_of(step, vectors.dimensions, lambda keys: vectors_of(stores, step.by, keys))[None]
        index: Approximate | str = self.why
        if step.recall is not None:
            index = ensure_index(stores, owner_of(by), segments, step.metric)
        if step.recall is None or isinstance(index, str):
            self.why = str(index)
            found, distance = stores.vectors.search(vectors, query, step.k, allowed)
            self.bytes += vectors.number(vectors.passing(allowed)) * vectors.dimensions * 4
        else:
            found, distance, self.why = index.search(query, step.k, allowed, step.recall)
        picked = rows[first[np.searchsorted(allowed, found[0])]]
        return table.take(pa.array(picked)).append_column("distance", pa.array(distance[0], pa.float64()))


def query_of(step: Nearest, length: int, read: Callable[[NDArray[np.int64]], NDArray[Any]]) -> NDArray[np.float32]:
    """The query vector (d,): the example, or the mean of several, moved away from the mean of those that are unlike.

    Rocchio, Relevance Feedback in Information Retrieval (1971).

    Args:
        step: With the examples.
        length: Of a vector.
        read: The vectors of stored images.

    Raises:
        QueryError: A vector is of another length.
    """
    like = _vectors(step, step.like, length, read)
    if len(like) == 1 and not step.unlike:
        only: NDArray[np.float32] = like[0].astype(np.float32)
        return only
    near = _mean(like, step.metric)
    if step.unlike:
        near += _AWAY * (near - _mean(_vectors(step, step.unlike, length, read), step.metric))
    query: NDArray[np.float32] = near.astype(np.float32)
    return query


def _vectors(
    step: Nearest, examples: Sequence[Example], length: int, read: Callable[[NDArray[np.int64]], NDArray[Any]]
) -> NDArray[np.float64]:
    stored = np.array([example.image for example in examples if example.image is not None], np.int64)
    rows = iter(read(stored) if len(stored) else ())
    vectors = [next(rows) if example.vector is None else np.array(example.vector) for example in examples]
    for vector in vectors:
        if len(vector) != length:
            raise QueryError(f"The vector has {len(vector)} numbers, those of {spell_space(step.by)!r} have {length}.")
    return np.stack(vectors).astype(np.float64)


def described(step: Nearest) -> str:
    """What the neighbors are nearest to, in words."""
    if len(step.like) > 1 or step.unlike:
        unlike = f" and unlike {len(step.unlike)}" if step.unlike else ""
        return f"{len(step.like)} example{'s' if len(step.like) > 1 else ''}{unlike}"
    (only,) = step.like
    return f"image {only.image}" if only.image is not None else "a vector"


def _mean(vectors: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """The mean of the vectors; of their directions for cosine."""
    if metric == "cosine":
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors = vectors / np.where(lengths == 0, 1, lengths)
    mean: NDArray[np.float64] = vectors.mean(axis=0)
    return mean
