"""The edge registry: every relationship there is, in PROV's words. Arrows point from effect to cause."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from odin_graph.errors import UnknownNameError


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One kind of relationship between nodes of any of the start labels and nodes of any of the end labels."""

    type: str
    start: tuple[str, ...]
    end: tuple[str, ...]
    properties: tuple[str, ...] = ()
    lineage: bool = True
    """Whether the start depends on the end, so that a walk along the arrows finds every cause."""
    meaning: str

    def __str__(self) -> str:
        """As Cypher draws it: ``(:Prediction)-[:OF]->(:Image)``."""
        return f"{_drawn(self.start)}-[:{self.type}{_braced(self.properties)}]->{_drawn(self.end)}"


EDGES: Final = (
    Edge(
        type="HAD_MEMBER",
        start=("Dataset",),
        end=("Image",),
        properties=("label",),
        meaning="The data set version contains the image, with the frozen label: of versions of up to 100,000 members, "
        "for browsing. Ask the chunks, which every version has.",
    ),
    Edge(
        type="REVISION_OF",
        start=("Dataset",),
        end=("Dataset",),
        meaning="The next version of a data set.",
    ),
    Edge(
        type="REVISION_OF",
        start=("Model",),
        end=("Model",),
        meaning="The next version of a model: another definition, preprocessing or task.",
    ),
    Edge(
        type="REVISION_OF",
        start=("Image",),
        end=("Image",),
        meaning="New pixels are a new image, and this is the one they replace.",
    ),
    Edge(
        type="DERIVED_FROM",
        start=("Dataset",),
        end=("Dataset",),
        properties=("query",),
        meaning="A subset, and the query that made it, in its JSON form.",
    ),
    Edge(
        type="DERIVED_FROM",
        start=("Image",),
        end=("Image", "Video", "Volume"),
        properties=("op", "params", "code"),
        meaning="A crop, rotation, frame or slice, and the registered operation that made it. A crop is `:Crop` too.",
    ),
    Edge(
        type="DERIVED_FROM",
        start=("PredictionSet", "AttributionSet"),
        end=("Checkpoint",),
        meaning="The weights that were run; none where predictions were imported.",
    ),
    Edge(
        type="DERIVED_FROM",
        start=("ActivationSet",),
        end=("Checkpoint",),
        properties=("layer",),
        meaning="The weights that were run; several checkpoints where all that feeds the layer is the same.",
    ),
    Edge(
        type="DERIVED_FROM",
        start=("VectorIndex",),
        end=("ActivationSet", "VectorSet"),
        meaning="The embeddings it was built over.",
    ),
    Edge(
        type="HAS_ROOT",
        start=("Image",),
        end=("Image", "Video", "Volume"),
        lineage=False,
        meaning="The first thing it, or what it is a revision of, was derived from: a shortcut kept at ingest, so that "
        "a leak check is a join.",
    ),
    Edge(
        type="USED",
        start=("Experiment",),
        end=("Dataset",),
        properties=("role",),
        meaning="What went in. Roles: train, validation, test, or the user's own word.",
    ),
    Edge(
        type="USED",
        start=("Experiment",),
        end=("Model",),
        meaning="The definition that was trained.",
    ),
    Edge(
        type="INFORMED_BY",
        start=("Experiment",),
        end=("Experiment",),
        meaning="It was fine-tuned or revised from.",
    ),
    Edge(
        type="GENERATED_BY",
        start=("Checkpoint", "PredictionSet"),
        end=("Experiment",),
        meaning="The experiment that made it.",
    ),
    Edge(
        type="SPECIALIZATION_OF",
        start=("Checkpoint",),
        end=("Model",),
        meaning="The weights are of that definition.",
    ),
    Edge(
        type="OF",
        start=("PredictionSet",),
        end=("Dataset",),
        meaning="The data set version that was predicted on.",
    ),
    Edge(
        type="OF",
        start=("Prediction",),
        end=("Image",),
        meaning="The image that was predicted; all of them where the model takes several as one input.",
    ),
    Edge(
        type="OF",
        start=("LabelChange",),
        end=("Image",),
        meaning="The image whose label was corrected.",
    ),
    Edge(
        type="PART_OF",
        start=("Prediction",),
        end=("PredictionSet",),
        meaning="The prediction set that contains it.",
    ),
    Edge(
        type="PART_OF",
        start=("MemberChunk",),
        end=("Dataset",),
        meaning="The data set version. The chunk lists the keys of its members in one range, and their frozen labels; "
        "the order is in its arrays.",
    ),
    Edge(
        type="INVALIDATED_BY",
        start=(
            "Image",
            "Video",
            "Volume",
            "Dataset",
            "Model",
            "Experiment",
            "Checkpoint",
            "PredictionSet",
            "ActivationSet",
            "AttributionSet",
        ),
        end=("Deletion",),
        properties=("was",),
        lineage=False,
        meaning="Its tombstone: deleting keeps the lineage answerable.",
    ),
)

TYPES: Final = tuple(dict.fromkeys(known.type for known in EDGES))
"""The relationship types."""

LINEAGE: Final = tuple(dict.fromkeys(known.type for known in EDGES if known.lineage))
"""The types to follow from an effect to its causes: ``"|".join(LINEAGE)`` in a variable-length pattern."""

_IS_ALSO: Final = {"Crop": "Image"}


def edge(type: str, start: str | None = None, end: str | None = None) -> Edge:  # noqa: A002 - Cypher's word for it
    """The edge of that type; where the type has several, the one between these labels.

    Raises:
        UnknownNameError: There is no such edge, or more than one; the message lists those there are.
    """
    candidates = [known for known in EDGES if known.type == type]
    if not candidates:
        raise UnknownNameError.of("edge type", type, TYPES)
    found = [known for known in candidates if _holds(start, known.start) and _holds(end, known.end)]
    if len(found) != 1:
        asked = f"(:{start or ''})-[:{type}]->(:{end or ''})"
        raise UnknownNameError(
            f"{'There is no edge' if not found else 'More than one edge is'} {asked}. "
            f"There is: {', '.join(map(str, found or candidates))}."
        )
    return found[0]


def table() -> str:
    """The registry as a Markdown table, which docs/schema.md shows."""
    head = "| edge | lineage | meaning |\n|---|---|---|\n"
    return head + "".join(f"| `{e}` | {'yes' if e.lineage else 'no'} | {e.meaning} |\n" for e in EDGES)


def _holds(label: str | None, labels: tuple[str, ...]) -> bool:
    return label is None or _IS_ALSO.get(label, label) in labels


def _drawn(labels: Iterable[str]) -> str:
    return f"(:{' or :'.join(labels)})"


def _braced(properties: tuple[str, ...]) -> str:
    return f" {{{', '.join(properties)}}}" if properties else ""
