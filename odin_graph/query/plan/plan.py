"""The logical plan of a query: a source, then steps. Frozen, equal by structure, and with a JSON form (`wire`).

A plan is linear: each step takes the images of the one before. `where` after `limit` filters what the limit left,
`where` before `nearest` means the nearest of those that pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Literal, TypeAlias

from pydantic import Discriminator

from odin_graph.checked import check_fields
from odin_graph.query.expressions.nodes import Field, Part, fields
from odin_graph.query.expressions.spelling import first_line
from odin_graph.query.plan.parameters import Parameter
from odin_graph.query.plan.registered_step import RegisteredStep
from odin_graph.query.plan.steps.combine import Combine
from odin_graph.query.plan.steps.distinct import Distinct
from odin_graph.query.plan.steps.from_vectors import FromVectors
from odin_graph.query.plan.steps.group_by import GroupBy
from odin_graph.query.plan.steps.nearest import Nearest
from odin_graph.query.plan.steps.order_by import OrderBy
from odin_graph.query.plan.steps.representative import Representative
from odin_graph.query.plan.steps.sample import Sample
from odin_graph.query.plan.steps.select import Select
from odin_graph.query.plan.steps.slice import Slice
from odin_graph.query.plan.steps.using import Using
from odin_graph.query.plan.steps.where import Where
from odin_graph.query.plan.steps.with_columns import WithColumns
from odin_graph.schema.added_kinds import name_of
from odin_graph.schema.kinds import KINDS


@dataclass(frozen=True, slots=True)
class AllImages(Part):
    """Every image that is not deleted, by key."""

    source: Literal["images"] = "images"

    def spell(self) -> str:
        """The source as Python."""
        return "images()"


@dataclass(frozen=True, slots=True)
class Members(Part):
    """The members of a data set version, in the set's order."""

    dataset: str
    """With its version: ``mnist@1``."""
    source: Literal["dataset"] = "dataset"

    def spell(self) -> str:
        """The source as Python."""
        return f'images("{self.dataset}")'


@dataclass(frozen=True, slots=True)
class Keys(Part):
    """The images of these keys, in this order; a key twice is the image twice."""

    keys: tuple[int, ...]
    source: Literal["keys"] = "keys"

    def spell(self) -> str:
        """The source as Python."""
        return f"images(<{len(self.keys):,} images>)"


@dataclass(frozen=True, slots=True)
class Cypher(Part):
    """The images that a user's Cypher returns, each once, in the order of their first row."""

    text: str
    parameters: tuple[Parameter, ...] = ()
    source: Literal["cypher"] = "cypher"

    def spell(self) -> str:
        """The source as Python."""
        return f'images(cypher="{first_line(self.text)}")'


@dataclass(frozen=True, slots=True)
class Registered(Part):
    """The images that a package's source finds, each once, in its order."""

    name: str
    """The registered name of the source."""
    parameters: tuple[Parameter, ...] = ()
    source: Literal["registered"] = "registered"

    def spell(self) -> str:
        """The source as Python."""
        given = "".join(f", {parameter.spell()}" for parameter in self.parameters)
        return f'images(source("{self.name}"{given}))'


@dataclass(frozen=True, slots=True)
class Things(Part):
    """The things of another kind than images that are ready and not deleted, in the order that its kind says."""

    kind: str
    """A label: of our kinds, or of one that a package adds."""
    source: Literal["things"] = "things"

    def spell(self) -> str:
        """The source as Python."""
        return f"{self.kind}s()" if self.kind in KINDS else f"things({name_of(self.kind)!r})()"


Source: TypeAlias = Annotated[AllImages | Members | Keys | Cypher | Registered | Things, Discriminator("source")]
Step: TypeAlias = Annotated[
    Where
    | OrderBy
    | Slice
    | Nearest
    | FromVectors
    | Representative
    | WithColumns
    | Select
    | Distinct
    | Sample
    | Combine
    | Using
    | GroupBy
    | RegisteredStep,
    Discriminator("step"),
]


@dataclass(frozen=True, slots=True)
class Plan(Part):
    """A source and the steps over it."""

    source: Source
    steps: tuple[Step, ...] = ()

    def then(self, step: Step) -> Plan:
        """The plan with one step more.

        Raises:
            QueryError: A part of the step is not of its type.
        """
        check_fields(step, getattr(step, "function", step.step).replace("-", "_"), {"Plan": Plan})
        return replace(self, steps=(*self.steps, step))

    @property
    def dataset(self) -> str | None:
        """The data set version whose labels and predictions are meant, if it is one."""
        if not isinstance(self.source, Members):
            return None
        joined = (step.other.dataset for step in self.steps if isinstance(step, Combine) and step.how == "union")
        return self.source.dataset if all(other == self.source.dataset for other in joined) else None

    @property
    def kind(self) -> str:
        """The label of what the rows are, before they are grouped."""
        return self.source.kind if isinstance(self.source, Things) else "Image"

    @property
    def grouped(self) -> bool:
        """Whether the rows are groups, no images."""
        return any(isinstance(step, GroupBy) for step in self.steps)

    def fields(self) -> Iterator[Field]:
        """Every field that it reads, with repetitions."""
        for step in self.steps:
            if isinstance(step, Combine):
                yield from step.other.fields()
            for node in step.nodes():
                yield from fields(node)

    def spell(self) -> str:
        """The plan as Python: ``images("mnist-test@1").where(F("age") > 60)[:10]``."""
        return self.source.spell() + "".join(step.spell() for step in self.steps)
