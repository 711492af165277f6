"""``db.vectors``: your own vectors, for example from CLIP, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.activations.vector_sets import add_vectors, delete_vectors, rows_of, vector_set_of, vector_sets
from odin_graph.catalog.records.deletion import DeletionReport
from odin_graph.client import Session
from odin_graph.errors import ShapeError
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.base.listed import Listed, listed
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.query.names.spaces import vectors_of
from odin_graph.query.plan.spaces import NamedVectors
from odin_graph.schema.several import refuse_unordered
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd


class VectorSet(InSession):
    """Vectors of your own, one for each image: ``by=db.vectors["clip"]``."""

    def __init__(self, session: Session, id: str) -> None:  # noqa: A002 - the users' word for it
        self._session = session
        self._record = session.ask(vector_set_of, id)

    @property
    def id(self) -> str:
        """The id of the set."""
        return self._record.id

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self._record.length

    @property
    def node(self) -> NamedVectors:
        """Its form in a plan."""
        return NamedVectors(self.id)

    def __len__(self) -> int:
        return self._session.ask(_number_of, self.id)

    def embeddings(self, images: Any) -> NDArray[np.float32]:
        """The vectors (n, d) of the images of a query, or of images, ids or keys, in their order.

        Raises:
            QueryError: Some images have no vector.
        """
        return self._session.ask(_vectors_of, self.id, keys_of_images(self._session, images).tolist())

    def missing(self, images: Any) -> NDArray[np.int64]:
        """The keys of those images that have no vector yet."""
        return self._session.ask(_missing_of, self.id, keys_of_images(self._session, images).tolist())

    def delete(self) -> DeletionReport:
        """Delete the vectors and the indexes over them. They cannot be brought back, and no tombstone is kept."""
        delete_vectors(self._stores, self.id)
        return DeletionReport("", {"VectorSet": 1})

    def __repr__(self) -> str:
        return f"VectorSet({self.id!r}: {len(self):,} x {self.dimensions})"


@served
def _number_of(stores: Stores, name: str) -> int:
    return len(rows_of(stores, name).coverage())


@served
def _vectors_of(stores: Stores, name: str, keys: list[int]) -> NDArray[np.float32]:
    return vectors_of(stores, NamedVectors(name), np.array(keys, np.int64))


@served
def _missing_of(stores: Stores, name: str, keys: list[int]) -> NDArray[np.int64]:
    return rows_of(stores, name).missing(np.array(keys, np.int64))


class Vectors(Listed[VectorSet]):
    """The sets of your own vectors: ``db.vectors``."""

    def add(
        self,
        id: str,  # noqa: A002 - the users' word for it
        images: Any,
        vectors: NDArray[Any],
        *,
        replace: bool = False,
        progress: bool = True,
    ) -> VectorSet:
        """Store one vector for each image. If the set exists, they are added to it.

        If a call is interrupted, call it again: it continues where it stopped.

        Args:
            id: The id of the set, for example ``"clip"``.
            images: A query, images, their ids, or their keys, each once.
            vectors: (n, d), stored as float32.
            replace: Replace the vectors of images that already have another one.
            progress: Show a progress bar.

        Raises:
            ShapeError: The shapes do not match, or a vector contains NaN or infinity.
            DataError: The images are a Python set, which has no order.
            ConflictError: An image already has another vector.
        """
        refuse_unordered("images", images)
        try:
            rows = np.asanyarray(vectors)  # a mask stays one
        except ValueError as error:
            raise ShapeError(f"Vectors must be numbers of shape (n, d), all of one length: {error}.") from error
        add_vectors(self._stores, id, keys_of_images(self._session, images), rows, replace=replace, progress=progress)
        return VectorSet(self._session, id)

    def delete(self, things: Any, /) -> DeletionReport:
        """Delete sets and the indexes over them. They cannot be brought back, and no tombstone is kept.

        Args:
            things: The sets, or their ids.

        Raises:
            UnknownNameError: There is no such set.
        """
        sets = [self[str(getattr(thing, "id", thing))] for thing in listed(things)]
        for vectors in sets:
            vectors.delete()
        return DeletionReport("", {"VectorSet": len(sets)})

    def ids(self) -> list[str]:
        """The ids, sorted."""
        return [record.id for record in self._session.ask(vector_sets)]

    def __getitem__(self, id: str) -> VectorSet:  # noqa: A002
        return VectorSet(self._session, id)

    def to_pandas(self) -> pd.DataFrame:
        """One row for each set: id, images, dimensions, created_at (UTC)."""
        import pandas as pd

        rows = [
            (record.id, len(self[record.id]), record.length, record.created_at)
            for record in self._session.ask(vector_sets)
        ]
        return pd.DataFrame(rows, columns=["id", "images", "dimensions", "created_at"])

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False))
