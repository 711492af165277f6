"""The kinds of things: what each has, how it comes and goes, and what uses it. Tables of labels derive from these.

A kind of node that is added here is described, queried, counted, deleted and checked as the others are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from odin_graph.errors import UnknownNameError
from odin_graph.schema.metadata.types import FieldType

_TEXT, _NUMBER, _TIME, _WORDS = FieldType.STRING, FieldType.INT, FieldType.DATETIME, FieldType.STRINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What the nodes of one label are to the rest: everything but how they are made."""

    label: str
    plural: str
    """In messages."""
    key: str = "id"
    """The property by which users name one of them."""
    own: Mapping[str, FieldType] = field(default_factory=lambda: MappingProxyType({}))
    """Properties of ours that can be asked for, beside free metadata; of those that queries read as things."""
    links: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Fields that are the id of another thing ``x``, by the pattern that leads to it from ``i``."""
    order: str = "i.created_at, i.id"
    """In which they come: the oldest first."""
    datasets: str = ""
    """The pattern from ``i`` to the data sets ``d`` whose members it is about, over an edge ``u``; empty if none."""
    needed: tuple[str, ...] = ("id",)
    """Properties that each has, unless it was deleted."""
    states: tuple[str, ...] = ()
    """All that its ``state`` can be. What has ``ready`` among them is seen by nobody before it is ready."""
    metadata: bool = False
    """Whether it takes free metadata."""
    built: bool = False
    """Whether it gathers its parts in state ``building``, and a writer that died leaves one for `odin gc`."""
    leased: bool = False
    """Whether a live process holds a lease of it while it is at work."""
    deletable: bool = False
    """Whether `delete` leaves a tombstone, which no reader shows."""
    computed: bool = False
    """Whether it is made again in place of being restored."""
    parts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """What is deleted with a thing ``t``: the label of a part ``p``, and the pattern from the thing to it."""
    uses: tuple[tuple[str, str], ...] = ()
    """Why a deletion is refused: what is said of the thing ``t``, and the pattern to what uses it ``u``."""

    @property
    def ready(self) -> bool:
        """Whether it is seen once its state is ``ready``."""
        return "ready" in self.states

    def alive(self, variable: str = "n") -> str:
        """The condition in Cypher that a node of it is ready, and not deleted."""
        conditions = [f"{variable}.deleted IS NULL"] if self.deletable else []
        conditions += [f"{variable}.state = 'ready'"] if self.ready else []
        return " AND ".join(conditions) or "true"


ThingKind: TypeAlias = Literal[
    "Dataset", "Volume", "Video", "Model", "Experiment", "Checkpoint", "PredictionSet", "ActivationSet"
]


def alive(label: str, variable: str = "n") -> str:
    """The condition in Cypher that a node of a label is ready and not deleted: ``WHERE {alive('Dataset', 'd')}``.

    Raises:
        UnknownNameError: There is no such kind.
    """
    if label not in KINDS:
        raise UnknownNameError.of("kind of thing", label, KINDS)
    return KINDS[label].alive(variable)


_BUILT: Final = ("building", "ready")
_STACKED: Final = ("building", "ready", "purging")
_STACK: Final = {"id": _TEXT, "size": _NUMBER, "dtype": _TEXT, "digest": _TEXT, "created_at": _TIME}
_OF_STACK: Final = (
    (
        "the root of images in the data set version",
        "(t)<-[:HAS_ROOT]-(:Image)<-[:HAD_MEMBER]-(u:Dataset) WHERE u.deleted IS NULL",
    ),
)

KINDS: Final[Mapping[str, Kind]] = {
    kind.label: kind
    for kind in (
        Kind(
            label="Image",
            plural="images",
            key="key",
            needed=("id", "key", "digest", "height", "width", "bands", "dtype"),
            metadata=True,
            deletable=True,
            uses=(("in the data set version", "(t)<-[:HAD_MEMBER]-(u:Dataset) WHERE u.deleted IS NULL"),),
        ),
        Kind(
            label="Video",
            plural="videos",
            own={**_STACK, "fps": FieldType.FLOAT},
            needed=("id", "state"),
            states=_STACKED,
            metadata=True,
            deletable=True,
            uses=_OF_STACK,
        ),
        Kind(
            label="Volume",
            plural="volumes",
            own=_STACK,
            needed=("id", "state"),
            states=_STACKED,
            metadata=True,
            deletable=True,
            uses=_OF_STACK,
        ),
        Kind(
            label="Dataset",
            plural="data set versions",
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
            uses=(
                ("used by the experiment", "(t)<-[:USED]-(u:Experiment) WHERE u.deleted IS NULL"),
                ("predicted by the prediction set", "(t)<-[:OF]-(u:PredictionSet) WHERE u.state = 'ready'"),
            ),
        ),
        Kind(
            label="Model",
            plural="models",
            own={"id": _TEXT, "task": _TEXT, "parameters": _NUMBER, "digest": _TEXT, "created_at": _TIME},
            datasets="(i:Model)<-[:USED]-(:Experiment)-[u:USED]->(d:Dataset)",
            needed=("id", "definition", "digest"),
            metadata=True,
            deletable=True,
            uses=(
                ("trained by the experiment", "(t)<-[:USED]-(u:Experiment) WHERE u.deleted IS NULL"),
                ("run by the checkpoint", "(t)<-[:SPECIALIZATION_OF]-(u:Checkpoint) WHERE u.deleted IS NULL"),
            ),
        ),
        Kind(
            label="Experiment",
            plural="experiments",
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
            links={"model": "(i)-[:USED]->(x:Model)", "informed_by": "(i)-[:INFORMED_BY]->(x:Experiment)"},
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
                    "(t)<-[:INFORMED_BY]-(u:Experiment) WHERE u.deleted IS NULL AND NOT u.id IN $things",
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
            plural="checkpoints",
            own={
                "id": _TEXT,
                "weights": _TEXT,
                "epoch": _NUMBER,
                "step": _NUMBER,
                "best": FieldType.BOOL,
                "created_at": _TIME,
            },
            links={"experiment": "(i)-[:GENERATED_BY]->(x:Experiment)", "model": "(i)-[:SPECIALIZATION_OF]->(x:Model)"},
            datasets="(i:Checkpoint)-[:GENERATED_BY]->(:Experiment)-[u:USED]->(d:Dataset)",
            needed=("id", "weights"),
            deletable=True,
            parts={
                "ActivationSet": "(t)<-[:DERIVED_FROM]-(p:ActivationSet)",
                "AttributionSet": "(t)<-[:DERIVED_FROM]-(p:AttributionSet)",
            },
            uses=(
                (
                    "what was run for the prediction set",
                    "(t)<-[:DERIVED_FROM]-(u:PredictionSet) WHERE u.state = 'ready'",
                ),
            ),
        ),
        Kind(
            label="PredictionSet",
            plural="prediction sets",
            own={"id": _TEXT, "number": _NUMBER, "rows": _NUMBER, "task": _TEXT, "created_at": _TIME},
            links={
                "experiment": "(i)-[:GENERATED_BY]->(x:Experiment)",
                "dataset": "(i)-[:OF]->(x:Dataset)",
                "checkpoint": "(i)-[:DERIVED_FROM]->(x:Checkpoint)",
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
            plural="activation sets",
            own={"id": _TEXT, "layer": _TEXT, "pooling": _TEXT, "created_at": _TIME},
            links={"checkpoint": "(i)-[:DERIVED_FROM]->(x:Checkpoint)"},
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
            plural="attribution sets",
            states=_BUILT,
            built=True,
            leased=True,
            deletable=True,
            computed=True,
        ),
        Kind(label="VectorIndex", plural="indexes of vectors", states=_BUILT, built=True, leased=True),
        Kind(
            label="VectorSet",
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
"""The kinds of nodes that take metadata."""
