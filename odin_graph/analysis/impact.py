"""Impact: what must be redone if these images, or their labels, are wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from odin_graph.analysis.impact_picture import JUDGED, draw
from odin_graph.catalog.images.lineage import walk
from odin_graph.graph.kinds import kinds_of
from odin_graph.graph.member_chunks import versions_with
from odin_graph.graph.writer import batches
from odin_graph.schema.kinds import KINDS, Kind, alive
from odin_graph.served import travels
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.picture import Picture

_IDS: Final = "UNWIND $keys AS key MATCH (i:Image {key: key}) RETURN i.key AS key, i.id AS id"
_EXPERIMENTS: Final = f"""
UNWIND $ids AS id MATCH (d:Dataset {{id: id}})<-[u:USED]-(e:Experiment)
WHERE {alive("Experiment", "e")} RETURN e.id AS id, u.role AS role, d.id AS cause
"""
_INFORMED: Final = f"""
UNWIND $ids AS id MATCH (c:Experiment {{id: id}})<-[:INFORMED_BY]-(e:Experiment)
WHERE {alive("Experiment", "e")} RETURN e.id AS id, c.id AS cause
"""
_CHECKPOINTS: Final = f"""
UNWIND $ids AS id MATCH (e:Experiment {{id: id}})<-[:GENERATED_BY]-(c:Checkpoint)
WHERE {alive("Checkpoint", "c")} RETURN c.id AS id, e.id AS cause
"""
_SETS: Final = f"""
UNWIND $ids AS id MATCH (c:{{kind}} {{id: id}})<-[:{{edge}}]-(s:PredictionSet)
WHERE {alive("PredictionSet", "s")} RETURN DISTINCT s.id AS id, c.id AS cause
"""
_RESULTS: Final = """
UNWIND $ids AS id MATCH (s:PredictionSet {id: id})-[:GENERATED_BY]->(e:Experiment)
MATCH (s)-[:OF]->(d:Dataset) RETURN DISTINCT e.id AS experiment, d.id AS dataset ORDER BY experiment, dataset
"""


@travels
@dataclass(frozen=True)
class Edge:
    """``effect`` is wrong because ``cause`` is; both are (kind, id)."""

    cause: tuple[str, str]
    effect: tuple[str, str]
    role: str | None = None


@travels
@dataclass(frozen=True, repr=False)
class Impact:
    """Everything to redo, by kind and id. Each list is sorted by id."""

    images: tuple[str, ...]
    """The images that are wrong."""
    derived: tuple[str, ...]
    """Images that were made from them at any depth, also by new pixels."""
    datasets: dict[str, int]
    """Data set versions that contain any of these, with their number."""
    experiments: dict[str, tuple[str, ...]]
    """Experiments and the roles in which they used these; ``informed`` if they continue one that did."""
    checkpoints: tuple[str, ...]
    """Checkpoints that learned from these images, in every role but ``test``."""
    prediction_sets: tuple[str, ...]
    """Predictions of these checkpoints, or for these data sets."""
    results: tuple[tuple[str, str], ...]
    """The experiment and data set of each result that may change."""
    added: dict[str, tuple[str, ...]]
    """By the word for their kind: things of kinds that packages add, whose lineage leads to any of the above."""
    plurals: dict[str, str]
    """Of these words."""
    edges: tuple[Edge, ...]

    @property
    def counts(self) -> dict[str, int]:
        """The number of things of each kind."""
        return {
            "images": len(self.images),
            "derived images": len(self.derived),
            "data sets": len(self.datasets),
            "experiments": len(self.experiments),
            "checkpoints": len(self.checkpoints),
            "prediction sets": len(self.prediction_sets),
            "results": len(self.results),
            **{self.plurals[word]: len(ids) for word, ids in self.added.items()},
        }

    def to_arrow(self) -> pa.Table:
        """One row for each thing to redo: ``kind``, ``id`` and ``detail``."""
        rows = [("derived image", id_, "") for id_ in self.derived]
        rows += [("data set", id_, f"{number:,} images") for id_, number in self.datasets.items()]
        rows += [("experiment", id_, ", ".join(roles)) for id_, roles in self.experiments.items()]
        rows += [("checkpoint", id_, "") for id_ in self.checkpoints]
        rows += [("prediction set", id_, "") for id_ in self.prediction_sets]
        rows += [("result", experiment, f"over {dataset}") for experiment, dataset in self.results]
        rows += [(word, id_, "") for word, ids in self.added.items() for id_ in ids]
        return pa.table({name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate(_COLUMNS)})

    def picture(self) -> Picture:
        """Draw it: causes on the left, effects on the right. Large kinds are one box."""
        return draw(self)

    def show(self) -> None:
        """Display the picture."""
        self.picture().show()

    def save(self, path: str | Path) -> Path:
        """Write the picture as .png, .pdf, .svg or .jpg."""
        return self.picture().save(path)

    def __str__(self) -> str:
        """The counts, and the things themselves if they are few."""
        lines = [", ".join(f"{number:,} {kind}" for kind, number in self.counts.items())]
        for kind, details in _grouped(self.to_arrow()):
            shown = [f"{id_} ({detail})" if detail else id_ for id_, detail in details[:_SHOWN]]
            more = f" and {len(details) - _SHOWN:,} more" if len(details) > _SHOWN else ""
            lines.append(f"  {kind}: {', '.join(shown)}{more}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<b>{', '.join(f'{n:,} {kind}' for kind, n in self.counts.items())}</b>" + str(
            self.to_arrow().to_pandas().to_html(index=False, max_rows=40, border=0)
        )


_WORDS: Final = {"Dataset": "data set"}
"""Of kinds whose word here is another one."""
_COLUMNS: Final = ("kind", "id", "detail")
_SHOWN: Final = 8


def impact(stores: Stores, keys: Iterable[int]) -> Impact:
    """Follow images to everything that rests on their pixels or labels. A query a step, whatever the number.

    An experiment that used a data set as ``test`` was judged by it: its figures over it may change, its weights do
    not. In any other role it learned from it: then its weights, all that they predicted, and the experiments that
    were informed by it are to be redone as well.
    """
    given = [int(key) for key in dict.fromkeys(keys)]
    walked = walk(stores, given, "descendants")
    derived = dict(zip(walked.column("id").to_pylist(), walked.column("next").to_pylist(), strict=True))
    ids = _ids(stores, given)
    own = set(ids.values())
    edges = [Edge(("image", cause), ("image", effect)) for effect, cause in derived.items()]
    reached = {**ids, **dict(zip(walked.column("key").to_pylist(), walked.column("id").to_pylist(), strict=True))}
    versions = versions_with(stores.graph.read, reached, alive("Dataset", "d"))
    datasets = {id_: len(keys) for id_, keys in versions.items()}
    edges += [
        Edge(("image", reached[key]), ("data set", id_)) for id_, keys in versions.items() for key in keys.tolist()
    ]
    roles: dict[str, list[str]] = {}
    for row in stores.graph.read(_EXPERIMENTS, {"ids": list(datasets)}):
        roles.setdefault(row["id"], []).append(row["role"])
        edges.append(Edge(("data set", row["cause"]), ("experiment", row["id"]), row["role"]))
    learned = _learned(stores, roles, edges)
    checkpoints = _step(stores, _CHECKPOINTS, learned, "experiment", "checkpoint", edges)
    sets: dict[str, None] = {}
    for kind, edge, label, causes in (
        ("checkpoint", "DERIVED_FROM", "Checkpoint", checkpoints),
        ("data set", "OF", "Dataset", list(datasets)),
        ("experiment", "GENERATED_BY", "Experiment", learned),
    ):
        statement = _SETS.replace("{kind}", label).replace("{edge}", edge)
        sets.update(dict.fromkeys(_step(stores, statement, causes, kind, "prediction set", edges)))
    found = {
        "Image": [*own, *derived],
        "Dataset": list(datasets),
        "Experiment": learned,
        "Checkpoint": checkpoints,
        "PredictionSet": list(sets),
    }
    kinds = kinds_of(stores.graph)
    added = _added(stores, kinds, found, edges)
    results = stores.graph.read(_RESULTS, {"ids": list(sets)})
    return Impact(
        images=tuple(ids.values()),
        derived=tuple(sorted(set(derived) - own)),
        datasets=dict(sorted(datasets.items())),
        experiments={id_: tuple(dict.fromkeys(sorted(used))) for id_, used in sorted(roles.items())},
        checkpoints=tuple(sorted(checkpoints)),
        prediction_sets=tuple(sorted(sets)),
        results=tuple((row["experiment"], row["dataset"]) for row in results),
        added=added,
        plurals={kind.word: kind.plural for kind in kinds.values() if kind.word in added},
        edges=tuple(dict.fromkeys(edges)),
    )


def _ids(stores: Stores, keys: Sequence[int]) -> dict[int, str]:
    """The ids by key, in the order of the keys."""
    rows = (row for part in batches(keys) for row in stores.graph.read(_IDS, {"keys": part}))
    return {row["key"]: row["id"] for row in rows}


def _learned(stores: Stores, roles: dict[str, list[str]], edges: list[Edge]) -> list[str]:
    """The experiments that learned from what is wrong, and those that were informed by them."""
    level = [id_ for id_, used in roles.items() if any(role != JUDGED for role in used)]
    learned = dict.fromkeys(level)
    while level:
        reached = []
        for row in stores.graph.read(_INFORMED, {"ids": level}):
            edges.append(Edge(("experiment", row["cause"]), ("experiment", row["id"]), "informed"))
            roles.setdefault(row["id"], []).append("informed")
            if row["id"] not in learned:
                learned[row["id"]] = None
                reached.append(row["id"])
        level = reached
    return list(learned)


def _added(
    stores: Stores, kinds: dict[str, Kind], found: dict[str, list[str]], edges: list[Edge]
) -> dict[str, tuple[str, ...]]:
    """By word: the things of added kinds that were made from what was found, and those that were made from these."""
    added = [kind for label, kind in kinds.items() if label not in KINDS]
    reached: dict[str, dict[str, None]] = {kind.label: {} for kind in added}
    level = {label: ids for label, ids in found.items() if ids}
    while level:
        following: dict[str, list[str]] = {}
        for kind in added:
            for link in kind.links.values():
                if not link.lineage or link.to not in level:
                    continue
                statement = (
                    f"UNWIND $ids AS id MATCH (x:{link.to} {{id: id}}) MATCH {link.pattern} WHERE {kind.alive('i')} "
                    "RETURN i.id AS id, x.id AS cause"
                )
                cause = _WORDS.get(link.to, kinds[link.to].word)
                for id_ in _step(stores, statement, level[link.to], cause, kind.word, edges):
                    if id_ not in reached[kind.label]:
                        reached[kind.label][id_] = None
                        following.setdefault(kind.label, []).append(id_)
        level = following
    return {kind.word: tuple(sorted(reached[kind.label])) for kind in added if reached[kind.label]}


def _step(
    stores: Stores, statement: str, causes: Sequence[str], cause: str, effect: str, edges: list[Edge]
) -> list[str]:
    rows = [row for part in batches(causes) for row in stores.graph.read(statement, {"ids": part})]
    edges += [Edge((cause, row["cause"]), (effect, row["id"])) for row in rows]
    return list(dict.fromkeys(row["id"] for row in rows))


def _grouped(table: pa.Table) -> list[tuple[str, list[tuple[str, str]]]]:
    groups: dict[str, list[tuple[str, str]]] = {}
    for row in table.to_pylist():
        groups.setdefault(row["kind"], []).append((row["id"], row["detail"]))
    return list(groups.items())
