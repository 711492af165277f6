"""Selected images that are not frozen yet: the results of set operations and sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.datasets.datasets import Derivation, create_dataset
from odin_graph.catalog.datasets.versions import Members, labels_array
from odin_graph.client import Session
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.query.query import Query
from odin_graph.query.plan.plan import Keys, Plan

if TYPE_CHECKING:
    from odin_graph.objects.things.dataset import Dataset


class Draft(InSession):
    """Images in an order, with labels. ``create(id)`` freezes them, ``images()`` returns them as a query.

    Args:
        session: The workspace.
        members: Keys and labels.
        label: The field that the labels are of; None for a set without labels.
        origin: How it came about, kept with the version that is made of it: JSON.
    """

    def __init__(self, session: Session, members: Members, label: str | None, origin: dict[str, Any]) -> None:
        self._session, self.members, self.label, self.origin = session, members, label, origin

    @property
    def labels(self) -> tuple[Any, ...]:
        """The labels, in order."""
        return self.members.labels

    def images(self) -> Query:
        """The images as a query, in order. Its ``F("label")`` is the label of today."""
        return Query(self._session.address, Plan(Keys(tuple(self.members.keys.tolist()))))

    def image_keys(self, *, deleted: bool = False) -> NDArray[np.int64]:  # noqa: ARG002 - none of its images is
        """The keys of its images, for calls that take images."""
        return self.images().keys()

    def create(self, id: str, *, revise: bool = False, **metadata: Any) -> Dataset:  # noqa: A002 - the users' word
        """Freeze it under an id.

        Args:
            id: The id, without a version.
            revise: Make the next version if the id exists with other content.
            metadata: Metadata of the version.
        """
        made = create_dataset(
            self._stores,
            id,
            self.members.keys,
            label=self.label,
            labels=None if self.label is None else labels_array(self.members.labels),
            derived=Derivation(self.origin, self.origin.get("dataset")),
            revise=revise,
            metadata=metadata,
        )
        dataset: Dataset = class_of("Dataset")(self._session, made)
        return dataset

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        return f"Draft({len(self):,} images, {self.origin.get('op', 'chosen')}): create(id) freezes it"
