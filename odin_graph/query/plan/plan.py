"""The logical plan of a query: a source, then steps. Frozen, equal by structure, and with a JSON form (`wire`).

A plan is linear: each step takes the images of the one before. `where` after `limit` filters what the limit left,
`where` before `nearest` means the nearest of those that pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Discriminator

from odin_graph.checked import check_fields
from odin_graph.query.expressions.nodes import Field, Part, fields
from odin_graph.query.expressions.selectivity import Known
from odin_graph.query.expressions.spelling import first_line
from odin_graph.query.plan.base_step import BaseStep
from odin_graph.query.plan.parameters import Parameter
from odin_graph.query.plan.registered_step import RegisteredStep
from odin_graph.query.plan.steps.distinct import Distinct
from odin_graph.query.plan.steps.from_vectors import FromVectors
from odin_graph.query.plan.steps.group_by import GroupBy
from odin_graph.query.plan.steps.nearest import Nearest
from odin_graph.query.plan.steps.order_by import OrderBy
from odin_graph.query.plan.steps.representative import Representative
from odin_graph.query.plan.steps.sample import Sample
from odin_graph.query.plan.steps.select import Select
from odin_graph.query.plan.steps.slice import Slice
from odin_graph.query.plan.steps.where import Where
from odin_graph.query.plan.steps.with_columns import WithColumns
from odin_graph.schema.kinds import ThingKind

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope


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

    kind: ThingKind
    source: Literal["things"] = "things"

    def spell(self) -> str:
        """The source as Python."""
        return f"{self.kind}s()"


@dataclass(frozen=True, slots=True)
class Combine(BaseStep):
    """With the images of another plan: those of both, one after the other, those in both, or those not in the other.

    Each image comes once.
    """

    how: Literal["union", "intersection", "difference"]
    other: Plan
    step: Literal["combine"] = "combine"

    @property
    def word(self) -> str:
        """See `BaseStep`."""
        return "union, intersection or difference"

    @property
    def no_cypher(self) -> str:
        """See `BaseStep`."""
        return "A set operation has no form in Cypher that keeps the order."

    def columns_after(self, scope: Scope) -> dict[str, str]:
        """See `BaseStep`."""
        if self.how != "union":
            return scope.added
        theirs = {name: type_ for name, type_ in scope.of(self.other).added.items() if type_ != "null"}
        return scope.added | theirs if theirs else scope.added

    def estimate(self, rows: float, known: Known) -> float:  # noqa: ARG002 - needs none
        """See `BaseStep`; without those of the other plan."""
        return rows if self.how == "union" else rows / 2

    def spell(self) -> str:
        """See `BaseStep`."""
        return f".{self.how}({self.other.spell()})"


@dataclass(frozen=True, slots=True)
class Using(BaseStep):
    """Keep the things whose data sets hold an image of another plan: experiments, models, data sets, predictions."""

    images: Plan
    role: str | None = None
    """Of the data set in the experiment; None is any."""
    step: Literal["using"] = "using"

    def estimate(self, rows: float, known: Known) -> float:  # noqa: ARG002 - needs none
        """See `BaseStep`."""
        return rows / 2

    def spell(self) -> str:
        """See `BaseStep`."""
        return f".using({self.images.spell()}{'' if self.role is None else f', role={self.role!r}'})"


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
        check_fields(step, getattr(step, "function", step.step).replace("-", "_"))
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
