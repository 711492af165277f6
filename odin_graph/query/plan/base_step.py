"""What every step of a plan says of itself: how it is bound, what it adds, how it runs, and its text."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Self

import pyarrow as pa

from odin_graph.errors import QueryError
from odin_graph.query.expressions.nodes import Node, Part
from odin_graph.query.expressions.selectivity import Known

if TYPE_CHECKING:
    from odin_graph.query.names.scope import Scope
    from odin_graph.query.operators.operator import Apply
    from odin_graph.query.plan.cypher_text import CypherText
    from odin_graph.query.plan.plan import Plan


class BaseStep(Part):
    """A step of a plan: a frozen dataclass, whose fields are its JSON form."""

    __slots__ = ()
    step: str
    """Its name in JSON; every step has its own."""
    on_groups: ClassVar[bool] = False
    """Whether it may come after ``group_by``."""
    on_things: ClassVar[bool] = True
    """Whether the rows may be other things than images."""
    row_by_row: ClassVar[bool] = False
    """Whether it keeps every row, and what it adds to one does not depend on the others."""

    @property
    def word(self) -> str:
        """The method of a query that makes it."""
        return self.step.replace("-", "_")

    @property
    def no_cypher(self) -> str:
        """Why it has no form in Cypher, if it has none."""
        return f"{self.word}() has no form in Cypher that keeps the order."

    def cypher(self, to: CypherText) -> CypherText:  # noqa: ARG002 - for those that have such a form
        """Add its lines to the Cypher of the steps before it; gives what the next step adds to.

        Raises:
            QueryError: It has no form in Cypher.
        """
        raise QueryError(f"{self.no_cypher} Run the query.")

    def bind(self, scope: Scope) -> Self:  # noqa: ARG002 - for those that read names
        """The step, checked, its names bound to what they read. The plan in it, if it has one, is bound before.

        Raises:
            QueryError: A name, a type or a number does not fit.
        """
        return self

    @property
    def inner(self) -> Plan | None:
        """The other plan that it takes rows or images from, if there is one."""
        return None

    def with_inner(self, plan: Plan) -> Self:
        """The same step with another such plan."""
        raise NotImplementedError

    def nodes(self) -> tuple[Node, ...]:
        """Its expressions, without those of another plan in it."""
        return ()

    def adds(self) -> tuple[tuple[str, Node | str], ...]:
        """The columns that it adds: the expression of each, or its type."""
        return ()

    def columns_after(self, scope: Scope) -> dict[str, str]:
        """The columns that there are after it, with their types."""
        added = {name: scope.value_type(value) for name, value in self.adds()}
        return scope.added | added if added else scope.added

    def estimate(self, rows: float, known: Known) -> float:  # noqa: ARG002 - for those that leave rows out
        """How many of so many rows it leaves."""
        return rows

    @abstractmethod
    def spell(self) -> str:
        """The step as Python code."""


class RowStep(BaseStep):
    """A step that runs over the columns of the rows before it."""

    __slots__ = ()
    engine: ClassVar[str] = "columns"
    why: ClassVar[str] = "metadata, labels and predictions are Arrow columns by key"

    @abstractmethod
    def does(self) -> str:
        """What it does, for `explain()`."""

    def reason(self) -> str:
        """Why it runs on its engine, for `explain()`."""
        return self.why

    @abstractmethod
    def run(self, table: pa.Table, over: Apply) -> pa.Table:
        """The rows after it.

        Args:
            table: The rows before it.
            over: Reads what the step needs beside them.
        """


def check_k(step: str, k: int) -> None:
    """Refuse what is no number of images."""
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise QueryError(f"{step}() takes how many images it gives, at least 1, not {k!r:.80}.")
