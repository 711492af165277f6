"""``db.labels``: corrections of labels, their history, and what became stale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.images import labels as catalog
from odin_graph.catalog.images.images import keys_of
from odin_graph.catalog.images.labels import LabelReport
from odin_graph.catalog.images.stale import Stale, stale
from odin_graph.client import Session
from odin_graph.errors import DataError
from odin_graph.objects.base.has_images import HasImages
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.base.rows import rows_of
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.query.query import Query
from odin_graph.query.expressions.expressions import Expr
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd

_NOT_GIVEN: Any = object()


class Labels(InSession):
    """The labels of a workspace: the true labels of today, and their history."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        return "Labels: update(images, label), history(images), stale()"

    def update(
        self, source: Any, /, label: Any = _NOT_GIVEN, *, why: str | None = None, who: str | None = None
    ) -> LabelReport:
        """Correct labels. The history keeps who, when, why, and the old label. Frozen labels do not change.

        Args:
            source: A table with the columns ``id`` (or ``key``) and ``label``; a dict from id to label; or, with
                ``label``, a query, a data set, an image, its id, or a list of images.
            label: One label for all of them, an expression (``exp.predicted``), or None to remove the label.
            why: The reason.
            who: Who corrects them; by default your login name.

        Raises:
            DataError: There is no label, an image is given twice, or an image does not exist.
            MetadataError: The label does not have the type of the labels in this workspace.
        """
        keys, labels = self._read(source, label)
        return catalog.set_labels(self._stores, keys, labels, who=who, why=why)

    def history(self, images: Any) -> pd.DataFrame:
        """All corrections of images: image, at (UTC), who, before, after, why; the oldest first.

        Args:
            images: An image, its id, a query, a data set, or a list of images. They may be deleted.
        """
        import pandas as pd

        names = ["image", "at", "who", "before", "after", "why"]
        rows = self._session.ask(_history_of, self._keys(images, deleted=True).tolist())
        return pd.DataFrame([[getattr(row, name) for name in names] for row in rows], columns=names)

    def stale(self) -> Stale:
        """The data set versions, prediction sets and experiments whose labels differ from the labels of today.

        The labels that versions froze are compared with the values of the label field today, no matter who changed
        these. Nothing is changed. A version that was relabeled itself (``revise(relabel=...)``) differs too.
        """
        return self._session.ask(stale)

    def _read(self, source: Any, label: Any) -> tuple[NDArray[np.int64], Sequence[Any]]:
        if label is not _NOT_GIVEN:
            if isinstance(label, Expr):
                query = source.images() if isinstance(source, HasImages) else source
                if not isinstance(query, Query):
                    raise DataError("An expression as label needs a query: db.labels.update(query, exp.x).")
                table = query.to_arrow(new=label)
                return table.column("key").to_numpy(), table.column("new").to_pylist()
            keys = self._keys(source)
            return keys, [label] * len(keys)
        if isinstance(source, Mapping) and "label" not in source:
            return keys_of(self._stores, list(source)), list(source.values())
        if isinstance(source, str | Query | HasImages):
            raise DataError("update() needs the label too: db.labels.update(images, label).")
        things, columns = rows_of(source)
        if "label" not in columns:
            raise DataError(f"The table has no column 'label'. It has: {', '.join(columns) or 'nothing else'}.")
        return keys_of(self._stores, things), columns["label"]

    def _keys(self, images: Any, *, deleted: bool = False) -> NDArray[np.int64]:
        return keys_of_images(self._session, images, deleted=deleted)


@served
def _history_of(stores: Stores, keys: list[int]) -> list[catalog.Correction]:
    return catalog.history(stores, np.array(keys, np.int64))
