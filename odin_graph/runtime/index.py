"""The FAISS index of a layer: built over its stored rows, kept, and built anew when the set has grown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.activations import LayerRef
from odin_graph.runtime.embed import ensure_embeddings
from odin_graph.stores import Stores

Keys = NDArray[np.int64]


def nearest_in_layer(
    stores: Stores,
    ref: LayerRef,
    query: NDArray[np.float32],
    k: int,
    *,
    among: Keys,
    metric: str = "cosine",
    **how: Any,
) -> tuple[Keys, NDArray[np.float32]]:
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
    """
    ensure_embeddings(stores, ref, among, **how)
    index = ensure_index(stores, ref, metric)
    return stores.vectors.search(index, query, k, among)
