"""Pixels of a workspace that is served elsewhere, sent as NumPy's .npy, one image after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.client.link import Link
from odin_graph.client.travel import from_json
from odin_graph.query.plan.json_values import to_json

_AT_ONCE: Final = 256
"""Images that are asked for together."""
_SIDE: Final = 512
"""Pixels of the longer side of a picture for looking at."""


@dataclass(frozen=True)
class RemotePixels:
    """Reads pixels at a server."""

    link: Link

    def shapes(self, keys: NDArray[np.int64]) -> list[tuple[int, ...]]:
        """Of each image."""
        body = {"arguments": {"keys": np.asarray(keys).tolist()}}
        found: list[tuple[int, ...]] = from_json(self.link.post("/v1/ask/pixels.shapes_of", body)["answer"])
        return found

    def read(self, keys: NDArray[np.int64]) -> NDArray[Any]:
        """As one array, of images of one shape and dtype."""
        return np.stack(self.read_list(keys))

    def read_list(self, keys: NDArray[np.int64]) -> list[NDArray[Any]]:
        """All pixels (h, w, bands) of each image."""
        return self._sent("/v1/pixels", np.asarray(keys).tolist())

    def read_boxes(self, keys: NDArray[np.int64], boxes: Sequence[Sequence[int]]) -> list[NDArray[Any]]:
        """Those of a box of each; boxes that follow each other and are alike come together."""
        every, given = np.asarray(keys).tolist(), [to_json(box) for box in boxes]
        found: list[NDArray[Any]] = []
        while len(found) < len(every):
            start = len(found)
            alike = next((n for n in range(start, len(every)) if given[n] != given[start]), len(every))
            found += self._sent("/v1/pixels", every[start:alike], box=given[start])
        return found

    def read_displayed(self, keys: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Of each 512 pixels at most on the longer side; above 8 bits they are values of the image."""
        return self._sent("/v1/thumbnails", np.asarray(keys).tolist(), size=_SIDE)

    def _sent(self, path: str, keys: list[int], **more: Any) -> list[NDArray[Any]]:
        found: list[NDArray[Any]] = []
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            found += self.link.arrays(path, {"keys": part, **more}, len(part))
        return found
