"""The lineage that a node is made with: edges, and a copy on the node, so that `odin doctor` finds missing edges."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from odin_graph.graph import Transaction
from odin_graph.graph.writer import create_edges

LABELS: Final = ("Checkpoint", "Dataset", "Experiment", "Image", "Model", "PredictionSet")
"""The labels of nodes with such a copy; of images only slices and frames have one."""


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """One edge from a node to what it came from."""

    edge: str
    label: str
    id: str
    role: str | None = None
    """The role of a data set that an experiment used."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the text on the node.

        Raises:
            ValueError: The text is not an origin.
        """
        parts = json.loads(text)
        if not isinstance(parts, list) or len(parts) not in (3, 4) or not all(isinstance(part, str) for part in parts):
            raise ValueError(f"{text!r} is not an origin")
        return cls(*parts)

    def __str__(self) -> str:
        """The text on the node."""
        return json.dumps([self.edge, self.label, self.id, *([self.role] if self.role is not None else [])])


def texts(origins: Iterable[Origin]) -> list[str] | None:
    """The property of the node; None if there are no origins."""
    return [str(origin) for origin in origins] or None


def draw(
    tx: Transaction,
    label: str,
    id: str,  # noqa: A002 - the users' word for it
    origins: Iterable[Origin],
    properties: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Create the edges of an existing node, with further properties by the type of the edge."""
    for origin in origins:
        edge = {"start": id, "end": origin.id, "role": origin.role, **(properties or {}).get(origin.edge, {})}
        create_edges(tx, origin.edge, (label, "id"), (origin.label, "id"), [edge])
