"""`Image`: one image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.analysis.contact_sheet import ContactSheet, Tile, contact_sheet
from odin_graph.analysis.units.image import top_units
from odin_graph.catalog.experiments.predictions import of_image
from odin_graph.catalog.images.derived import parent_of
from odin_graph.catalog.images.images import key_of
from odin_graph.catalog.images.stacks import stack_of
from odin_graph.client import Session
from odin_graph.errors import QueryError, StoreError, UnknownNameError
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.layers.layer import Layer
from odin_graph.objects.layers.units import Units
from odin_graph.objects.query.image_verbs import ImageVerbs
from odin_graph.objects.query.things import ThingQuery
from odin_graph.objects.things.lineage import Relatives, used_by
from odin_graph.ops import Geometry
from odin_graph.query.expressions.moments import of_one_moment
from odin_graph.query.expressions.nodes import UnitView
from odin_graph.runtime.derive.derive import geometry_to_parent
from odin_graph.schema.reserved import reserved
from odin_graph.served import served
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.analysis.units.image import TopUnits, UnusualUnits
    from odin_graph.graph.moment import Moment
    from odin_graph.objects.collections.stacks import Video, Volume

T = TypeVar("T")

_FEW = 16
"""Images whose fields are looked up one by one, where the columns are not current."""


@dataclass(frozen=True, eq=False, repr=False)
class Image(ImageVerbs):
    """One image. Its fields are those of the time when it was looked up. Its pixels are read when you use them."""

    _session: Session = field(repr=False)
    key: int
    """Its identity in arrays, columns and indexes."""
    fields: Mapping[str, Any]
    """Every field that has a value: built-in fields and metadata."""

    @classmethod
    def of_keys(cls, session: Session, keys: NDArray[np.int64]) -> Iterator[Self]:
        """The images with these keys, in this order. Their fields are read together. Missing images are left out."""
        for row in session.ask(_fields_of, keys.tolist()).to_pylist():
            yield cls(session, row.pop("key"), {name: value for name, value in row.items() if value is not None})

    @classmethod
    def of_id(cls, session: Session, id: str) -> Self:  # noqa: A002 - the users' word for it
        """The image with an id.

        Raises:
            UnknownNameError: It does not exist, or it was deleted.
        """
        for image in cls.of_keys(session, np.array([session.ask(key_of, id)], np.int64)):
            return image
        raise UnknownNameError(f"There is no image {id!r}: it has just been deleted.")

    def _ours(self, name: str) -> Any:
        """A field that every image has which was not made past odin_graph."""
        if self.fields.get(name) is None:
            raise StoreError(
                f"The image {self.fields.get('id', f'of key {self.key}')!r} has no {name}: another client made it "
                "without odin_graph, or removed it. Leave it out, delete it, or give it pixels (image.revise); "
                "`odin doctor` lists all such images."
            )
        return self.fields[name]

    @property
    def id(self) -> str:
        """Its id; by default the path that it was read from."""
        return str(self._ours("id"))

    @property
    def label(self) -> Any:
        """The label of today, or None. A data set version keeps the label that it froze."""
        return self.fields.get("label")

    @property
    def path(self) -> str | None:
        """The path that it was read from."""
        path: str | None = self.fields.get("path")
        return path

    @property
    def digest(self) -> str:
        """SHA-256 of dtype, shape and pixels, hexadecimal."""
        return str(self._ours("digest"))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and bands."""
        return int(self._ours("height")), int(self._ours("width")), int(self._ours("bands"))

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its pixels."""
        return np.dtype(str(self._ours("dtype")))

    @property
    def created_at(self) -> datetime | None:
        """When it was stored, in UTC."""
        at: datetime | None = self.fields.get("created_at")
        return at

    @property
    def metadata(self) -> dict[str, Any]:
        """Its metadata."""
        ours = set(reserved("Image"))
        return {name: value for name, value in self.fields.items() if name not in ours}

    def __getitem__(self, name: str) -> Any:
        """The value of a field, or None if the image has no value.

        Raises:
            UnknownNameError: No image has such a field.
        """
        if name in self.fields:
            return self.fields[name]
        known = self._session.ask(_known_fields)
        if name not in known:
            raise UnknownNameError.of("image field", name, known)
        return None

    def __getattr__(self, name: str) -> Any:
        """Metadata by name: ``image.age``. If every image has an attribute of this name: ``image["shape"]``."""
        if name.startswith("_") or name == "fields":  # asked for by copying and pickling, before there are fields
            raise AttributeError(name)
        try:
            return self[name]
        except UnknownNameError as error:  # what `hasattr` and `getattr` expect
            raise AttributeError(str(error)) from error

    @cached_property
    def pixels(self) -> NDArray[Any]:
        """The pixels (h, w, bands), in their own dtype.

        Raises:
            QueryError: The image takes more than a quarter of the memory budget: use `crop`.
        """
        return self._session.pixels.read_list(np.array([self.key], np.int64))[0]

    def crop(self, box: Sequence[int]) -> NDArray[Any]:
        """The pixels (bottom - top, right - left, bands) of a box. Only the tiles of a huge image are read.

        Args:
            box: (left, top, right, bottom) in whole pixels; right and bottom are exclusive.

        Raises:
            ShapeError: The box is empty, or extends beyond the image.
            DataError: It is not a box.
        """
        return self._session.pixels.read_boxes(np.array([self.key], np.int64), [box])[0]

    @cached_property
    def overview(self) -> NDArray[Any]:
        """The pixels to display. A huge image is averaged over squares, so its longer side has at most 1,024 pixels."""
        if "pixels" in vars(self):
            return self.pixels
        return self._session.pixels.read_displayed(np.array([self.key], np.int64))[0]

    @property
    def parent(self) -> Image | Volume | Video | None:
        """The image that an operation made it from, or the volume or video that it belongs to; otherwise None."""
        origin = self._session.ask(parent_of, int(self.key))
        if origin is not None:
            return next(Image.of_keys(self._session, np.array([origin[0]], np.int64)))
        stack = self._session.ask(stack_of, int(self.key))
        return None if stack is None else class_of(stack[0])(self._session, stack[1])

    def geometry(self) -> Geometry:
        """Its position on its parent image: converts points and boxes in both directions.

        Raises:
            QueryError: It has no parent image, or what made it does not say where its pixels lie: a function of your
                own, or an operation of a package without ``geometry(height, width)``.
        """
        origin = self._session.ask(parent_of, int(self.key))
        if origin is None:
            raise QueryError(f"{self.id!r} was not made from another image: it has no position on a parent.")
        key, op, params = origin
        (parent,) = Image.of_keys(self._session, np.array([key], np.int64))
        return geometry_to_parent(op, params, *parent.shape[:2])

    def ancestors(self) -> Relatives:
        """Everything that it was made from, at any depth: crops, originals, older pixels, volumes and videos."""
        return Relatives.reached(self._session, self.id, self.key, "ancestors")

    def descendants(self) -> Relatives:
        """Everything that was made from it: ``db.image(x).descendants().used_by(og.Experiment)``."""
        return Relatives.reached(self._session, self.id, self.key, "descendants")

    def predictions(self) -> list[dict[str, Any]]:
        """What every experiment whose predictions are in the graph predicted for it."""
        return self._session.ask(of_image, int(self.key))

    def used_by(self, kind: type[T] | str) -> ThingQuery[T]:
        """The data sets (``og.Dataset``) or experiments (``og.Experiment``) that used this image itself."""
        return used_by(self._session, (self.key,), kind)

    def top_units(self, layer: Layer, k: int = 10, *, view: UnitView = "units") -> TopUnits:
        """The k units of a layer with the highest values for this image, with their values.

        Args:
            layer: ``exp.layer("features")``.
            k: The number of units.
            view: Units, or channels by their largest value or mean.
        """
        units = _units_of(layer, view)
        return top_units(np.array(units.numbers, np.int64), units.values([self.key])[0], k)

    def unusual_units(
        self,
        layer: Layer,
        against: Any,
        k: int | None = 10,
        *,
        measure: Literal["z", "percentile"] = "z",
        view: UnitView = "units",
    ) -> UnusualUnits:
        """The units whose value for this image differs most from the values for other images.

        Args:
            layer: ``exp.layer("features")``.
            against: The other images: a query, images, their ids or keys.
            k: The number of units; None for all.
            measure: Sort by standard deviations from the mean, or by percentile.
            view: Units, or channels by their largest value or mean.
        """
        return _units_of(layer, view).unusual(int(self.key), against, k, measure)

    def sheet(self) -> ContactSheet:
        """Its picture with its label, to look at. More than 8 bits are stretched."""
        return contact_sheet([Tile(self.overview, self.id, truth=self.label)])

    def show(self) -> None:
        """Display it: as a picture in a notebook, elsewhere in the viewer of the system."""
        self.sheet().show()

    def save(self, path: str | Path) -> Path:
        """Write the picture of `show` as .png, .pdf, .svg or .jpg. For the pixels themselves, use `pixels`."""
        return self.sheet().save(path)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same image of the same workspace."""
        return isinstance(other, Image) and (self.key, self._session.address) == (other.key, other._session.address)

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        width, height, bands, dtype = map(self.fields.get, ("width", "height", "bands", "dtype"))
        size = f"{width} x {height} x {bands} {dtype}" if None not in (width, height, bands, dtype) else "no pixels"
        label = f", label {self.label!r}" if self.label is not None else ""
        return f"Image({self.fields.get('id', f'of key {self.key}')!r}: {size}{label})"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(str(value))}</td></tr>" for name, value in _shown(self.fields)
        )
        return f"<b>{escape(str(self.fields.get('id', self.key)))}</b><table>{rows}</table>"


