"""Images that a run trained on and that are in no data set of it: their keys, as table segments of the experiment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.catalog.records.leases import Lease
from odin_graph.catalog.records.segments import name_leased
from odin_graph.stores import Stores


def loaded_keys(stores: Stores, experiments: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """The keys, sorted, of each experiment that has any."""
    named = stores.columns.segments_of([_array(id_) for id_ in experiments])
    held = {id_: [stores.arrays.keys(info) for info in named.get(_array(id_), ())] for id_ in experiments}
    return {id_: np.unique(np.concatenate(keys)) for id_, keys in held.items() if keys}


def newly_loaded(
    stores: Stores, experiment: str, keys: NDArray[np.int64], datasets: Iterable[str]
) -> NDArray[np.int64]:
    """The keys of a loader that no loader of the experiment had before, and no data set of it has.

    Args:
        stores: The open workspace.
        experiment: Its id.
        keys: Of the loader's images.
        datasets: The data set versions that the experiment has in any role.
    """
    known = [stores.columns.members(id_).column("key").to_numpy() for id_ in datasets]
    return np.setdiff1d(
        keys, np.concatenate([*known, *loaded_keys(stores, [experiment]).values(), np.empty(0, np.int64)])
    )


def keep_loaded(stores: Stores, lease: Lease, keys: NDArray[np.int64]) -> None:
    """Keep on a running experiment what a loader gives it beyond its data sets."""
    name_leased(stores, lease, [stores.arrays.write_table(_array(lease.id), pa.table({"key": keys}))])


def _array(experiment: str) -> str:
    return f"Experiment/{experiment}/loaded"
