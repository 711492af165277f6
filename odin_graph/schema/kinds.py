"""The kinds of things: what each has, how it comes and goes, and what uses it. Tables of labels derive from these.

A kind of node that is added here is described, queried, counted, deleted and checked as the others are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from odin_graph.errors import UnknownNameError
from odin_graph.schema.member_chunk import holding
from odin_graph.schema.metadata.types import FieldType

_TEXT, _NUMBER, _TIME, _WORDS = FieldType.STRING, FieldType.INT, FieldType.DATETIME, FieldType.STRINGS


@dataclass(frozen=True, slots=True)
class Link:
    """Edges from the things of a kind to those of another: ``Link("HAS_IMAGE", "Image", many=True)``."""

    edge: str
    """The type of the edges."""
    to: str
    """The label of what they lead to."""
    many: bool = False
    """Whether a thing has any number of them. The id at the end of a single one is a field of queries."""
    lineage: bool = False
    """Whether the thing was made from what they lead to: then it is redone where that is wrong, see `impact`."""
    whole: bool = False
    """Whether a deleted thing is not restored while what they lead to is deleted."""
    holds: str = ""
    """What is said of what they lead to, which is then deleted only by force: ``"judged by the diagnosis"``."""

    @property
    def pattern(self) -> str:
        """From ``i`` to ``x`` in Cypher."""
        return f"(i)-[:{self.edge}]->(x:{self.to})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What the nodes of one label are to the rest: everything but how they are made."""

    label: str
    word: str
    """For one of them, in messages."""
    plural: str = ""
    """By default with an s."""
    key: str = "id"
    """The property by which users name one of them."""
    own: Mapping[str, FieldType] = field(default_factory=dict)
    """Properties of ours that can be asked for, beside free metadata; of those that queries read as things."""
    links: Mapping[str, Link] = field(default_factory=dict)
    """What they are connected to, by the name of the field."""
    order: str = "i.created_at, i.id"
    """In which they come: the oldest first."""
    datasets: str = ""
    """The pattern from ``i`` to the data sets ``d`` whose members it is about, over an edge ``u``; empty if none."""
    needed: tuple[str, ...] = ("id",)
    """Properties that each has, unless it was deleted."""
    indexed: tuple[str, ...] = ()
    """Fields with an index in the graph, of a kind that a package adds. The id is unique, so it has one."""
    states: tuple[str, ...] = ()
    """All that its ``state`` can be. What has ``ready`` among them is seen by nobody before it is ready."""
    metadata: bool = False
    """Whether it takes free metadata."""
    created: bool = True
    """Whether each has a (:Creation), so that one which another client deletes is missed. Not where there are many."""
    built: bool = False
    """Whether it gathers its parts in state ``building``, and a writer that died leaves one for `odin gc`."""
    leased: bool = False
    """Whether a live process holds a lease of it while it is at work."""
    deletable: bool = False
    """Whether `delete` leaves a tombstone, which no reader shows."""
    computed: bool = False
    """Whether it is made again in place of being restored."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What is deleted with a thing ``t``: the label of a part ``p``, and the pattern from the thing to it."""
    uses: tuple[tuple[str, str], ...] = ()
    """Why a deletion is refused, beside links that hold it, and data set versions that contain it: what is said of the
    thing ``t``, and the pattern to what uses it ``u``."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "plural", self.plural or f"{self.word}s")

    @property
    def ready(self) -> bool:
        """Whether it is seen once its state is ``ready``."""
        return "ready" in self.states

    @property
    def link_patterns(self) -> dict[str, str]:
        """The links that are fields, with the pattern of each."""
        return {name: link.pattern for name, link in self.links.items() if not link.many}

    @property
    def to_images(self) -> tuple[Link, ...]:
        """The links to images."""
        return tuple(link for link in self.links.values() if link.to == "Image")

    def alive(self, variable: str = "n") -> str:
        """The condition in Cypher that a node of it is ready, and not deleted."""
        conditions = [undeleted(variable)] if self.deletable else []
        conditions += [f"{variable}.state = 'ready'"] if self.ready else []
        return " AND ".join(conditions) or "true"


def alive(label: str, variable: str = "n") -> str:
    """The condition in Cypher that a node of a label is ready and not deleted: ``WHERE {alive('Dataset', 'd')}``.

    Raises:
        UnknownNameError: There is no such kind.
    """
    if label not in KINDS:
        raise UnknownNameError.of("kind of thing", label, KINDS)
    return KINDS[label].alive(variable)


def undeleted(variable: str = "n") -> str:
    """The condition that a node is not deleted, of whatever kind and state: for what counts, updates and checks."""
    return f"{variable}.deleted IS NULL"


def key_of(label: str) -> str:
    """The property by which users name a thing of a kind, also of an added one."""
    return KINDS[label].key if label in KINDS else "id"


_BUILT: Final = ("building", "ready")
_STACKED: Final = ("building", "ready", "purging")
_STACK: Final = {"id": _TEXT, "size": _NUMBER, "dtype": _TEXT, "digest": _TEXT, "created_at": _TIME}
_OF_STACK: Final = (
    (
        "the root of images in the data set version",
        f"(t)<-[:HAS_ROOT]-(i:Image) MATCH {holding('u')} AND {undeleted('u')}",
    ),
)

KINDS: Final[Mapping[str, Kind]] = {
    kind.label: kind
    for kind in (
        Kind(
            label="Image",
            word="image",
            key="key",
            created=False,
            needed=("id", "key", "digest", "height", "width", "bands", "dtype"),
            metadata=True,
            deletable=True,
        ),
        Kind(
            label="Video",
            word="video",
            own={**_STACK, "fps": FieldType.FLOAT},
            needed=("id", "state"),
            states=_STACKED,
            metadata=True,
            deletable=True,
            uses=_OF_STACK,
        ),
        Kind(
            label="Volume",
            word="volume",
            own=_STACK,
            needed=("id", "state"),
            states=_STACKED,
            metadata=True,
            deletable=True,
            uses=_OF_STACK,
        ),
        Kind(
            label="Dataset",
            word="data set version",
            own={
                "id": _TEXT,
                "base": _TEXT,
                "version": _NUMBER,
                "size": _NUMBER,
                "digest": _TEXT,
                "label_field": _TEXT,
                "tags": _WORDS,
                "frozen_at": _TIME,
            },
            order="i.base, i.version",
            datasets="(i:Dataset) WITH i, i AS d, null AS u",
            needed=("id", "base", "version", "state"),
            states=_BUILT,
            metadata=True,
            built=True,
            leased=True,
            deletable=True,
            uses=(("used by the experiment", f"(t)<-[:USED]-(u:Experiment) WHERE {undeleted('u')}"),),
        ),
        Kind(
            label="Model",
            word="model",
            own={"id": _TEXT, "task": _TEXT, "parameters": _NUMBER, "digest": _TEXT, "created_at": _TIME},
            datasets="(i:Model)<-[:USED]-(:Experiment)-[u:USED]->(d:Dataset)",
            needed=("id", "definition", "digest"),
            metadata=True,
            deletable=True,
        ),
        Kind(
            label="Experiment",
            word="experiment",
            own={
                "id": _TEXT,
                "state": _TEXT,
                "seed": _NUMBER,
                "group": _TEXT,
                "tags": _WORDS,
                "commit": _TEXT,
                "started_at": _TIME,
                "finished_at": _TIME,
            },
            links={
                "model": Link("USED", "Model", lineage=True, whole=True, holds="trained by the experiment"),
                "informed_by": Link("INFORMED_BY", "Experiment", lineage=True),
            },
            order="i.started_at, i.id",
            datasets="(i:Experiment)-[u:USED]->(d:Dataset)",
            needed=("id", "state"),
            states=("running", "finished", "failed", "interrupted"),
            metadata=True,
            leased=True,
            deletable=True,
            parts={
                "Checkpoint": "(t)<-[:GENERATED_BY]-(p:Checkpoint)",
                "PredictionSet": "(t)<-[:GENERATED_BY]-(p:PredictionSet)",
                "ActivationSet": "(t)<-[:GENERATED_BY]-(:Checkpoint)<-[:DERIVED_FROM]-(p:ActivationSet)",
                "AttributionSet": "(t)<-[:GENERATED_BY]-(:Checkpoint)<-[:DERIVED_FROM]-(p:AttributionSet)",
            },
            uses=(
                (
                    "gone on from by the experiment",
                    f"(t)<-[:INFORMED_BY]-(u:Experiment) WHERE {undeleted('u')} AND NOT u.id IN $things",
                ),
                (
                    "the maker of the weights of the prediction set",
                    """(t)<-[:GENERATED_BY]-(:Checkpoint)<-[:DERIVED_FROM]-(u:PredictionSet)-[:GENERATED_BY]->(e:Experiment)
                       WHERE u.state = 'ready' AND NOT e.id IN $things""",
                ),
            ),
        ),
        Kind(
            label="Checkpoint",
            word="checkpoint",
            own={
                "id": _TEXT,
                "weights": _TEXT,
                "epoch": _NUMBER,
                "step": _NUMBER,
                "best": FieldType.BOOL,
                "created_at": _TIME,
            },
            links={
                "experiment": Link("GENERATED_BY", "Experiment", lineage=True, whole=True),
                "model": Link("SPECIALIZATION_OF", "Model", lineage=True, holds="run by the checkpoint"),
            },
            datasets="(i:Checkpoint)-[:GENERATED_BY]->(:Experiment)-[u:USED]->(d:Dataset)",
            needed=("id", "weights"),
            deletable=True,
            parts={
                "ActivationSet": "(t)<-[:DERIVED_FROM]-(p:ActivationSet)",
                "AttributionSet": "(t)<-[:DERIVED_FROM]-(p:AttributionSet)",
            },
        ),
        Kind(
            label="PredictionSet",
            word="prediction set",
            own={"id": _TEXT, "number": _NUMBER, "rows": _NUMBER, "task": _TEXT, "created_at": _TIME},
            links={
                "experiment": Link("GENERATED_BY", "Experiment", lineage=True, whole=True),
                "dataset": Link("OF", "Dataset", lineage=True, whole=True, holds="predicted by the prediction set"),
                "checkpoint": Link(
                    "DERIVED_FROM",
                    "Checkpoint",
                    lineage=True,
                    whole=True,
                    holds="what was run for the prediction set",
                ),
            },
            datasets="(i:PredictionSet)-[u:OF]->(d:Dataset)",
            needed=("id", "state"),
            states=_BUILT,
            metadata=True,
            built=True,
            leased=True,
            deletable=True,
        ),
        Kind(
            label="ActivationSet",
            word="activation set",
            own={"id": _TEXT, "layer": _TEXT, "pooling": _TEXT, "created_at": _TIME},
            links={"checkpoint": Link("DERIVED_FROM", "Checkpoint", lineage=True)},
            needed=("id", "state", "layer"),
            states=_BUILT,
            metadata=True,
            built=True,
            leased=True,
            deletable=True,
            computed=True,
        ),
        Kind(
            label="AttributionSet",
            word="attribution set",
            created=False,
            states=_BUILT,
            built=True,
            leased=True,
            deletable=True,
            computed=True,
        ),
        Kind(
            label="VectorIndex",
            word="index of vectors",
            plural="indexes of vectors",
            created=False,
            states=_BUILT,
            built=True,
            leased=True,
        ),
        Kind(
            label="VectorSet",
            word="set of vectors",
            plural="sets of vectors",
            needed=("id", "state", "length"),
            states=_BUILT,
            built=True,
            leased=True,
        ),
    )
}
"""By label."""


def labels_where(trait: str) -> tuple[str, ...]:
    """The labels of the kinds of which a trait is true: ``labels_where("deletable")``."""
    return tuple(label for label, kind in KINDS.items() if getattr(kind, trait))


DESCRIBED: Final = labels_where("metadata")
"""The kinds of nodes of ours that take metadata."""
