"""`Image`: one image as users hold it."""

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
import pyarrow.compute as pc
from numpy.typing import NDArray

from odin_graph.analysis.contact_sheet import ContactSheet, Tile, contact_sheet
from odin_graph.analysis.units.image import top_units, unusual_units
from odin_graph.catalog.images.derived import parent_of
from odin_graph.catalog.images.pixels import ARRAY, read_box
from odin_graph.catalog.images.stacks import stack_of
from odin_graph.catalog.records.tombstones import told_of_image
from odin_graph.errors import QueryError, StoreError, UnknownNameError
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.base.selection import Selection
from odin_graph.objects.layers.unit_questions import UnitQuestions
from odin_graph.objects.layers.units import Units
from odin_graph.objects.query.image_verbs import ImageVerbs
from odin_graph.objects.things.lineage import Relatives, used_by
from odin_graph.ops import Geometry
from odin_graph.query.expressions.moments import of_one_moment
from odin_graph.query.expressions.nodes import UnitView
from odin_graph.runtime.derive.derive import geometry_to_parent
from odin_graph.schema.reserved import reserved
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.analysis.units.image import TopUnits, UnusualUnits
    from odin_graph.graph.moment import Moment
    from odin_graph.objects.collections.stacks import Video, Volume
    from odin_graph.objects.layers.layer import Layer

T = TypeVar("T")


_FEW = 16
"""Images whose fields are looked up one by one, where the columns are not current."""


