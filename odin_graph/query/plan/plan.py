"""The logical plan of a query: a source, then steps. Frozen, equal by structure, and with a JSON form (`wire`).

A plan is linear: each step takes the images of the one before. `where` after `limit` filters what the limit left,
`where` before `nearest` means the nearest of those that pass.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, Self, TypeAlias, assert_never

from pydantic import Discriminator

from odin_graph.arguments import whole
from odin_graph.checked import check_fields
from odin_graph.errors import QueryError
from odin_graph.query.expressions.nodes import Node, Part, SortKey, UnitGroup, Value
from odin_graph.query.plan.vector_columns import VECTOR_COLUMNS, Settings

_MOST_ROWS: Final = 2**31 - 1
"""No answer has more; and ArcadeDB silently cuts what follows SKIP and LIMIT to 32 bits."""

ThingKind: TypeAlias = Literal[
    "Dataset", "Volume", "Video", "Model", "Experiment", "Checkpoint", "PredictionSet", "ActivationSet"
]


@dataclass(frozen=True, slots=True)
class AllImages(Part):
    """Every image that is not deleted, by key."""

    source: Literal["images"] = "images"


@dataclass(frozen=True, slots=True)
class Members(Part):
    """The members of a data set version, in the set's order."""

    dataset: str
    """With its version: ``mnist@1``."""
    source: Literal["dataset"] = "dataset"


@dataclass(frozen=True, slots=True)
class Keys(Part):
    """The images of these keys, in this order; a key twice is the image twice."""

    keys: tuple[int, ...]
    source: Literal["keys"] = "keys"


@dataclass(frozen=True, slots=True)
class Parameter(Part):
    """A parameter of a user's Cypher: a value, None, or a flat list of values."""

    name: str
    value: Value | tuple[Value, ...] | None


@dataclass(frozen=True, slots=True)
class Cypher(Part):
    """The images that a user's Cypher returns, each once, in the order of their first row."""

    text: str
    parameters: tuple[Parameter, ...] = ()
    source: Literal["cypher"] = "cypher"


@dataclass(frozen=True, slots=True)
class Registered(Part):
    """The images that a package's source finds, each once, in its order."""

    name: str
    """The registered name of the source."""
    parameters: tuple[Parameter, ...] = ()
    source: Literal["registered"] = "registered"


@dataclass(frozen=True, slots=True)
class Things(Part):
    """The things of another kind than images that are ready and not deleted, in the order that its kind says."""

    kind: ThingKind
    source: Literal["things"] = "things"


@dataclass(frozen=True, slots=True)
class Where(Part):
    """Keep the images of which the predicate is true: not those of which it is false or null."""

    predicate: Node
    step: Literal["where"] = "where"


@dataclass(frozen=True, slots=True)
class OrderBy(Part):
    """Order by the keys; ties by the image's key, missing values last."""

    keys: tuple[SortKey, ...]
    step: Literal["order-by"] = "order-by"


@dataclass(frozen=True, slots=True)
class Slice(Part):
    """A Python slice of the images; the stride is positive."""

    start: int | None = None
    stop: int | None = None
    stride: int = 1
    step: Literal["slice"] = "slice"

    def __post_init__(self) -> None:
        for name in ("start", "stop", "stride"):
            given = getattr(self, name)
            number = whole(given)
            if number is None and (given is not None or name == "stride"):
                raise QueryError(f"A slice of a query has whole numbers, as in query[10:20], not {given!r:.80}.")
            if number is not None:
                object.__setattr__(self, name, max(-_MOST_ROWS, min(number, _MOST_ROWS)))

    @classmethod
    def of(cls, item: object) -> Self:
        """The slice or position in the brackets of ``query[...]``.

        Raises:
            QueryError: It is neither.
        """
        if isinstance(item, slice):
            return cls(item.start, item.stop, 1 if item.step is None else item.step)
        position = whole(item)
        if position is None:
            raise QueryError(
                f"query[...] takes a position or a slice, as in query[0] and query[:10], not {item!r:.80}."
            )
        return cls(position, position + 1 or None)


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


@dataclass(frozen=True, slots=True)
class Example(Part):
    """An example for a search: a stored image, or a vector."""

    image: int | None = None
    """Its key, or:"""
    vector: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class Nearest(Part):
    """The k images nearest to examples, nearest first; a stored image is not among its own neighbors."""

    by: Space
    k: int
    like: tuple[Example, ...]
    """At least one."""
    unlike: tuple[Example, ...] = ()
    metric: str = "cosine"
    recall: float | None = None
    """The share of the k nearest that is enough; None is all of them, for certain."""
    weights: tuple[float, ...] | None = None
    """One a unit, none below 0, where it is by units."""
    step: Literal["nearest"] = "nearest"


