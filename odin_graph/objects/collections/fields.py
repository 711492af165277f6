"""``db.fields``: the metadata fields, their types, and how to change a type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odin_graph.catalog.records.fields import counted
from odin_graph.catalog.records.retype import RetypeReport, retype
from odin_graph.client import Session
from odin_graph.objects.base.in_session import InSession
from odin_graph.schema.metadata import asked_type
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd


class Fields(InSession):
    """The metadata fields, and the label. Each field has one type for each kind of thing."""

    def __init__(self, session: Session) -> None:
        self._session = session

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

    def to_pandas(self) -> pd.DataFrame:
        """One row for each field: kind, name, type, and the number of values. A field without values is forgotten."""
        import pandas as pd

        return pd.DataFrame(self._session.ask(_counted), columns=["kind", "name", "type", "values"])

    def __repr__(self) -> str:
        return "\n".join(
            f"{kind}.{name}: {type_}, {n:,} values" for kind, name, type_, n in self._session.ask(_counted)
        )

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False))


@served
def _counted(stores: Stores) -> list[tuple[str, str, str, int]]:
    return counted(stores.graph)
