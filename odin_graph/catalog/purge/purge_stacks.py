"""Purge of a volume or a video: first its images, then the properties of its node."""

from __future__ import annotations

import numpy as np

from odin_graph.catalog.images.stacks import Kind, images_of
from odin_graph.catalog.purge.purge import PurgeReport, purge
from odin_graph.catalog.records import deletion
from odin_graph.stores import Stores


def purge_stack(
    stores: Stores,
    kind: Kind,
    id: str,  # noqa: A002 - the users' word for it
    *,
    why: str | None = None,
    who: str | None = None,
    force: bool = False,
) -> PurgeReport:
    """Destroy its images and all that was made of them, and reduce its node to a tombstone. May be repeated.

    Raises:
        FrozenError: A data set version contains images of it; says which.
        UnknownNameError: There is no such thing.
    """
    keys = np.array([row["key"] for row in images_of(stores, kind, id, deleted=True)], np.int64)
    report = purge(stores, keys, why=why, who=who, force=force) if len(keys) else PurgeReport(())
    deletion.delete(stores, kind, [id], why=why, who=who, force=True)
    stores.graph.write(
        f"MATCH (v:{kind} {{id: $id}}) SET v = {{id: v.id, deleted: true, state: 'deleted'}}", {"id": id}
    )
    return report
