"""The result of `db.cypher`: rows, and their conversion to Arrow and pandas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, overload

from neo4j.graph import Node, Path, Relationship

from odin_graph.errors import QueryError
from odin_graph.frames import frame_of
from odin_graph.graph.values import plain

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


class Records(Sequence[dict[str, Any]]):
    """The rows of a statement, each a dict by column name; graph objects stay the driver's own."""

    def __init__(self, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
        self.columns = list(columns)
        self._rows = rows

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Records: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | Records:
        """One row, or a slice of them."""
        return Records(self.columns, self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """The rows, one after another."""
        return iter(self._rows)

    def to_arrow(self) -> pa.Table:
        """The rows as an Arrow table: nodes and relationships as their properties, paths as lists of nodes'.

        Raises:
            QueryError: A column has values of several types, or of a type that Arrow does not have.
        """
        import pyarrow as pa

        columns = {}
        for name in self.columns:
            try:
                columns[name] = pa.array([_flat(row[name]) for row in self._rows])
            except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
                raise QueryError(
                    f"The column {name!r} is not an Arrow column: {error}. Return values of one type, such as "
                    f"toString({name}), or use the records as they are."
                ) from error
        return pa.table(columns)

    def to_pandas(self) -> pd.DataFrame:
        """The rows as a pandas data frame."""
        return frame_of(self.to_arrow())

    def __repr__(self) -> str:
        """The number of rows and the names of the columns."""
        return f"Records({len(self):,} rows: {', '.join(self.columns)})"

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(max_rows=20))


def _flat(value: Any) -> Any:
    match value:
        case Node() | Relationship():
            return {name: plain(item) for name, item in value.items()}
        case Path():
            return [_flat(node) for node in value.nodes]
        case list():
            return [_flat(item) for item in value]
        case dict():
            return {name: _flat(item) for name, item in value.items()}
    return plain(value)
