"""List what a purge cannot destroy, so that a person can."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.graph.member_chunks import versions_with
from odin_graph.graph.writer import batches
from odin_graph.schema.kinds import alive
from odin_graph.stores import Stores

_TRAINED: Final = """
UNWIND $ids AS id MATCH (d:Dataset {id: id})<-[u:USED]-(e:Experiment)
RETURN DISTINCT e.id AS experiment, u.role AS role
"""
_WEIGHTS: Final = """
UNWIND $ids AS id MATCH (e:Experiment {id: id}) MATCH (e)<-[:GENERATED_BY]-(c:Checkpoint) RETURN count(c) AS n
"""
_COPIES: Final = f"""
UNWIND $keys AS key MATCH (i:Image {{key: key}}) WITH i WHERE i.digest IS NOT NULL
MATCH (c:Image {{digest: i.digest}}) WHERE {alive("Image", "c")} RETURN DISTINCT c.id AS id, c.key AS key
"""
_REVISIONS: Final = f"""
UNWIND $keys AS key MATCH (i:Image {{key: key}}) MATCH (i)-[:REVISION_OF]-(r:Image) WHERE {alive("Image", "r")}
RETURN DISTINCT r.id AS id, r.key AS key
"""
_SHOWN: Final = 5


def left_behind(stores: Stores, keys: NDArray[np.int64]) -> tuple[str, ...]:
    """Sentences on what will survive a purge of these images. Call it before the purge, which removes digests."""
    roles: dict[str, set[str]] = {}
    copies: dict[int, str] = {}
    revisions: dict[int, str] = {}
    for row in stores.graph.read(_TRAINED, {"ids": list(versions_with(stores.graph.read, keys))}):
        roles.setdefault(row["experiment"], set()).add(row["role"] or "")
    for part in batches(keys.tolist(), 1_000):
        for cypher, found in ((_COPIES, copies), (_REVISIONS, revisions)):
            found.update((row["key"], row["id"]) for row in stores.graph.read(cypher, {"keys": part}))
    purged = set(keys.tolist())
    sentences: list[str] = []
    if trained := sorted(id_ for id_, used in roles.items() if used - {"test"}):
        weights = stores.graph.read(_WEIGHTS, {"ids": trained})[0]["n"]
        sentences.append(
            f"what {_join(trained)} trained or tuned on them, {weights:,} checkpoints here: weights may remember what "
            "they saw. Train them again without."
        )
    if roles:
        sentences.append(f"metrics and hyper-parameters that were logged by {_join(sorted(roles))}.")
    if others := sorted(id_ for key, id_ in copies.items() if key not in purged):
        sentences.append(
            f"images with the same pixels under other ids: {_join(others)}. Purge them too if they should go."
        )
    if others := sorted(id_ for key, id_ in revisions.items() if key not in purged):
        sentences.append(f"other revisions of them: {_join(others)}. Purge them too if they should go.")
    sentences.append(
        "pictures, tables and data sets that were exported; what running processes hold; caches of other machines; "
        "backups; what the graph engine's own files keep of overwritten records until it reuses their pages."
    )
    return tuple(sentences)


def _join(ids: list[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more
