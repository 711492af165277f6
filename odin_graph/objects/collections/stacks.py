"""Volumes and videos: the parents and roots of their slices and frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from odin_graph.analysis.contact_sheet import ContactSheet, Tile, contact_sheet
from odin_graph.analysis.display import displayable
from odin_graph.catalog.images.lineage import derived_of
from odin_graph.catalog.images.stacks import PARTS, Kind, Stack, add_stack, images_of, stack_node
from odin_graph.catalog.purge.purge import PurgeReport
from odin_graph.catalog.purge.purge_stacks import purge_stack
from odin_graph.client import Session
from odin_graph.errors import LayoutWarning, QueryError
from odin_graph.ingest.layout import remark_on_volume
from odin_graph.objects.base.verbs import Verbs
from odin_graph.objects.query.collection import Collection
from odin_graph.objects.query.query import Query
from odin_graph.objects.things.image import Image
from odin_graph.objects.things.lineage import Relatives
from odin_graph.query.plan.plan import Keys, Plan
from odin_graph.warned import warn

_SHOWN: Final = 24
S = TypeVar("S", bound="StackObject")


@dataclass(frozen=True, repr=False)
class StackObject(Verbs):
    """What volumes and videos have in common."""

    KIND: ClassVar[Kind]
    _session: Session
    id: str

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array that was added."""
        return tuple(self._node["shape"])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the pixels."""
        dtype: np.dtype[Any] = np.dtype(str(self._node["dtype"]))
        return dtype

    @property
    def digest(self) -> str:
        """SHA-256 over shape, axis, step and the digests of the images: equal in other workspaces."""
        return str(self._node["digest"])

    def descendants(self) -> Relatives:
        """Its images, and what was made from them: ``.descendants().used_by(og.Experiment)``."""
        return Relatives(self._session, self.id, self._session.ask(derived_of, self.KIND, [self.id]), "descendants")

    def purge(self, *, why: str | None = None, who: str | None = None, force: bool = False) -> PurgeReport:
        """Destroy its images, everything derived or computed from them, and its metadata; see `Images.purge`."""
        return purge_stack(self._stores, self.KIND, self.id, why=why, who=who, force=force)

    def sheet(self) -> ContactSheet:
        """A contact sheet of its images, at equal distances. More than 8 bits are stretched on one scale."""
        rows = self._rows()
        shown = [rows[place] for place in np.unique(np.linspace(0, len(rows) - 1, min(_SHOWN, len(rows))).astype(int))]
        keys = np.array([row["key"] for row in shown], np.int64)
        pixels = displayable(np.stack(self._session.pixels.read_displayed(keys)))
        tiles = [Tile(image, row["id"].rpartition("/")[2]) for image, row in zip(pixels, shown, strict=True)]
        return contact_sheet(tiles, title=f"{self.id}: {len(rows):,} {PARTS[self.KIND]}s")

    def show(self) -> None:
        """Display it: as a picture in a notebook, elsewhere in the viewer of the system."""
        self.sheet().show()

    def save(self, path: str | Path) -> Path:
        """Write the picture that `show` displays."""
        return self.sheet().save(path)

    def __len__(self) -> int:
        return len(self._rows())

    def __iter__(self) -> Iterator[Image]:
        """Its images, in their order."""
        return iter(self._images())

    @overload
    def __getitem__(self, item: int) -> Image: ...
    @overload
    def __getitem__(self, item: slice) -> Query: ...
    def __getitem__(self, item: int | slice) -> Image | Query:
        return self._images()[item]

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        return f"{self.KIND}({self.id!r}: {size} {self.dtype}, {len(self):,} {PARTS[self.KIND]}s)"

    def _repr_html_(self) -> str:
        return f"<b>{escape(repr(self))}</b>"

    def _images(self) -> Query:
        return Query(self._session.address, Plan(Keys(tuple(row["key"] for row in self._rows()))))

    def _rows(self) -> list[dict[str, Any]]:
        return self._session.ask(images_of, self.KIND, self.id)

    def _array(self) -> NDArray[Any]:
        axis, shape = int(self._node["axis"]), self.shape
        rows = self._rows()
        if len(rows) != int(self._node["size"]):
            raise QueryError(
                f"{int(self._node['size']) - len(rows)} {PARTS[self.KIND]}s of {self.id!r} were deleted: "
                f"use the remaining ones, {PARTS[self.KIND]}s()."
            )
        read = self._session.pixels.read(np.array([row["key"] for row in rows], np.int64))
        whole = np.moveaxis(read, 0, axis)
        return whole if len(shape) == 4 else whole[..., 0]

    @property
    def _node(self) -> dict[str, Any]:
        return self._session.ask(stack_node, self.KIND, self.id)


@dataclass(frozen=True, repr=False)
class Volume(StackObject):
    """A volume, cut into slices that are images."""

    KIND = "Volume"

    def slices(self) -> Query:
        """Its slices in order, as a query. ``F("slice_index")`` is the position along the axis."""
        return self._images()

    @property
    def voxels(self) -> NDArray[Any]:
        """The array that was added, or every n-th slice of it.

        Raises:
            QueryError: Slices were deleted.
        """
        return self._array()


@dataclass(frozen=True, repr=False)
class Video(StackObject):
    """A video, cut into frames that are images."""

    KIND = "Video"

    def frames(self) -> Query:
        """Its frames in order, as a query. ``F("frame_index")`` is the number of the frame."""
        return self._images()

    @property
    def fps(self) -> float | None:
        """Frames per second, if known."""
        fps: float | None = self._node.get("fps")
        return fps

    @property
    def pixels(self) -> NDArray[Any]:
        """The array that was added, or every n-th frame of it.

        Raises:
            QueryError: Frames were deleted.
        """
        return self._array()


class Stacks(Collection[S]):
    """The volumes, or the videos, of a workspace. What is deleted is deleted with its images."""

    KIND: ClassVar[Kind]
    _of: type[S]

    def __getitem__(self, id: str) -> S:  # noqa: A002 - the users' word for it
        self._session.ask(stack_node, self.KIND, id)
        return self._of(self._session, id)

    def _store(self, stack: Stack, progress: bool) -> S:
        add_stack(self._stores, stack, progress=progress)
        if remark := remark_on_volume(f"The {self.KIND.lower()} {stack.id!r}", stack.array.shape):
            warn(remark, LayoutWarning)
        return self._of(self._session, stack.id)


class Volumes(Stacks[Volume]):
    """The volumes: ``db.volumes.add("scan-7", voxels, patientID=12)``, ``db.volumes["scan-7"].slices()``."""

    KIND = "Volume"
    _of = Volume

    def add(
        self,
        id: str,  # noqa: A002 - the users' word for it
        voxels: Any,
        *,
        axis: int = 0,
        every: int = 1,
        labels: Sequence[Any] | None = None,
        metadata: Mapping[str, Sequence[Any]] | None = None,
        progress: bool = True,
        **fields: Any,
    ) -> Volume:
        """Store a volume as its slices: images ``ID/000000`` and so on, with the volume as root.

        If the call is interrupted, call it again: it continues. The same volume again returns the existing one.

        Args:
            id: The id.
            voxels: (depth, h, w) or (depth, h, w, bands) of any integer, float or bool dtype. An array that is
                sliced on disk (`np.memmap`, zarr) is never in memory as a whole.
            axis: The axis along which the slices are taken.
            every: Store each n-th slice.
            labels: One label for each stored slice.
            metadata: Columns with one value for each stored slice.
            progress: Show a progress bar.
            fields: Metadata of the volume, which every slice inherits.

        If the first axis looks like channels, you get a `LayoutWarning`.

        Raises:
            ShapeError: The array is not a volume, or columns have different lengths.
            ConflictError: Another volume has the id, or it was deleted.
        """
        stack = Stack(
            kind="Volume",
            id=id,
            array=voxels,
            axis=axis,
            every=every,
            labels=labels,
            columns=metadata or {},
            fields=fields,
        )
        return self._store(stack, progress)


class Videos(Stacks[Video]):
    """The videos: ``db.videos.add("surgery-3", frames, fps=25)``, ``db.videos["surgery-3"].frames()``."""

    KIND = "Video"
    _of = Video

    def add(
        self,
        id: str,  # noqa: A002 - the users' word for it
        frames: Any,
        *,
        fps: float | None = None,
        every: int = 1,
        labels: Sequence[Any] | None = None,
        metadata: Mapping[str, Sequence[Any]] | None = None,
        progress: bool = True,
        **fields: Any,
    ) -> Video:
        """Store a video as its frames: images ``ID/000000`` and so on, with the video as root.

        Args:
            id: The id.
            frames: (frames, h, w) or (frames, h, w, bands); see `Volumes.add`.
            fps: Frames per second. Each frame then has ``frame_seconds``.
            every: Store each n-th frame.
            labels: One label for each stored frame.
            metadata: Columns with one value for each stored frame.
            progress: Show a progress bar.
            fields: Metadata of the video, which every frame inherits.

        Raises:
            ShapeError: The array is not a video, or columns have different lengths.
            ConflictError: Another video has the id, or it was deleted.
        """
        stack = Stack(
            kind="Video",
            id=id,
            array=frames,
            every=every,
            fps=fps,
            labels=labels,
            columns=metadata or {},
            fields=fields,
        )
        return self._store(stack, progress)