@dataclass(frozen=True, eq=False, repr=False)
class Image(ImageVerbs):
    """One image: its fields as they were when it was looked up, and its pixels when they are asked for."""

    _stores: Stores = field(repr=False)
    key: int
    """Its identity in arrays, columns and indexes."""
    fields: Mapping[str, Any]
    """Every field that has a value, ours and free metadata."""

    @classmethod
    def of_keys(cls, stores: Stores, keys: NDArray[np.int64]) -> Iterator[Self]:
        """The images of these keys, in this order; their fields are read together. One that is gone is left out."""

        def read(at: Moment, _exact: bool) -> pa.Table:
            names = [name for name in stores.columns.fields("Image", at) if name != "key"]
            # One or two are looked up; whoever goes through many reads the columns once, not a part of them each time.
            return stores.columns.images(names, keys if len(keys) <= _FEW else None)

        table = of_one_moment(stores.graph, read)
        found = pc.index_in(pa.array(keys), table.column("key").combine_chunks()).drop_null()
        rows = table.take(found).to_pylist()
        for row in rows:
            yield cls(stores, row.pop("key"), {name: value for name, value in row.items() if value is not None})

    @classmethod
    def of_id(cls, stores: Stores, id: str) -> Self:  # noqa: A002 - the users' word for it
        """The image of an id.

        Raises:
            UnknownNameError: There is none, or it was deleted.
        """
        rows = stores.graph.read("MATCH (i:Image {id: $id}) RETURN i.key AS key, i.deleted AS deleted", {"id": id})
        if not rows or rows[0]["deleted"]:
            if rows and (told := told_of_image(stores, id)):
                raise UnknownNameError(told)
            # The nearest names help; all of a million do not.
            known = stores.graph.read(
                "MATCH (i:Image) WHERE i.deleted IS NULL AND i.id IS NOT NULL RETURN i.id AS id LIMIT 1000"
            )
            (all_,) = stores.graph.read("MATCH (i:Image) WHERE i.deleted IS NULL RETURN count(i) AS n")
            raise UnknownNameError.of("image", id, [row["id"] for row in known], number=all_["n"])
        if rows[0]["key"] is None:
            raise QueryError(
                f"The image {id!r} has no key: another client removed it, or made the image past odin_graph. Its "
                "pixels cannot be found; `odin doctor` lists such images."
            )
        for image in cls.of_keys(stores, np.array([rows[0]["key"]], np.int64)):
            return image
        raise UnknownNameError(f"There is no image {id!r}: it has just been deleted.")

    def _ours(self, name: str) -> Any:
        """A field that every image has which was not made past odin_graph."""
        if self.fields.get(name) is None:
            raise StoreError(
                f"The image {self.fields.get('id', f'of key {self.key}')!r} has no {name}: another client made it past "
                "odin_graph, or removed it. Leave it out, delete it, or give it pixels (image.revise); `odin doctor` "
                "lists all such images."
            )
        return self.fields[name]

    @property
    def id(self) -> str:
        """The user's id; by default the path that it was read from."""
        return str(self._ours("id"))

    @property
    def label(self) -> Any:
        """Today's truth; None where there is none. A data set version keeps the label that it froze."""
        return self.fields.get("label")

    @property
    def path(self) -> str | None:
        """Where it was read from."""
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
        """The free metadata that it has."""
        ours = set(reserved("Image"))
        return {name: value for name, value in self.fields.items() if name not in ours}

    def __getitem__(self, name: str) -> Any:
        """A field; None where the image has no value of it.

        Raises:
            UnknownNameError: No image has such a field.
        """
        if name in self.fields:
            return self.fields[name]
        known = self._stores.columns.fields("Image")
        if name not in known:
            raise UnknownNameError.of("image field", name, known)
        return None

    def __getattr__(self, name: str) -> Any:
        """Free metadata by name: ``image.age``. A name that is an attribute of every image is ``image["shape"]``."""
        if name.startswith("_") or name == "fields":  # asked for by copying and pickling, before there are fields
            raise AttributeError(name)
        try:
            return self[name]
        except UnknownNameError as error:  # what `hasattr` and `getattr` expect
            raise AttributeError(str(error)) from error

    @cached_property
    def pixels(self) -> NDArray[Any]:
        """The pixels (h, w, bands), of the dtype that they came in.

        Raises:
            QueryError: The image is huge, and more than a quarter of the memory that may be taken: see `crop`.
        """
        pixels: NDArray[Any] = self._stores.columns.array(ARRAY).read_list(np.array([self.key], np.int64))[0]
        return pixels

    def crop(self, box: Sequence[int]) -> NDArray[Any]:
        """The pixels (bottom - top, right - left, bands) of a box; of a huge image only its tiles are read.

        Args:
            box: (left, top, right, bottom) in whole pixels; the last row and column are not part of it.

        Raises:
            ShapeError: The box is empty, or reaches outside of the image.
            DataError: It is no box.
        """
        return read_box(self._stores, self.key, box)

    @cached_property
    def overview(self) -> NDArray[Any]:
        """The pixels for looking at: of a huge image averaged over squares, its longer side 1,024 pixels at most."""
        if "pixels" in vars(self):
            return self.pixels
        (pixels,) = self._stores.columns.array(ARRAY).read_displayed(np.array([self.key], np.int64))
        return pixels

    @property
    def parent(self) -> Image | Volume | Video | None:
        """The image that it was made from by an operation, or the volume or video that it is of; None of any other."""
        held = parent_of(self._stores, self.key)
        if held is not None:
            return next(Image.of_keys(self._stores, np.array([held[0]], np.int64)))
        stack = stack_of(self._stores, self.key)
        return None if stack is None else class_of(stack[0])(self._stores, stack[1])

    def geometry(self) -> Geometry:
        """Where it lies on the image that it was made from: maps points and boxes there and back.

        Raises:
            QueryError: It came in as it is, or a function of one's own made it.
        """
        held = parent_of(self._stores, self.key)
        if held is None:
            raise QueryError(f"{self.id!r} was made from no other image: it has no place on a parent.")
        key, op, params = held
        (parent,) = Image.of_keys(self._stores, np.array([key], np.int64))
        return geometry_to_parent(op, params, *parent.shape[:2])

    def ancestors(self) -> Relatives:
        """What it was made from, at any distance: crops, originals, older pixels, volumes and videos."""
        return Relatives.reached(self._stores, self.id, self.key, "ancestors")

    def descendants(self) -> Relatives:
        """What was made from it: ``db.image(x).descendants().used_by(og.Experiment)``."""
        return Relatives.reached(self._stores, self.id, self.key, "descendants")

    def used_by(self, kind: type[T]) -> Selection[T]:
        """The data sets (``og.Dataset``) or experiments (``og.Experiment``) that the image itself went into."""
        return used_by(self._stores, (self.key,), kind)

    def top_units(self, layer: Layer, k: int = 10, *, view: UnitView = "units") -> TopUnits:
        """The k units of a layer that say the most of it: which, and what they say."""
        return top_units(*self._said(layer, view), k)

    def unusual_units(
        self,
        layer: Layer,
        against: Any,
        k: int | None = 10,
        *,
        by: Literal["z", "percentile"] = "z",
        view: UnitView = "units",
    ) -> UnusualUnits:
        """The units whose value of this image is the most unusual against other images.

        Args:
            layer: ``exp.layer("features")``.
            against: A query, images, their ids or keys.
            k: How many; None for all.
            by: How many deviations from the mean, or at which percentile.
            view: Units, or channels by their largest value or mean.
        """
        units, values = self._said(layer, view)
        others = layer._query(against, view)  # noqa: SLF001
        keys = [int(key) for key in np.unique(others.keys()) if key != self.key]
        slabs = layer._slabs(layer._query(keys, view), view)  # noqa: SLF001
        return unusual_units(slabs, units, values, k, by=by)

    def _said(self, layer: Layer, view: UnitView) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if not isinstance(layer, UnitQuestions):
            raise QueryError(f'Units are those of a layer, as in exp.layer("features"), not of {layer!r:.80}.')
        units = Units(layer, view)
        return np.array(units.numbers, np.int64), units.values([self.key])[0]

    def sheet(self) -> ContactSheet:
        """Its picture with its label; above 8 bits stretched, for looking at only."""
        return contact_sheet([Tile(self.overview, self.id, truth=self.label)])

    def show(self) -> None:
        """Display it: in a notebook as a picture, elsewhere in the system's viewer."""
        self.sheet().show()

    def save(self, path: str | Path) -> Path:
        """Write the picture that `show` displays, as .png, .pdf, .svg or .jpg. The pixels themselves are `pixels`."""
        return self.sheet().save(path)

    def __eq__(self, other: object) -> bool:
        """The same image of the same workspace."""
        return isinstance(other, Image) and (self.key, self._stores.address) == (other.key, other._stores.address)

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


def _shown(fields: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return sorted((name, value) for name, value in fields.items() if name not in ("id", "digest", "file_digest"))
