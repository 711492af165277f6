"""Queries that a server answers, and their images."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.address import Remote
from odin_graph.client import Link
from odin_graph.client.link import quoted
from odin_graph.errors import RemoteError, UnknownNameError
from odin_graph.objects.query.answers import ImageAnswers
from odin_graph.objects.query.query import Query
from odin_graph.objects.query.things import ThingQuery
from odin_graph.objects.remote.elsewhere import Elsewhere
from odin_graph.objects.things.image import Image
from odin_graph.query.expressions.expressions import F
from odin_graph.query.plan.plan import Keys, Plan

_SIDE = 512
"""Pixels of the longer side of a picture for looking at."""


@dataclass(frozen=True, eq=False, repr=False)
class RemoteImage(Elsewhere):
    """One image. Its fields are those of the time when it was loaded. Its pixels are read when you use them."""

    _beside = frozenset(dir(Image))

    _link: Link = field(repr=False)
    key: int
    """Its identity in the workspace."""
    fields: Mapping[str, Any]
    """Every field that has a value: built-in fields and metadata."""

    @property
    def id(self) -> str:
        """Its id."""
        return str(self.fields["id"])

    @property
    def label(self) -> Any:
        """The label of today, or None."""
        return self.fields.get("label")

    def __getitem__(self, name: str) -> Any:
        """The value of a field, or None if the image has no value."""
        return self.fields.get(name)

    @cached_property
    def pixels(self) -> NDArray[Any]:
        """The pixels (h, w, bands), in their own dtype."""
        data = self._link.get_bytes(f"/v1/images/{quoted(self.id)}/pixels", format="npy")
        pixels: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
        return pixels

    @cached_property
    def overview(self) -> NDArray[Any]:
        """A picture to display, (h, w, bands) uint8. Its longer side has at most 512 pixels."""
        return picture_of(self._link, self.id)

    def ancestors(self) -> list[dict[str, Any]]:
        """Everything that it was made from, the nearest first, with the operations."""
        return self._rows("lineage", direction="ancestors")

    def descendants(self) -> list[dict[str, Any]]:
        """Everything that was made from it, the nearest first."""
        return self._rows("lineage", direction="descendants")

    def predictions(self) -> list[dict[str, Any]]:
        """The predictions of all experiments for it, if they are in the graph."""
        return self._rows("predictions")

    def _rows(self, what: str, **query: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._link.get(f"/v1/images/{quoted(self.id)}/{what}", **query)["rows"]
        return rows

    def __eq__(self, other: object) -> bool:
        """Whether it is the same image of the same server."""
        return isinstance(other, RemoteImage) and (self.key, self._link.address) == (other.key, other._link.address)

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"RemoteImage({self.id!r}, label {self.label!r})"


@dataclass(frozen=True, eq=False, repr=False)
class RemoteQuery(ImageAnswers[RemoteImage]):
    """Selected and ordered images, from a server. Immutable, lazy, and can be pickled, without the token."""

    address: Remote

    def __getattr__(self, name: str) -> Any:
        """Raise `RemoteError` for a step that needs the workspace itself."""
        if not name.startswith("_") and hasattr(Query, name):
            raise RemoteError(
                f"{name}() needs the workspace itself, because it stores something, or needs your code or models. Over "
                "HTTP you get only queries, their answers and pixels. Get what you need with to_arrow() and "
                "image.pixels, or send query.to_json() to somebody who can run it on the machine of the workspace."
            )
        raise AttributeError(f"'RemoteQuery' has no attribute {name!r}")

    def _images_of(self, keys: NDArray[np.int64]) -> Iterator[RemoteImage]:
        link = Link.at(self.address)
        query = RemoteQuery(self.address, Plan(Keys(tuple(keys.tolist()))))
        for row in query.to_arrow().to_pylist():
            key = row.pop("key")
            yield RemoteImage(link, key, {name: value for name, value in row.items() if value is not None})

    def _displayed(self, table: pa.Table) -> list[NDArray[Any]]:
        link = Link.at(self.address)
        keys = table.column("key").to_pylist()
        held = RemoteQuery(self.address, Plan(Keys(tuple(keys)))).to_arrow("key", "dtype")
        dtypes = dict(zip(held["key"].to_pylist(), held["dtype"].to_pylist(), strict=True))
        return [
            _pixels_for_looking(link, id_, dtypes.get(key))
            for key, id_ in zip(keys, table.column("id").to_pylist(), strict=True)
        ]


@dataclass(frozen=True, eq=False, repr=False)
class RemoteThings(ThingQuery[dict[str, Any]]):
    """Models, experiments, data sets and so on, from a server: rows of fields."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.to_arrow().to_pylist())

    def one(self, id_: str) -> dict[str, Any]:
        """The thing with an id.

        Raises:
            UnknownNameError: It does not exist.
        """
        rows = self.where(F("id") == id_).to_arrow().to_pylist()
        if not rows:
            raise UnknownNameError.of(self.kind, id_, self.ids)
        found: dict[str, Any] = rows[0]
        return found

    def _one(self, id_: str) -> dict[str, Any]:
        return self.one(id_)


def _pixels_for_looking(link: Link, id_: str, dtype: str | None) -> NDArray[Any]:
    """A picture of 8 bits. With more bits, the values of the image, because a sheet has one scale for all."""
    if dtype in (None, "uint8", "bool"):
        return picture_of(link, id_)
    data = link.get_bytes(f"/v1/images/{quoted(id_)}/thumbnail", size=_SIDE, format="npy")
    pixels: NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    return pixels


def picture_of(link: Link, id_: str) -> NDArray[Any]:
    """An image to display, (h, w, bands) uint8."""
    from PIL import Image as PillowImage

    data = link.get_bytes(f"/v1/images/{quoted(id_)}/thumbnail", size=_SIDE)
    pixels = np.asarray(PillowImage.open(io.BytesIO(data), formats=("PNG",)))
    return pixels[..., None] if pixels.ndim == 2 else pixels
