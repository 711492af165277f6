"""``db.fields``: the free metadata that there is, its types, and how a type is changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from odin_graph.catalog.records.fields import counted
from odin_graph.catalog.records.retype import RetypeReport, retype
from odin_graph.schema.metadata import asked_type
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd


class Fields:
    """The fields of free metadata, and the label: one recorded type a name and kind."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def retype(self, name: str, type: type, kind: str = "Image") -> RetypeReport:  # noqa: A002 - the word for it
        """Give a field another type: ``db.fields.retype("patientID", str)`` makes 1 the text "1" again.

        Every value is converted in one transaction: all of them, or none where one does not fit. What was frozen (the
        labels of data set versions, the history of labels) keeps what it froze. It wants quiet: no other process
        should be writing the field.

        Args:
            name: The field: free metadata, or ``label``.
            type: ``str``, ``int``, ``float``, ``bool``, ``date`` or ``datetime``.
            kind: What carries it: ``Image``, ``Dataset``, ``Model``, ``Experiment`` ...

        Raises:
            MetadataError: Values that do not fit; lists them, and nothing is changed.
            UnknownNameError: There is no such field.
        """
        return retype(self._stores, name, asked_type(type), kind)

    def to_pandas(self) -> pd.DataFrame:
        """A row a field: kind, name, type, and how many things have a value. One that nothing has is forgotten."""
        import pandas as pd

        return pd.DataFrame(counted(self._stores.graph), columns=["kind", "name", "type", "values"])

    def __repr__(self) -> str:
        return "\n".join(
            f"{kind}.{name}: {type_}, {n:,} values" for kind, name, type_, n in counted(self._stores.graph)
        )

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False))
