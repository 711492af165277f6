"""The spaces in which images are near to each other: where their vectors come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from odin_graph.query.expressions.nodes import Part, UnitGroup
from odin_graph.query.expressions.spelling import spell_group


@dataclass(frozen=True, slots=True)
class LayerOf(Part):
    """A layer of an experiment's checkpoint, pooled to one vector an image."""

    experiment: str
    layer: str
    checkpoint: str | None = None
    """None is the experiment's chosen one: the best, else the last."""
    pooling: str = "mean"


@dataclass(frozen=True, slots=True)
class NamedVectors(Part):
    """Vectors that a user handed in, one an image."""

    vectors: str
    """Their name."""


Space: TypeAlias = LayerOf | NamedVectors | UnitGroup
"""The source of the vectors of images."""


def spell_space(by: Space) -> str:
    """The name of a space, for `explain()` and for messages."""
    return by.vectors if isinstance(by, NamedVectors) else space_text(by)


def space_text(by: Space) -> str:
    """A space as Python."""
    if isinstance(by, UnitGroup):
        return spell_group(by)
    return f'vectors["{by.vectors}"]' if isinstance(by, NamedVectors) else f"{by.experiment}:{by.layer}"


def metric_text(name: str) -> str:
    """A metric as an argument, if it is not the default."""
    return "" if name == "cosine" else f', metric="{name}"'
