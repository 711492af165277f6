"""``db.fields``: the metadata fields, their types, and how to change a type."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from odin_graph.catalog.records.fields import counted
from odin_graph.catalog.records.retype import RetypeReport, retype
from odin_graph.errors import UnknownNameError
from odin_graph.objects.base.listed import Listed
from odin_graph.schema.metadata import asked_type
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Field:
    """A metadata field of a kind of thing."""

    kind: str
    """The kind of thing that has it: ``Image``, ``Dataset``, ``Model`` ..."""
    name: str
    type: str
    values: int
    """The number of values."""

    @property
    def id(self) -> str:
        """The kind and the name: ``Image.age``."""
        return f"{self.kind}.{self.name}"

    def __str__(self) -> str:
        return f"{self.id}: {self.type}, {self.values:,} values"


class Fields(Listed[Field]):
    """The metadata fields, and the label. Each field has one type for each kind of thing."""

    def retype(self, name: str, type: type, kind: str = "Image") -> RetypeReport:  # noqa: A002 - the word for it
        """Give a field another type: ``db.fields.retype("patientID", str)`` makes 1 the text "1" again.

        All values are converted in one transaction, or none if one cannot be converted. Frozen values (the labels of
        data set versions, the history of labels) do not change. Other processes that write the field at the same time
        must give values of the new type; otherwise they are refused.

        Args:
            name: The field: metadata, or ``label``.
            type: ``str``, ``int``, ``float``, ``bool``, ``date`` or ``datetime``.
            kind: The kind of thing that has the field: ``Image``, ``Dataset``, ``Model``, ``Experiment`` ...

        Raises:
            MetadataError: Values cannot be converted. The message lists them, and nothing is changed.
            UnknownNameError: There is no such field.
        """
        return retype(self._stores, name, asked_type(type), kind)

    def ids(self) -> list[str]:
        """The kind and the name of each: ``Image.age``. A field without values is forgotten."""
        return [field.id for field in self]

    def to_pandas(self) -> pd.DataFrame:
        """One row for each field: kind, name, type, and the number of values."""
        import pandas as pd

        return pd.DataFrame(self._session.ask(_counted), columns=["kind", "name", "type", "values"])

    def __getitem__(self, id: str) -> Field:  # noqa: A002 - the users' word for it
        for field in self:
            if field.id == id:
                return field
        raise UnknownNameError.of("field", id, self.ids())

    def __iter__(self) -> Iterator[Field]:
        return (Field(*row) for row in self._session.ask(_counted))

    def __repr__(self) -> str:
        return "\n".join(map(str, self))

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False))


@served
def _counted(stores: Stores) -> list[tuple[str, str, str, int]]:
    return counted(stores.graph)
