"""What is a query of its images wherever one is taken: a data set, and what sets of its images give."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from odin_graph.objects.base.in_session import InSession

if TYPE_CHECKING:
    from odin_graph.objects.query.query import Query


class HasImages(InSession):
    """A thing with images, which are a query."""

    @abstractmethod
    def images(self) -> Query:
        """Its images, as a query."""

    def image_keys(self, *, deleted: bool = False) -> NDArray[np.int64]:  # noqa: ARG002 - none of its images is
        """The keys of its images, for calls that take images."""
        return self.images().keys()
