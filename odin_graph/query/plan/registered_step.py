"""Steps that packages add to queries: ``db.images().thin(0.5)``. Its class contains everything about such a step."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc

from odin_graph.columns.fields import arrow_type
from odin_graph.errors import DataError, QueryError, UnknownNameError
from odin_graph.query.expressions.expressions import Expr, as_node
from odin_graph.query.expressions.nodes import Node, Part
from odin_graph.query.expressions.selectivity import Known
from odin_graph.query.plan.base_step import RowStep
from odin_graph.query.plan.columns import Column, bind_columns, check_name
from odin_graph.query.plan.parameters import Parameter
from odin_graph.registry import PluginError, Registry
from odin_graph.schema.metadata import FieldType

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.operators.operator import Apply


@dataclass(frozen=True, slots=True)
class QueryStep(ABC):
    """A step of a query of images. It is a frozen dataclass, whose fields are its parameters; `STEPS` has the class.

    Parameters travel with the query: they are numbers, texts, truth values, dates, None, or tuples of such. What is
    wrong with them ``__post_init__`` says, as a `QueryError`.
    """

    no_cypher: ClassVar[str] = "it is calculated beside the graph"
    """Why it has no form in Cypher."""

    @abstractmethod
    def run(self, images: pa.Table) -> pa.Table:
        """The images that it leaves, in their new order.

        Args:
            images: ``key`` (int64), the columns of earlier steps, and those of `needs`.

        Returns:
            ``key``, of images that came in, and the columns of `output`. Earlier columns may be left out: they stay.
        """

    def needs(self) -> Mapping[str, Expr]:
        """What it reads of each image beside the columns of earlier steps, by name; nothing by default."""
        return {}

    def output(self) -> Mapping[str, str]:
        """The columns that it adds, with their types: ``{"score": "float"}``; none by default."""
        return {}

    def estimate(self, rows: float) -> float:
        """How many images come out of so many; by default as many."""
        return rows


STEPS: Final[Registry[type[QueryStep]]] = Registry("query step", group="odin_graph.steps")


@dataclass(frozen=True, slots=True)
class OutputColumn(Part):
    """A column that a step of a package adds."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class RegisteredStep(RowStep):
    """A step that a package adds; see `odin_graph.query.plan.registered_step`."""

    name: str
    """The registered name."""
    parameters: tuple[Parameter, ...] = ()
    needs: tuple[Column, ...] = ()
    """What it reads of each image: bound, and computed again whenever the plan is checked."""
    output: tuple[OutputColumn, ...] = ()
    """The columns that it adds, as `needs`."""
    step: Literal["registered"] = "registered"

    on_things: ClassVar[bool] = False
    engine: ClassVar[str] = "plug-in"
    why: ClassVar[str] = "a registered step says which images it leaves, and what it adds to them"

    @property
    def word(self) -> str:
        """See `BaseStep`."""
        return method(self.name)

    @property
    def no_cypher(self) -> str:
        """See `BaseStep`."""
        return f"{self.word}() has no form in Cypher: {built(self).no_cypher}."

    def bind(self, scope: Scope) -> Self:
        """See `BaseStep`."""
        query_step = built(self)
        output = query_step.output()
        needs = tuple(Column(name, as_node(value)) for name, value in query_step.needs().items())
        for name, type_ in output.items():
            check_name(name)
            if name in scope.added:
                raise QueryError(f"The result has a column {name!r} already, and {self.word}() adds one of that name.")
            if type_ not in tuple(FieldType):
                raise UnknownNameError.of(
                    f"type of a column ({name!r} of the query step {self.name!r})", type_, FieldType
                )
        if taken := [column.name for column in needs if column.name == "key" or column.name in scope.added]:
            raise QueryError(
                f"{self.word}() reads what it calls {taken[0]!r}, and the images have such a column already."
            )
        bound = bind_columns(scope, needs, self.word) if needs else ()
        return replace(self, needs=bound, output=tuple(OutputColumn(*column) for column in output.items()))

    def nodes(self) -> tuple[Node, ...]:
        """See `BaseStep`."""
        return tuple(column.value for column in self.needs)

    def adds(self) -> tuple[tuple[str, Node | str], ...]:
        """See `BaseStep`."""
        return tuple((column.name, column.type) for column in self.output)

    def estimate(self, rows: float, known: Known) -> float:  # noqa: ARG002 - a package's step estimates by rows
        """See `BaseStep`."""
        return built(self).estimate(rows)

    def spell(self) -> str:
        """See `BaseStep`."""
        return f".{self.word}({', '.join(parameter.spell() for parameter in self.parameters)})"

    def does(self) -> str:
        """See `RowStep`."""
        return f"the step {self.name}"

    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        """See `RowStep`."""
        images = table
        for column in self.needs:
            images = images.append_column(column.name, over.values(column.value, table))
        types = {column.name: arrow_type(FieldType(column.type)) for column in self.output}
        result = _applied(self, images, types)
        rows = pc.index_in(result.column("key"), table.column("key").combine_chunks())
        if rows.null_count:
            raise QueryError(f"The query step {self.name!r} gave an image that did not come in: it leaves images out.")
        kept = table.take(rows)
        for name in types:
            kept = kept.append_column(name, result.column(name))
        return kept