@dataclass(frozen=True, slots=True)
class FromVectors(Part):
    """Add a column that is computed from the vectors of all images: clusters, near duplicates, outliers."""

    function: str
    """A registered one: ``clusters``."""
    by: Space
    name: str
    """The name of the column."""
    k: int | None = None
    within: float | None = None
    seed: int = 0
    metric: str = "cosine"
    step: Literal["from-vectors"] = "from-vectors"

    @property
    def settings(self) -> Settings:
        """The settings beside the vectors."""
        return Settings(self.k, self.within, self.seed, self.metric)


@dataclass(frozen=True, slots=True)
class Representative(Part):
    """At most k images that stand for all, chosen within each confused pair (truth, predicted)."""

    by: Space
    k: int
    seed: int = 0
    method: str = "facility-location"
    truth: Node | None = None
    predicted: Node | None = None
    """None, both, if the experiment has no predictions for these images: they are one group then."""
    step: Literal["representative"] = "representative"


@dataclass(frozen=True, slots=True)
class Column(Part):
    """A named column of the result."""

    name: str
    value: Node


@dataclass(frozen=True, slots=True)
class WithColumns(Part):
    """Add columns to the result."""

    columns: tuple[Column, ...]
    step: Literal["with-columns"] = "with-columns"


@dataclass(frozen=True, slots=True)
class Select(Part):
    """Give these columns and no others."""

    columns: tuple[Column, ...]
    step: Literal["select"] = "select"


@dataclass(frozen=True, slots=True)
class Distinct(Part):
    """Keep the first image of each combination of values; missing values are alike."""

    by: tuple[Node, ...]
    step: Literal["distinct"] = "distinct"


@dataclass(frozen=True, slots=True)
class Sample(Part):
    """So many of the images by chance, in the order they come in; which they are depends on their keys and the seed."""

    n: int
    seed: int = 0
    step: Literal["sample"] = "sample"

    def __post_init__(self) -> None:
        for name in ("n", "seed"):
            given = getattr(self, name)
            number = whole(given)
            if number is None or number < 0:
                raise QueryError(
                    f"sample() takes a number of images and a seed, both from 0 on, not {name}={given!r:.80}."
                )
            object.__setattr__(self, name, min(number, _MOST_ROWS) if name == "n" else number)


@dataclass(frozen=True, slots=True)
class Combine(Part):
    """With the images of another plan: those of both, one after the other, those in both, or those not in the other.

    Each image comes once.
    """

    how: Literal["union", "intersection", "difference"]
    other: Plan
    step: Literal["combine"] = "combine"


@dataclass(frozen=True, slots=True)
class Using(Part):
    """Keep the things whose data sets hold an image of another plan: experiments, models, data sets, predictions."""

    images: Plan
    role: str | None = None
    """Of the data set in the experiment; None is any."""
    step: Literal["using"] = "using"


@dataclass(frozen=True, slots=True)
class GroupBy(Part):
    """One row for each combination of values, ordered by them; from here on the rows are groups, no images."""

    by: tuple[Column, ...]
    aggregates: tuple[Column, ...]
    step: Literal["group-by"] = "group-by"


@dataclass(frozen=True, slots=True)
class OutputColumn(Part):
    """A column that a step of a package adds."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class RegisteredStep(Part):
    """A step that a package adds; see `odin_graph.query.plan.registered_step`."""

    name: str
    """The registered name."""
    parameters: tuple[Parameter, ...] = ()
    needs: tuple[Column, ...] = ()
    """What it reads of each image: bound, and computed again whenever the plan is checked."""
    output: tuple[OutputColumn, ...] = ()
    """The columns that it adds, as `needs`."""
    step: Literal["registered"] = "registered"


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


def added_by(step: Step) -> tuple[tuple[str, Node | str], ...]:
    """The columns that a step adds to the images: the expression of each, or its type."""
    match step:
        case WithColumns(columns) | Select(columns):
            return tuple((column.name, column.value) for column in columns)
        case Nearest():
            return (("distance", "float"),)
        case FromVectors(function, name=name):
            return ((name, VECTOR_COLUMNS.get(function).type),)
        case Representative(truth=truth, predicted=predicted):
            pair = () if truth is None or predicted is None else (("pair_truth", truth), ("pair_predicted", predicted))
            return (("stands_for", "int"), *pair)
        case RegisteredStep():
            return tuple((column.name, column.type) for column in step.output)
    return ()


def nodes_of(step: Step) -> tuple[Node, ...]:
    """The expressions of a step, without those of another plan in it."""
    match step:
        case Where(predicate):
            return (predicate,)
        case OrderBy(keys):
            return tuple(key.by for key in keys)
        case WithColumns(columns) | Select(columns) | RegisteredStep(needs=columns):
            return tuple(column.value for column in columns)
        case GroupBy(by, aggregates):
            return tuple(column.value for column in (*by, *aggregates))
        case Distinct(by):
            return by
        case Representative():
            return tuple(node for node in (step.truth, step.predicted) if node is not None)
        case Slice() | Nearest() | FromVectors() | Sample() | Combine() | Using():
            return ()
    assert_never(step)
