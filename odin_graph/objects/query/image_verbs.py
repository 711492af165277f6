"""Update, delete, purge and revise: for one image, and for ``db.images``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from odin_graph.arguments import read_fields
from odin_graph.catalog.images.images import AddReport, keys_of
from odin_graph.catalog.images.revisions import revise_images
from odin_graph.catalog.purge.purge import PurgeReport, purge
from odin_graph.catalog.records import deletion
from odin_graph.catalog.records.deletion import DeletionReport
from odin_graph.catalog.records.undelete import UndeletionReport, undelete
from odin_graph.catalog.records.updates import Missing, UpdateReport, update_metadata
from odin_graph.errors import LayoutWarning
from odin_graph.ingest.layout import remarks
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.base.in_session import InSession
from odin_graph.objects.base.rows import rows_of
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.schema.metadata import plain
from odin_graph.schema.several import in_order
from odin_graph.stores import Stores
from odin_graph.warned import warn

if TYPE_CHECKING:
    from odin_graph.objects.things.image import Image


class ImageVerbs(InSession):
    """The methods that change one image."""

    key: Any
    fields: Any

    def update(self, values: Mapping[str, Any] | None = None, /, **metadata: Any) -> Self:
        """Set metadata: ``image.update(age=61)``. None removes a field. For the label, use `db.labels.update`.

        Args:
            values: The metadata as a dict, for names that are not valid Python names.
            metadata: The metadata as keyword arguments.
        """
        changes = {name: plain(value) for name, value in read_fields("update()", values, metadata).items()}
        columns = {name: [value] for name, value in changes.items()}
        update_metadata(self._stores, "Image", [int(self.key)], columns, missing="remove")
        fields = {name: value for name, value in {**self.fields, **changes}.items() if value is not None}
        object.__setattr__(self, "fields", fields)  # this object shows what is stored
        return self

    def delete(self, *, why: str | None = None, who: str | None = None, force: bool = False) -> DeletionReport:
        """Delete the image and keep a tombstone. Refused if a data set version contains it, unless forced.

        Args:
            why: The reason, stored on the tombstone.
            who: Who deletes it; by default your login name.
            force: Delete it anyway. The version keeps its digest, opens as before, and reports what is missing.
        """
        return deletion.delete(self._stores, "Image", [int(self.key)], why=why, who=who, force=force)

    def undelete(self) -> UndeletionReport:
        """Remove its tombstone, so that readers see it again as it was; see `Images.undelete`."""
        return undelete(self._stores, "Image", [int(self.key)])

    def purge(self, *, why: str | None = None, who: str | None = None, force: bool = False) -> PurgeReport:
        """Destroy it, and everything that was derived or computed from it; see `Images.purge`."""
        return purge(self._stores, np.array([self.key], np.int64), why=why, who=who, force=force)

    def revise(self, pixels: NDArray[Any], **metadata: Any) -> Image:
        """Store new pixels: a new image ``ID@2``, a REVISION_OF this one, with its label and metadata.

        Args:
            pixels: (h, w) or (h, w, bands).
            metadata: Metadata that differs from before.
        """
        columns = {name: [value] for name, value in metadata.items()}
        report = _revised(self._stores, [str(self.fields["id"])], [pixels], columns)
        image: Image = next(class_of("Image").of_keys(self._session, report.keys))
        return image


class ImagesVerbs(InSession):
    """The same methods of ``db.images``."""

    def update(self, source: Any, /, *, missing: Missing = "keep") -> UpdateReport:
        """Set metadata of many images: one row for each image, a column ``id`` or ``key``, and one for each field.

        Everything is checked first. Then up to 50,000 images are one transaction: all or nothing. More images are
        stored in batches of this size. You can repeat an interrupted call.

        Args:
            source: A DataFrame, an Arrow table, a dict of columns, or a dict of dicts by id.
            missing: What a missing value does: ``"keep"`` keeps the stored value, ``"remove"`` removes it.

        Raises:
            MetadataError: A name that odin_graph uses itself (for the label, use `db.labels.update`), or a wrong type.
            DataError: An image is given twice, or an id does not exist. Nothing is changed.
        """
        things, columns = rows_of(source)
        return update_metadata(self._stores, "Image", keys_of(self._stores, things).tolist(), columns, missing=missing)

    def delete(
        self, images: Any, /, *, why: str | None = None, who: str | None = None, force: bool = False
    ) -> DeletionReport:
        """Delete images and keep tombstones: readers do not see them, lineage does, and their pixels stay.

        Args:
            images: A query, an image, its id, or several.
            why: The reason, stored on the tombstone.
            who: Who deletes it; by default your login name.
            force: Also delete images in data set versions. These keep their digest, open as before, and report what is
                missing.

        Raises:
            FrozenError: Data set versions contain them. The message lists these.
        """
        stores = self._stores  # a remote session refuses here, before anything is looked up
        keys = self._keys_of(images).tolist()
        return deletion.delete(stores, "Image", keys, why=why, who=who, force=force)

    def undelete(self, images: Any, /) -> UndeletionReport:
        """Remove the tombstones of images, in one transaction. Readers see the images again as they were.

        Data set versions contain them again. `Workspace.deletions` lists what was deleted.

        Args:
            images: An image, its id, or several.

        Raises:
            UnknownNameError: The image does not exist.
            ConflictError: An image was purged, so nothing of it can be restored.
        """
        return undelete(self._stores, "Image", self._keys_of(images).tolist())

    def purge(
        self,
        images: Any,
        /,
        *,
        why: str | None = None,
        who: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> PurgeReport:
        """Destroy images: pixels, originals, activations, predictions, labels, metadata, and derived images.

        Their tombstones stay, with only id and key, so lineage can still be answered. Data set versions that contain
        them keep digest, order and length. If a purge is interrupted, the next purge finishes it.

        Args:
            images: A query, an image, its id, or several. They may be deleted already.
            why: The reason, stored on the tombstone.
            who: Who deletes it; by default your login name.
            force: Also purge images in data set versions.
            dry_run: Only report what would be destroyed, and what could not.

        Returns:
            What was destroyed, and what could not be.

        Raises:
            FrozenError: Data set versions contain them. The message lists these.
            ConflictError: Another process purges, or builds something that may contain them.
        """
        return purge(
            self._stores,
            self._keys_of(images),
            why=why,
            who=who,
            force=force,
            dry_run=dry_run,
        )

    def revise(
        self,
        ids: Sequence[str],
        images: Sequence[Any] | NDArray[Any],
        metadata: Mapping[str, Sequence[Any]] | None = None,
    ) -> list[Image]:
        """Store new pixels: for each a new image ``ID@2``, a REVISION_OF the one before, with its label and metadata.

        Args:
            ids: The images, by the id of any of their versions.
            images: Pixels (h, w) or (h, w, bands), one for each image.
            metadata: Metadata that differs from before: columns by name.

        Raises:
            UnknownNameError: No such image.
            DataError: An image twice.
            ShapeError: Pixels that are no image.
        """
        report = _revised(self._stores, list(ids), list(in_order("images", images)), metadata)
        return list(class_of("Image").of_keys(self._session, report.keys))

    def _keys_of(self, images: Any) -> NDArray[np.int64]:
        """The keys of images, also of deleted ones. The id of a data set is refused, since images may be destroyed."""
        return keys_of_images(self._session, images, deleted=True, named_sets=False)


def _revised(
    stores: Stores, ids: Sequence[str], images: Sequence[Any], metadata: Mapping[str, Sequence[Any]] | None
) -> AddReport:
    report = revise_images(stores, ids, images, metadata)
    for remark in remarks((id_, image) for id_, image in zip(ids, images, strict=True) if hasattr(image, "shape")):
        warn(remark, LayoutWarning)
    return report
