"""The lineage a node is made with: edges, and the same on the node, by which `odin doctor` knows what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from odin_graph.graph import Transaction
from odin_graph.graph.writer import create_edges

LABELS: Final = ("Checkpoint", "Dataset", "Experiment", "Image", "Model", "PredictionSet")
"""The labels whose nodes say so; of images the slices of volumes and frames of videos."""


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """One edge from a node to what it came from."""

    edge: str
    label: str
    id: str
    role: str | None = None
    """Of a data set that an experiment used."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the text on the node.

        Raises:
            ValueError: It is none.
        """
        parts = json.loads(text)
        if not isinstance(parts, list) or len(parts) not in (3, 4) or not all(isinstance(part, str) for part in parts):
            raise ValueError(f"{text!r} is not an origin")
        return cls(*parts)

    def __str__(self) -> str:
        """The text on the node."""
        return json.dumps([self.edge, self.label, self.id, *([self.role] if self.role is not None else [])])


def texts(origins: Iterable[Origin]) -> list[str] | None:
    """The property of a node; None where it came from nothing."""
    return [str(origin) for origin in origins] or None


def draw(
    tx: Transaction,
    label: str,
    id: str,  # noqa: A002 - the users' word for it
    origins: Iterable[Origin],
    properties: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Create the edges of a node that is there; `properties` are those of edges, by their type."""
    for origin in origins:
        edge = {"start": id, "end": origin.id, "role": origin.role, **(properties or {}).get(origin.edge, {})}
        create_edges(tx, origin.edge, (label, "id"), (origin.label, "id"), [edge])
