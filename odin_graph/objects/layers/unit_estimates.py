"""Approximate answers for a group of units: bounds from stored activations only, without running the model."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.checked import checked_calls
from odin_graph.client import Session
from odin_graph.errors import QueryError
from odin_graph.neurons.compare import Op
from odin_graph.query.expressions.nodes import Part, UnitGroup
from odin_graph.query.units.stored_estimates import StoredEstimates
from odin_graph.query.units.units import as_weights
from odin_graph.served import served
from odin_graph.stores import Stores

Keys = NDArray[np.int64]


@checked_calls
class UnitEstimates:
    """Bounds from the stored codes of a group: ``layer.units[[3, 17]].estimate(images).highest(20, "mean")``.

    Each value lies between ``low`` and ``high``. Both are null if the value is surely missing, and infinite if it may
    be missing. Images without stored activations are in no answer. ``uncovered`` lists them.

    Args:
        session: The workspace.
        group: The group of units, with its checkpoint.
        keys: The keys of the images, sorted, each once.

    Raises:
        QueryError: No activations of the layer are stored.
    """

    def __init__(self, session: Session, group: UnitGroup, keys: Keys) -> None:
        self._session, self._images = session, len(keys)
        self._of = GroupOver(group, base64.b64encode(keys.astype("<i8").tobytes()).decode())
        self._codec, self._uncovered = session.ask(_coverage_of, self._of)

    @property
    def uncovered(self) -> Keys:
        """The keys of images without stored activations, sorted."""
        return self._uncovered

    def bounds(self, aggregate: str = "mean", weights: Sequence[float] | None = None) -> pa.Table:
        """One row for each image, sorted by key: ``key``, ``low`` and ``high``.

        Args:
            aggregate: mean, sum, max, min, l1, l2, weighted, one of a plug-in, or ``value`` for one unit.
            weights: For ``weighted``: one weight for each unit.
        """
        return self._session.ask(_bounds_of, self._of, aggregate, _listed(weights))

    def highest(
        self, k: int, aggregate: str = "mean", *, largest: bool = True, weights: Sequence[float] | None = None
    ) -> pa.Table:
        """The k images that most likely have the largest values, with ``certain``: whether it surely is one of them.

        Args:
            k: The number of images.
            aggregate: See `bounds`.
            largest: False for the smallest values.
            weights: See `bounds`.
        """
        return self._session.ask(_highest_of, self._of, k, aggregate, largest, _listed(weights))

    def nearest(self, to: Any, k: int, *, metric: str = "cosine", weights: Sequence[float] | None = None) -> pa.Table:
        """The k images that most likely are nearest, with bounds of their distance and ``certain``.

        Args:
            to: A vector with one number for each unit. Or a stored image or its id: the model may run on this one
                image.
            k: The number of images.
            metric: cosine, l2, l1, linf, or one of a plug-in.
            weights: One weight for each unit, at least 0.
        """
        start = to if isinstance(to, str) else getattr(to, "key", None)
        if start is None:
            start = _vector(to, len(self._of.group.numbers))
        return self._session.ask(_nearest_of, self._of, start, k, metric, _listed(weights))

    def compare(self, aggregate: str, op: Op, threshold: float, *, weights: Sequence[float] | None = None) -> pa.Table:
        """One row for each image, sorted by key: ``holds`` is null if the value is missing or ``decided`` is false.

        Args:
            aggregate: See `bounds`.
            op: ``<``, ``<=``, ``==``, ``!=``, ``>=`` or ``>``.
            threshold: The number to compare with.
            weights: See `bounds`.
        """
        return self._session.ask(_compared_of, self._of, aggregate, op, threshold, _listed(weights))

    def __repr__(self) -> str:
        covered = self._images - len(self.uncovered)
        return f"UnitEstimates({self._codec} of {covered:,} of {self._images:,} images)"


@dataclass(frozen=True)
class GroupOver(Part):
    """A group of units over images, as it travels. Near, it keeps what it read."""

    group: UnitGroup
    keys: str
    """The keys of the images, 64 bits each, in base64: as numbers in JSON, a million would be too many values."""

    def stored(self, stores: Stores) -> StoredEstimates:
        """The estimates over open stores.

        Raises:
            QueryError: No activations of the layer are stored, or the keys cannot be read.
        """
        found = self.__dict__.get("_stored")
        if found is None:
            try:
                keys = np.frombuffer(base64.b64decode(self.keys, validate=True), "<i8").astype(np.int64)
            except (binascii.Error, ValueError) as error:
                raise QueryError("The keys of the images are not 64 bits each in base64.") from error
            found = self.__dict__["_stored"] = StoredEstimates(stores, self.group, np.unique(keys))
        made: StoredEstimates = found
        return made


def _listed(weights: Sequence[float] | None) -> list[float] | None:
    return None if weights is None else list(as_weights(weights))


def _vector(to: Any, units: int) -> list[float]:
    try:
        found = np.asarray(to, np.float32)
    except (TypeError, ValueError) as error:
        raise QueryError(f"A search needs a stored image or a vector of numbers, not {to!r:.80}.") from error
    if found.shape != (units,):
        raise QueryError(f"The vector has shape {found.shape}, but there are {units} units: give one number for each.")
    numbers: list[float] = found.tolist()
    return numbers


@served
def _coverage_of(stores: Stores, of: GroupOver) -> tuple[str, Keys]:
    """How the activations are stored, and the images without any."""
    return of.stored(stores).codec, of.stored(stores).uncovered


@served
def _bounds_of(stores: Stores, of: GroupOver, aggregate: str, weights: list[float] | None) -> pa.Table:
    return of.stored(stores).bounds(aggregate, weights)


@served
def _highest_of(
    stores: Stores, of: GroupOver, k: int, aggregate: str, largest: bool, weights: list[float] | None
) -> pa.Table:
    return of.stored(stores).highest(k, aggregate, largest=largest, weights=weights)


@served
def _nearest_of(
    stores: Stores, of: GroupOver, to: int | str | list[float], k: int, metric: str, weights: list[float] | None
) -> pa.Table:
    return of.stored(stores).nearest(to, k, metric=metric, weights=weights)


@served
def _compared_of(
    stores: Stores, of: GroupOver, aggregate: str, op: Op, threshold: float, weights: list[float] | None
) -> pa.Table:
    return of.stored(stores).compare(aggregate, op, threshold, weights=weights)
