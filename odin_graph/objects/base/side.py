"""A data set version in a report about leaks: ids and pixels are read when the report shows them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.leak_rules import ids_of_keys
from odin_graph.arrays.pixel_reader import PixelReader
from odin_graph.client import Session


@dataclass(frozen=True, eq=False)
class Side:
    """One of two versions that were compared."""

    session: Session
    dataset: str
    """The id of the version."""
    keys: NDArray[np.int64]
    """The keys of its images, in its order."""

    @property
    def pixels(self) -> PixelReader:
        """The pixels of all images."""
        return self.session.pixels

    def ids(self, keys: NDArray[np.int64]) -> list[str]:
        """The ids of images, in the order of their keys."""
        return self.session.ask(ids_of_keys, keys.tolist())
