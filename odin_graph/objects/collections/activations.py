"""``db.activations``: the stored activations of layers, computed once and found again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.activations.activations import LayerRef, record_of, rows_of
from odin_graph.catalog.activations.storage import reading
from odin_graph.catalog.activations.unit_sets import units_of
from odin_graph.client import Session
from odin_graph.errors import QueryError
from odin_graph.objects.base.verbs import Verbs
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.query.collection import Collection
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.objects.layers.layer import Layer


@dataclass(frozen=True, repr=False)
class ActivationSet(Verbs):
    """Activations of a layer for images: vectors or units. If deleted, they are computed again when needed."""

    KIND = "ActivationSet"
    _session: Session
    id: str

    @property
    def layer(self) -> str:
        """The module's name."""
        return str(self._record()["layer"])

    @property
    def pooling(self) -> str:
        """How the positions were reduced to one vector."""
        return str(self._record()["pooling"])

    @property
    def checkpoint(self) -> str:
        """The checkpoint that computed it."""
        return str(self._record()["checkpoint"])

    def keys(self) -> NDArray[np.int64]:
        """The images that it contains, sorted by key."""
        return self._session.ask(_keys_of, self.id)

    def embeddings(self, images: Any = None) -> NDArray[np.float32]:
        """The stored vectors (n, d), float32. Nothing is computed.

        Args:
            images: A query, or images, their ids or keys, in this order; by default all, by key.

        Raises:
            QueryError: The set contains units, not vectors.
            StoreError: The set does not contain an image.
        """
        keys = None if images is None else keys_of_images(self._session, images).tolist()
        return self._session.ask(_vectors_of, self.id, keys)

    def __len__(self) -> int:
        return len(self.keys())

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        record = self._record()
        return (
            f"ActivationSet({self.id!r}: {record['layer']} of {record['checkpoint']}, {record['pooling']} as "
            f"{record['codec']}, {len(self):,} images)"
        )

    def _record(self) -> dict[str, Any]:
        return self._session.ask(record_of, self.id)


@served
def _keys_of(stores: Stores, id: str) -> NDArray[np.int64]:  # noqa: A002
    """The images that a set covers, sorted."""
    return (rows_of if record_of(stores, id)["digest"] is None else units_of)(stores, id).coverage()


@served
def _vectors_of(stores: Stores, id: str, keys: list[int] | None) -> NDArray[np.float32]:  # noqa: A002
    """The stored vectors of images; of all by key where none are named."""
    if record_of(stores, id)["digest"] is not None:
        raise QueryError(f"{id!r} contains units, not vectors: read them with layer.units[[3, 17]].values(images).")
    with reading(stores, [id]):
        rows = rows_of(stores, id)
        found: NDArray[np.float32] = rows.read(rows.coverage() if keys is None else np.array(keys, np.int64))
    return found


class ActivationSets(Collection[ActivationSet]):
    """The ready activation sets of a workspace: ``db.activations``."""

    KIND = "ActivationSet"

    def add(self, layer: Layer, images: Any, **how: Any) -> ActivationSet:
        """Compute and store the activations of a layer for images. Stored ones are not computed again.

        Args:
            layer: ``exp.layer("features")``.
            images: A query, or images, their ids or keys.
            how: ``device``, ``batch`` and ``progress``.
        """
        from odin_graph.runtime.passes.embed import ensure_embeddings

        ref = LayerRef(layer.checkpoint, layer.name, layer.pooling)
        keys = keys_of_images(self._session, images)
        return self[ensure_embeddings(self._stores, ref, np.asarray(keys, np.int64), **how)]

    def __getitem__(self, id: str) -> ActivationSet:  # noqa: A002 - the users' word for it
        activation_set = ActivationSet(self._session, id)
        activation_set._record()  # noqa: SLF001 - raises if it does not exist
        return activation_set
