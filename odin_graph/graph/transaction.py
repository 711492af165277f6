"""An open transaction, as the floors above work with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import neo4j
from neo4j.exceptions import TransientError

from odin_graph.errors import QueryError
from odin_graph.graph import statements
from odin_graph.graph.journal import ANY_IMAGE, Touched, may_touch
from odin_graph.graph.records import Records
from odin_graph.graph.stopping import Single
from odin_graph.graph.values import plain, sending


class Transaction:
    """An open transaction. All of it happens, or nothing."""

    def __init__(self, open_: neo4j.Transaction | Single) -> None:
        self._open = open_
        self._required: list[Callable[[], bool]] = []
        self.touched: list[Touched] = []
        """What its statements changed of images."""

    def require(self, check: Callable[[], bool]) -> None:
        """Have something checked just before the commit; if it fails, the transaction is run again."""
        self._required.append(check)

    def check(self) -> None:
        """Check what was required.

        Raises:
            TransientError: Of the driver, as where an engine says that another transaction was faster.
        """
        if not all(check() for check in self._required):
            raise TransientError("another transaction changed what this one was made from")

    def run(
        self, cypher: str, params: Mapping[str, Any] | None = None, touched: Touched | None = None
    ) -> list[dict[str, Any]]:
        """Run a statement and return its rows.

        Args:
            cypher: The statement.
            params: Its values.
            touched: What it changes of images, so that their columns need not be read anew. Where a statement that
                writes names images, or any node, and does not say so, they are.
        """
        if touched is not None:
            self.touched.append(touched)
        elif may_touch(cypher):
            self.touched.append(ANY_IMAGE)
        return list(self.records(cypher, params or {}))

    def records(self, cypher: str, params: Mapping[str, Any], most: int | None = None) -> Records:
        """Run a statement and return its rows with the names of the columns, which are known without a row too.

        Raises:
            QueryError: There are more rows than may be.
        """
        with sending():
            result = self._open.run(cypher, dict(params))
        names = result.keys()
        rows = [row_of(names, record) for record in (result if most is None else result.fetch(most + 1))]
        if most is not None and len(rows) > most:
            raise QueryError(f"The statement gives more than {most:,} rows: end it with a LIMIT.")
        return Records(names, rows)

    def explain(self, cypher: str) -> statements.Explained:
        """The engine's plan for a statement, which does not run."""
        with sending():
            result = self._open.run(statements.EXPLAIN + cypher)
        summary = result.consume()
        return statements.Explained(summary.query_type, summary.plan)


def row_of(names: Sequence[str], record: neo4j.Record) -> dict[str, Any]:
    """The values of a record by the names of its columns."""
    return dict(zip(names, map(plain, record.values()), strict=True))
