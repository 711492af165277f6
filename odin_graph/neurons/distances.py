"""Distances between the values of a group of units for an image and a query. An extension point."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np

from odin_graph.errors import ShapeError
from odin_graph.neurons.cosine import Cosine
from odin_graph.neurons.fit import Floats
from odin_graph.neurons.measure import Measure, checked_weights
from odin_graph.neurons.norms import Norm
from odin_graph.registry import Registry

DISTANCES: Final[Registry[Callable[[Floats, Floats | None], Measure]]] = Registry(
    "distance of units", "odin_graph.unit_distances"
)
"""Each makes a `Measure` of a query (G,) and weights (G,), none below 0, or None."""

DISTANCES.register("l1")(partial(Norm, "l1"))
DISTANCES.register("l2")(partial(Norm, "l2"))
DISTANCES.register("linf")(partial(Norm, "linf"))
DISTANCES.register("cosine")(Cosine)


def distance(metric: str, query: Any, weights: Any = None) -> Measure:
    """The distance of that name to a query.

    Args:
        metric: l1, l2 (the true distance), linf, cosine (1 - cos, missing for a vector of zeros), or a plug-in's.
        query: (G,), finite.
        weights: (G,), none below 0: l1 is sum w|d|, l2 the root of sum w d^2, linf the largest w|d|, and cosine that of
            vectors times the root of w.

    Raises:
        UnknownNameError: There is none of that name.
        ShapeError: The query holds NaN or infinity, or the weights do not fit it.
        QueryError: A weight is negative or not finite.
    """
    make = DISTANCES.get(metric)
    to: Floats = np.array(query, dtype=np.float32).astype(np.float64)
    if to.ndim != 1 or not len(to):
        raise ShapeError(f"A query is one number a unit, not of shape {to.shape}.")
    if not np.isfinite(to).all():
        unit = int(np.flatnonzero(~np.isfinite(to))[0])
        raise ShapeError(
            f"The value to search with is {to[unit]} at unit {unit} of the group, and nothing is near to that: leave "
            "out the unit, or search with another image."
        )
    checked = None if weights is None else checked_weights(weights, negative=False)
    if checked is not None and len(checked) != len(to):
        raise ShapeError(f"There are {len(to)} units, and {len(checked)} weights: give one each.")
    return make(to, checked)
