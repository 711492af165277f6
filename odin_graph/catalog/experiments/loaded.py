"""Keys of images that a run trained on and that are in none of its data sets, as table segments of the experiment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.segments import name_leased
from odin_graph.stores import Stores


def loaded_keys(stores: Stores, experiments: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """The sorted keys of each experiment that has any."""
    segments = stores.columns.segments_of([_array(id_) for id_ in experiments])
    parts = {id_: [stores.arrays.keys(info) for info in segments.get(_array(id_), ())] for id_ in experiments}
    return {id_: np.unique(np.concatenate(keys)) for id_, keys in parts.items() if keys}


def newly_loaded(
    stores: Stores, experiment: str, keys: NDArray[np.int64], datasets: Iterable[str]
) -> NDArray[np.int64]:
    """The keys of a loader that are new to the experiment: in no earlier loader and in none of its data sets.

    Args:
        stores: The open workspace.
        experiment: Its id.
        keys: The images of the loader.
        datasets: The data set versions of the experiment, in any role.
    """
    known = [stores.columns.members(id_).column("key").to_numpy() for id_ in datasets]
    return np.setdiff1d(
        keys, np.concatenate([*known, *loaded_keys(stores, [experiment]).values(), np.empty(0, np.int64)])
    )


def keep_loaded(stores: Stores, lease: Lease, keys: NDArray[np.int64]) -> None:
    """Store the images of a loader that are in none of the data sets of a running experiment."""
    name_leased(stores, lease, [stores.arrays.write_table(_array(lease.id), pa.table({"key": keys}))])


def _array(experiment: str) -> str:
    return f"Experiment/{experiment}/loaded"
