"""A data set version that leaks are searched in: keys, fields and pixels are read when a rule or a report asks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis import leak_rules
from odin_graph.analysis.leak_rules import ids_of_keys
from odin_graph.arrays.pixel_reader import PixelReader
from odin_graph.checked import checked_calls
from odin_graph.client import Session
from odin_graph.served import served
from odin_graph.stores import Stores


@checked_calls
@dataclass(frozen=True, eq=False)
class Side:
    """One of two versions that are compared: what a function of the user's gets, near or far."""

    session: Session
    dataset: str
    """The id of the version."""

    @property
    def stores(self) -> Stores:
        """The open engines.

        Raises:
            RemoteError: The workspace is far away.
        """
        return self.session.stores

    @cached_property
    def keys(self) -> NDArray[np.int64]:
        """The keys of its images, in its order."""
        return self.session.ask(_keys_of, self.dataset)

    @property
    def pixels(self) -> PixelReader:
        """The pixels of all images."""
        return self.session.pixels

    def ids(self, keys: NDArray[np.int64]) -> list[str]:
        """The ids of images, in the order of their keys."""
        return self.session.ask(ids_of_keys, keys.tolist())

    def fields(self, *names: str) -> pa.Table:
        """Image fields as columns, a row an image in the order of `keys`; null where missing."""
        return self.session.ask(_fields_of, self.dataset, list(names))


@served
def _keys_of(stores: Stores, dataset: str) -> NDArray[np.int64]:
    return leak_rules.Side(stores, dataset).keys


@served
def _fields_of(stores: Stores, dataset: str, names: list[str]) -> pa.Table:
    return leak_rules.Side(stores, dataset).fields(*names)
