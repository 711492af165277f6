"""The FAISS index of a layer: built over its stored rows, kept, and built anew when the set has grown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.activations import LayerRef, index_of, name_index, rows_of
from odin_graph.errors import ShapeError, StoreError
from odin_graph.runtime.embed import ensure_embeddings
from odin_graph.stores import Stores
from odin_graph.vectors import VectorIndex

Keys = NDArray[np.int64]


def ensure_index(stores: Stores, ref: LayerRef, metric: str = "cosine") -> VectorIndex:
    """The index over all stored rows of the layer.

    It is never the truth: where the set has grown, or the file is gone, it is built from the rows again.
    """
    rows = rows_of(stores, ref.set_id)
    covered = rows.coverage()
    index = _open(stores, index_of(stores, ref.set_id, metric))
    if index is not None and np.array_equal(index.keys, covered):
        return index
    uri = stores.vectors.build(covered, rows.read(covered), metric)
    name_index(stores, ref.set_id, metric, uri)
    return stores.vectors.open(uri)


def nearest_in_layer(
    stores: Stores,
    ref: LayerRef,
    query: NDArray[Any],
    k: int,
    *,
    among: Keys,
    metric: str = "cosine",
    **how: Any,
) -> tuple[Keys, NDArray[np.float64]]:
    """The k images nearest to each of the queries, exactly, among those of these keys.

    Args:
        stores: The open workspace.
        ref: The layer; rows that are missing are computed first.
        query: (m, d).
        k: How many.
        among: The images to choose from.
        metric: ``cosine``, ``l2`` or ``inner-product``.
        how: ``device``, ``batch``, ``progress`` of `ensure_embeddings`.

    Returns:
        Keys and distances, (m, k) each, as `VectorStore.search` gives them.

    Raises:
        ShapeError: The queries are no vectors of the layer's length.
    """
    ensure_embeddings(stores, ref, among, **how)
    index = ensure_index(stores, ref, metric)
    if query.ndim != 2 or query.shape[1] != index.dimensions:
        raise ShapeError(
            f"The vectors of layer {ref.layer!r} have {index.dimensions} numbers ({ref.pooling} pooling), and the "
            f"query has shape {query.shape}: give (m, {index.dimensions})."
        )
    return stores.vectors.search(index, query, k, among)


def _open(stores: Stores, uri: str | None) -> VectorIndex | None:
    if uri is None:
        return None
    try:
        return stores.vectors.open(uri)
    except StoreError:
        return None
