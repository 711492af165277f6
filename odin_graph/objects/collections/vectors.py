"""``db.vectors``: vectors of your own, CLIP and the like, by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.activations.vector_sets import add_vectors, delete_vectors, rows_of, vector_set_of, vector_sets
from odin_graph.errors import ShapeError
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.query.names.spaces import vectors_of
from odin_graph.query.plan.plan import NamedVectors
from odin_graph.schema.several import refuse_unordered
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd


class VectorSet:
    """Vectors under a name, one an image: ``by=db.vectors["clip"]``."""

    def __init__(self, stores: Stores, name: str) -> None:
        self._stores = stores
        self._record = vector_set_of(stores, name)

    @property
    def name(self) -> str:
        """The user's word for it."""
        return self._record.id

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return self._record.length

    @property
    def node(self) -> NamedVectors:
        """As a plan holds it."""
        return NamedVectors(self.name)

    def __len__(self) -> int:
        return len(rows_of(self._stores, self.name).coverage())

    def embeddings(self, images: Any) -> NDArray[np.float32]:
        """The vectors (n, d) of a query's images, of images, ids or keys, in their order.

        Raises:
            QueryError: Some have none.
        """
        return vectors_of(self._stores, self.node, keys_of_images(self._stores, images))

    def missing(self, images: Any) -> NDArray[np.int64]:
        """The keys of those images that have no vector yet."""
        return rows_of(self._stores, self.name).missing(keys_of_images(self._stores, images))

    def __repr__(self) -> str:
        return f"VectorSet({self.name!r}: {len(self):,} x {self.dimensions})"


class Vectors:
    """The vectors that were handed in, by name."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def add(
        self, name: str, ids: Any, array: NDArray[Any], *, replace: bool = False, progress: bool = True
    ) -> VectorSet:
        """Keep a vector for each of some images; a set of that name grows.

        A call that was interrupted goes on where it stopped when it is made again.

        Args:
            name: ``"clip"``.
            ids: A query, images, their ids, or their keys, each once.
            array: (n, d), kept as float32.
            replace: Of images that have another vector already.
            progress: Show a progress bar.

        Raises:
            ShapeError: The shapes do not fit, or a vector holds NaN or infinity.
            DataError: The ids are a set, which has no order.
            ConflictError: An image has another vector already.
        """
        refuse_unordered("ids", ids)
        try:
            rows = np.asanyarray(array)  # a mask stays one
        except ValueError as error:
            raise ShapeError(f"Vectors are numbers of shape (n, d), all of one length: {error}.") from error
        add_vectors(self._stores, name, keys_of_images(self._stores, ids), rows, replace=replace, progress=progress)
        return VectorSet(self._stores, name)

    def __getitem__(self, name: str) -> VectorSet:
        return VectorSet(self._stores, name)

    def __delitem__(self, name: str) -> None:
        delete_vectors(self._stores, name)

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __iter__(self) -> Iterator[str]:
        return (held.id for held in vector_sets(self._stores))

    def __len__(self) -> int:
        return len(vector_sets(self._stores))

    def to_pandas(self) -> pd.DataFrame:
        """A row a set: name, images, dimensions, created_at (UTC)."""
        import pandas as pd

        rows = [(held.id, len(self[held.id]), held.length, held.created_at) for held in vector_sets(self._stores)]
        return pd.DataFrame(rows, columns=["name", "images", "dimensions", "created_at"])

    def __repr__(self) -> str:
        return f"Vectors({', '.join(self) or 'none yet'})"

    def _repr_html_(self) -> str:
        return str(self.to_pandas().to_html(index=False))
