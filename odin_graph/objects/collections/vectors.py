"""``db.vectors``: your own vectors, for example from CLIP, by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.activations.vector_sets import add_vectors, delete_vectors, rows_of, vector_set_of, vector_sets
from odin_graph.client import Session
from odin_graph.errors import ShapeError
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.query.names.spaces import vectors_of
from odin_graph.query.plan.spaces import NamedVectors
from odin_graph.schema.several import refuse_unordered
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd


class VectorSet(InSession):
    """Vectors under a name, one for each image: ``by=db.vectors["clip"]``."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self._record = session.ask(vector_set_of, name)

    @property
    def name(self) -> str:
        """The name of the set."""
        return self._record.id

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self._record.length

    @property
    def node(self) -> NamedVectors:
        """Its form in a plan."""
        return NamedVectors(self.name)

    def __len__(self) -> int:
        return self._session.ask(_number_of, self.name)

    def embeddings(self, images: Any) -> NDArray[np.float32]:
        """The vectors (n, d) of the images of a query, or of images, ids or keys, in their order.

        Raises:
            QueryError: Some images have no vector.
        """
        return self._session.ask(_vectors_of, self.name, keys_of_images(self._session, images).tolist())

    def missing(self, images: Any) -> NDArray[np.int64]:
        """The keys of those images that have no vector yet."""
        return self._session.ask(_missing_of, self.name, keys_of_images(self._session, images).tolist())

    def __repr__(self) -> str:
        return f"VectorSet({self.name!r}: {len(self):,} x {self.dimensions})"


@served
def _number_of(stores: Stores, name: str) -> int:
    return len(rows_of(stores, name).coverage())


@served
def _vectors_of(stores: Stores, name: str, keys: list[int]) -> NDArray[np.float32]:
    return vectors_of(stores, NamedVectors(name), np.array(keys, np.int64))


@served
def _missing_of(stores: Stores, name: str, keys: list[int]) -> NDArray[np.int64]:
    return rows_of(stores, name).missing(np.array(keys, np.int64))


class Vectors(InSession):
    """The sets of your own vectors, by name."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(
        self, name: str, ids: Any, array: NDArray[Any], *, replace: bool = False, progress: bool = True
    ) -> VectorSet:
        """Store one vector for each image. If the set exists, they are added to it.

        If a call is interrupted, call it again: it continues where it stopped.

        Args:
            name: The name of the set, for example ``"clip"``.
            ids: A query, images, their ids, or their keys, each once.
            array: Vectors (n, d), stored as float32.
            replace: Replace the vectors of images that already have another one.
            progress: Show a progress bar.

        Raises:
            ShapeError: The shapes do not match, or a vector contains NaN or infinity.
            DataError: The ids are a Python set, which has no order.
            ConflictError: An image already has another vector.
        """
        refuse_unordered("ids", ids)
        try:
            rows = np.asanyarray(array)  # a mask stays one
        except ValueError as error:
            raise ShapeError(f"Vectors must be numbers of shape (n, d), all of one length: {error}.") from error
        add_vectors(self._stores, name, keys_of_images(self._session, ids), rows, replace=replace, progress=progress)
        return VectorSet(self._session, name)

    def __getitem__(self, name: str) -> VectorSet:
        return VectorSet(self._session, name)

    def __delitem__(self, name: str) -> None:
        delete_vectors(self._stores, name)

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __iter__(self) -> Iterator[str]:
        return (record.id for record in self._session.ask(vector_sets))

    def __len__(self) -> int:
        return len(self._session.ask(vector_sets))

    def to_pandas(self) -> pd.DataFrame:
        """One row for each set: name, images, dimensions, created_at (UTC)."""
        import pandas as pd

        rows = [
            (record.id, len(self[record.id]), record.length, record.created_at)
            for record in self._session.ask(vector_sets)
        ]
        return pd.DataFrame(rows, columns=["name", "images", "dimensions", "created_at"])

    def __repr__(self) -> str:
        return f"Vectors({', '.join(self) or 'none yet'})"

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False))
