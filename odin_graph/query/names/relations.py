"""Which images have a relation to something in the graph: members, what an experiment used, lineage."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, assert_never

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.catalog.images.lineage import derived_of, walk
from odin_graph.errors import UnknownNameError
from odin_graph.query.expressions.nodes import Relation
from odin_graph.query.names.prediction_sets import check_experiment
from odin_graph.schema.kinds import alive

if TYPE_CHECKING:
    from odin_graph.stores import Stores

_THINGS: Final = (
    "MATCH (n:Image {id: $id}) RETURN 'Image' AS kind, n.key AS key "
    "UNION MATCH (n:Volume {id: $id}) RETURN 'Volume' AS kind, null AS key "
    "UNION MATCH (n:Video {id: $id}) RETURN 'Video' AS kind, null AS key"
)
_USED: Final = (
    f"MATCH (:Experiment {{id: $id}})-[u:USED]->(d:Dataset) WHERE {alive('Dataset', 'd')} "
    "AND ($role IS NULL OR u.role = $role) RETURN DISTINCT d.id AS id"
)


def bind(stores: Stores, relation: Relation) -> Relation:
    """The relation to something that exists; a bare data set id becomes its latest version.

    Raises:
        UnknownNameError: There is no such thing.
    """
    match relation.name:
        case "in-dataset":
            return replace(relation, to=resolve(stores, relation.to))
        case "used-by":
            check_experiment(stores.graph, relation.to)
        case "derived-from" | "has-root":
            if not stores.graph.read(_THINGS, {"id": relation.to}):
                raise UnknownNameError(
                    f"There is no image, volume or video {relation.to!r}. db.images().to_pandas('id') lists the images."
                )
        case _:
            assert_never(relation.name)
    return relation


def related(stores: Stores, relation: Relation) -> NDArray[np.int64]:
    """The keys of the images that have a bound relation, sorted."""
    match relation.name:
        case "in-dataset":
            return _members(stores, [relation.to])
        case "used-by":
            rows = stores.graph.read(_USED, {"id": relation.to, "role": relation.role})
            return _members(stores, [row["id"] for row in rows])
        case "derived-from":
            return _sorted(key for row in _things(stores, relation.to) for key in _derived(stores, relation.to, row))
        case "has-root":
            roots = stores.columns.roots()
            wanted = {_root(relation.to, row) for row in _things(stores, relation.to)}
            pairs = zip(roots.column("key").to_pylist(), roots.column("root").to_pylist(), strict=True)
            return _sorted(key for key, root in pairs if root in wanted)
    assert_never(relation.name)


def _things(stores: Stores, id_: str) -> list[dict[str, Any]]:
    return list(stores.graph.read(_THINGS, {"id": id_}))


def _root(id_: str, row: dict[str, Any]) -> str:
    """The thing as `odin_graph.columns.Columns.roots` writes it."""
    return str(row["key"]) if row["kind"] == "Image" else f"{row['kind']}/{id_}"


def _derived(stores: Stores, id_: str, row: dict[str, Any]) -> list[int]:
    if row["kind"] == "Image":
        table = walk(stores, [row["key"]], "descendants")
    else:
        table = derived_of(stores, row["kind"], [id_])
    return [key for key in table.column("key").to_pylist() if key is not None]


def _members(stores: Stores, datasets: list[str]) -> NDArray[np.int64]:
    return _sorted(key for id_ in datasets for key in stores.columns.members(id_).column("key").to_pylist())


def _sorted(keys: Any) -> NDArray[np.int64]:
    return np.unique(np.fromiter(keys, np.int64))
