"""A world that several tests make is made once on each engine: then its nodes, edges and files are stored and put back.

That takes a tenth of what it takes to make it: a few statements and a copy of a folder.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import odin_graph as og
from odin_graph.arrays import of_database, outside, store
from odin_graph.graph import Transaction
from odin_graph.graph.writer import quoted
from odin_graph.stores import Stores

Fill = Callable[..., Any]
MARKS = (store.OWNER, outside.OWNER, of_database.OWNER)
"""Files that say whose the arrays are: each workspace has its own."""
OWN = ("id", "schema_version", "odin_secret")
"""Properties of a workspace that it gets when it is made."""
_folder = Path(tempfile.mkdtemp(prefix="odin-stored-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
_worlds: dict[tuple[Any, ...], tuple[Any, Stored]] = {}


def filled(held: og.Workspace | Stores, fill: Fill, **given: Any) -> Any:
    """Fill an empty workspace, with what the function left in an earlier one if it was called with the same before.

    It must be a function of a module, whose answer hangs on no workspace.
    """
    stores = held if isinstance(held, Stores) else held._stores
    key = stores.address.folder is None, fill, *sorted(given.items())
    if key not in _worlds:
        made = fill(held, **given)
        _worlds[key] = made, Stored.of(stores, _folder / str(len(_worlds)))
        return made
    made, stored = _worlds[key]
    stored.put(stores)
    return made


@dataclass(frozen=True)
class Stored:
    """All of a workspace, but its id."""

    nodes: dict[tuple[str, ...], list[dict[str, Any]]]
    """By labels."""
    edges: dict[str, list[tuple[int, int, dict[str, Any]]]]
    """By type: the positions of their ends among the nodes."""
    workspace: dict[str, Any]
    arrays: Path

    @classmethod
    def of(cls, stores: Stores, folder: Path) -> Stored:
        """Store it, with its files in a new folder."""
        nodes: defaultdict[tuple[str, ...], list[tuple[str, dict[str, Any]]]] = defaultdict(list)
        edges: defaultdict[str, list[tuple[int, int, dict[str, Any]]]] = defaultdict(list)
        workspace: dict[str, Any] = {}
        with stores.graph.driver().session(database=stores.graph.database) as session:  # its values, as they are
            for id_, labels, properties in session.run(
                "MATCH (n) WHERE NOT n:Writer AND NOT n:Change RETURN elementId(n), labels(n), properties(n)"
            ):
                if labels == ["Workspace"]:
                    workspace = {name: value for name, value in properties.items() if name not in OWN}
                else:
                    nodes[tuple(labels)].append((id_, properties))
            position = {id_: at for at, id_ in enumerate(id_ for some in nodes.values() for id_, _ in some)}
            for a, b, kind, properties in session.run(
                "MATCH (a)-[e]->(b) RETURN elementId(a), elementId(b), type(e), properties(e)"
            ):
                edges[kind].append((position[a], position[b], properties))
        shutil.copytree(stores.address.arrays, folder, ignore=shutil.ignore_patterns(*MARKS))
        return cls({labels: [row for _, row in some] for labels, some in nodes.items()}, edges, workspace, folder)

    def put(self, stores: Stores) -> None:
        """Make it in an empty workspace."""
        shutil.rmtree(stores.cache, ignore_errors=True)  # it knows segments of these names from where they were first
        shutil.copytree(self.arrays, stores.address.arrays, dirs_exist_ok=True)
        stores.graph.execute(self._put)

    def _put(self, tx: Transaction) -> None:
        tx.run("MATCH (w:Workspace) SET w += $own", {"own": self.workspace})
        ids: list[str] = []
        for labels, rows in self.nodes.items():
            cypher = f"UNWIND $rows AS r CREATE (n:{':'.join(map(quoted, labels))}) SET n = r RETURN elementId(n) AS id"
            ids += [row["id"] for row in tx.run(cypher, {"rows": rows})]
        for kind, edges in self.edges.items():
            rows = [[ids[start], ids[end], properties] for start, end, properties in edges]
            tx.run(
                "UNWIND $rows AS r MATCH (a) WHERE elementId(a) = r[0] MATCH (b) WHERE elementId(b) = r[1] "
                f"CREATE (a)-[e:{quoted(kind)}]->(b) SET e = r[2]",
                {"rows": rows},
            )
