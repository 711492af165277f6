"""Pixels of a remote workspace, sent as NumPy's .npy, one image after another."""

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
    """Reads pixels from a server."""

    link: Link

    def shapes(self, keys: NDArray[np.int64]) -> list[tuple[int, ...]]:
        """The shape of each image."""
        body = {"arguments": {"keys": np.asarray(keys).tolist()}}
        found: list[tuple[int, ...]] = from_json(self.link.post("/v1/ask/pixels.shapes_of", body)["answer"])
        return found

    def read(self, keys: NDArray[np.int64]) -> NDArray[Any]:
        """The pixels of images of one shape and dtype, as one array."""
        return np.stack(self.read_list(keys))

    def read_together(self, keys: NDArray[np.int64]) -> list[NDArray[Any]]:
        """As `read_list`: each comes on its own."""
        return self.read_list(keys)

    def read_list(self, keys: NDArray[np.int64]) -> list[NDArray[Any]]:
        """All pixels (h, w, bands) of each image."""
        return self._fetch("/v1/pixels", np.asarray(keys).tolist())

    def read_boxes(self, keys: NDArray[np.int64], boxes: Sequence[Sequence[int]]) -> list[NDArray[Any]]:
        """The pixels of a box of each image; runs of equal boxes are fetched together."""
        all_keys, json_boxes = np.asarray(keys).tolist(), [to_json(box) for box in boxes]
        found: list[NDArray[Any]] = []
        while len(found) < len(all_keys):
            start = len(found)
            end = next((n for n in range(start, len(all_keys)) if json_boxes[n] != json_boxes[start]), len(all_keys))
            found += self._fetch("/v1/pixels", all_keys[start:end], box=json_boxes[start])
        return found

    def read_displayed(self, keys: NDArray[np.int64]) -> list[NDArray[Any]]:
        """Each image, at most 512 pixels on the longer side; above 8 bits with the image's own values."""
        return self._fetch("/v1/thumbnails", np.asarray(keys).tolist(), size=_SIDE)

    def _fetch(self, path: str, keys: list[int], **more: Any) -> list[NDArray[Any]]:
        found: list[NDArray[Any]] = []
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            found += self.link.arrays(path, {"keys": part, **more}, len(part))
        return found