def _units_of(layer: Any, view: UnitView) -> Units:
    if not isinstance(layer, Layer):
        raise QueryError(f'Units are those of a layer, as in exp.layer("features"), not of {layer!r:.80}.')
    return Units(layer, view)


def _shown(fields: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return sorted((name, value) for name, value in fields.items() if name not in ("id", "digest", "file_digest"))


@served
def _fields_of(stores: Stores, keys: list[int]) -> pa.Table:
    """``key`` and every field of the images that are there, in the order of the keys."""
    wanted = np.array(keys, np.int64)

    def read(at: Moment, _exact: bool) -> pa.Table:
        names = [name for name in stores.columns.fields("Image", at) if name != "key"]
        # A few images are looked up; for many, the whole columns are read once, not a part of them each time.
        return stores.columns.images(names, wanted if len(keys) <= _FEW else None, at)

    table = of_one_moment(stores.graph, read)
    stored = table.column("key").to_numpy()
    position = np.searchsorted(stored, wanted)  # of 1,024 among a million: no table of all keys for each
    there = position < len(stored)
    there[there] = stored[position[there]] == wanted[there]
    return table.take(pa.array(position[there]))


@served
def _known_fields(stores: Stores) -> list[str]:
    """The names of all fields that images have."""
    return list(stores.columns.fields("Image"))