def built(step: RegisteredStep) -> QueryStep:
    """The step of a package, with its parameters.

    Raises:
        UnknownNameError: There is no such step, or no such parameter of it.
        PluginError: It does not derive from `QueryStep`.
        QueryError: A parameter is missing, or its value is refused.
    """
    kind = STEPS.get(step.name)
    if not (isinstance(kind, type) and issubclass(kind, QueryStep)):
        raise PluginError(
            f"The query step {step.name!r} is {kind!r:.80}: derive it from {QueryStep.__module__}.QueryStep."
        )
    known = [field.name for field in fields(kind) if field.init]
    for parameter in step.parameters:
        if parameter.name not in known:
            raise UnknownNameError.of(f"parameter of the query step {step.name!r}:", parameter.name, known)
    try:
        return kind(**arguments(step))
    except TypeError as error:
        raise QueryError(f"{method(step.name)}() takes {', '.join(known) or 'no parameters'}: {error}.") from error


def arguments(step: RegisteredStep) -> dict[str, Any]:
    """The parameters of a step as Python values."""
    return {
        parameter.name: tuple(item.python() for item in parameter.value)
        if isinstance(parameter.value, tuple)
        else None if parameter.value is None else parameter.value.python()
        for parameter in step.parameters
    }  # fmt: skip


def named(name: str, given: tuple[Any, ...], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a step by name, those that were given by position too."""
    kind = STEPS.get(name)
    known = [field.name for field in fields(kind) if field.init]  # its class derives from a dataclass
    if len(given) > len(known) or (twice := set(known[: len(given)]) & parameters.keys()):
        more = f"{len(given)} were given" if len(given) > len(known) else f"{', '.join(sorted(twice))} came twice"
        raise QueryError(f"{method(name)}() takes {', '.join(known) or 'no parameters'}: {more}.")
    return {**dict(zip(known, given, strict=False)), **parameters}


def method(name: str) -> str:
    """The method of a query that a step is: ``keep-every`` is ``query.keep_every()``."""
    return re.sub("-", "_", name)


def _applied(step: RegisteredStep, given: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """The result of a step for images, checked: ``key``, and its columns of their types.

    Raises:
        QueryError: The step gives something else than it says.
    """
    result = built(step).run(given)
    if not isinstance(result, pa.Table):
        raise QueryError(f"The query step {step.name!r} gave {type(result).__name__}: its run() gives a pyarrow.Table.")
    if missing := [name for name in ("key", *types) if name not in result.column_names]:
        raise QueryError(
            f"The query step {step.name!r} gave no column {missing[0]!r}: its run() gives 'key' and what output() says."
        )
    try:
        columns = {name: result.column(name).cast(type_) for name, type_ in {"key": pa.int64(), **types}.items()}
    except pa.ArrowInvalid as error:
        raise DataError(f"The query step {step.name!r} gave other types than it says: {error}.") from error
    return pa.table(columns)
