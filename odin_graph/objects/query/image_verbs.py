"""What the verbs are for images: one, those of a query, and all of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.images.images import AddReport, keys_of
from odin_graph.catalog.images.revisions import revise_images
from odin_graph.catalog.purge.purge import PurgeReport, purge
from odin_graph.catalog.records import deletion
from odin_graph.catalog.records.deletion import DeletionReport
from odin_graph.catalog.records.undelete import UndeletionReport, undelete
from odin_graph.catalog.records.updates import Missing, UpdateReport, constant, update_metadata
from odin_graph.errors import LayoutWarning
from odin_graph.ingest.layout import remarks
from odin_graph.objects.base.class_table import class_of
from odin_graph.objects.base.rows import rows_of
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.query.expressions.expressions import Expr
from odin_graph.schema.metadata import plain
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.objects.query.query import Query
    from odin_graph.objects.things.image import Image


class ImageVerbs:
    """The verbs of one image."""

    _stores: Any
    key: Any
    fields: Any

    def update(self, values: Mapping[str, Any] | None = None, /, **metadata: Any) -> Self:
        """Set free metadata: ``image.update(age=61)``; None takes a field away. A label is for `db.labels.set`.

        Args:
            values: The metadata as a dict, for names that are no Python names.
            metadata: The same by keyword.
        """
        said = {name: plain(value) for name, value in {**(values or {}), **metadata}.items()}
        columns = {name: [value] for name, value in said.items()}
        update_metadata(self._stores, "Image", [int(self.key)], columns, missing="remove")
        fields = {name: value for name, value in {**self.fields, **said}.items() if value is not None}
        object.__setattr__(self, "fields", fields)  # what this object says is what is stored
        return self

    def delete(self, *, why: str | None = None, by: str | None = None, force: bool = False) -> DeletionReport:
        """Put a tombstone on it; refused while a data set version holds it, unless forced.

        Args:
            why: The reason, for whoever meets the tombstone.
            by: Who does it; by default your login name.
            force: Delete it all the same. The version keeps its digest, opens as before, and says what is missing.
        """
        return deletion.delete(self._stores, "Image", [int(self.key)], why=why, by=by, force=force)

    def undelete(self) -> UndeletionReport:
        """Take its tombstone away: readers show it again, as it was; see `Images.undelete`."""
        return undelete(self._stores, "Image", [int(self.key)])

    def purge(self, *, why: str | None = None, by: str | None = None, force: bool = False) -> PurgeReport:
        """Destroy it with all that was derived and computed from it; see `Images.purge`."""
        return purge(self._stores, np.array([self.key], np.int64), why=why, by=by, force=force)

    def revise(self, pixels: NDArray[Any], **metadata: Any) -> Image:
        """New pixels: a new image ``ID@2``, a REVISION_OF this one, with its label and metadata.

        Args:
            pixels: (h, w) or (h, w, bands).
            metadata: Free metadata that is other than before.
        """
        columns = {name: [value] for name, value in metadata.items()}
        report = _revised(self._stores, [str(self.fields["id"])], [pixels], columns)
        image: Image = next(class_of("Image").of_keys(self._stores, report.keys))
        return image


class QueryVerbs:
    """The verbs of the images that a query selects."""

    def update(self: Any, values: Mapping[str, Any] | None = None, /, **metadata: Any) -> UpdateReport:
        """Set free metadata of every image of the query: a value for all, or an expression for each.

        ``db.images("retina").update(site="Lima", pressure_per_year=F("iop") / F("age"))``; None takes a field away.

        Args:
            values: The metadata as a dict, for names that are no Python names.
            metadata: The same by keyword.
        """
        said = {**(values or {}), **metadata}
        computed = {f"c{place}": value for place, value in enumerate(said.values()) if isinstance(value, Expr)}
        table = self.to_arrow("id", **computed) if computed else self.run()
        keys = table.column("key").to_pylist()
        columns: dict[str, Sequence[Any]] = {}
        for place, (name, value) in enumerate(said.items()):
            found = isinstance(value, Expr)
            columns[name] = table.column(f"c{place}").to_pylist() if found else constant(value, len(keys))
        return update_metadata(self._stores, "Image", keys, columns, missing="remove")

    def delete(self: Any, *, why: str | None = None, by: str | None = None, force: bool = False) -> DeletionReport:
        """Put tombstones on the images of the query; refused while a data set version holds one, unless forced."""
        return deletion.delete(self._stores, "Image", self.keys().tolist(), why=why, by=by, force=force)

    def purge(
        self: Any, *, why: str | None = None, by: str | None = None, force: bool = False, dry_run: bool = False
    ) -> PurgeReport:
        """Destroy the images of the query with all that was derived and computed from them; see `Images.purge`."""
        return purge(self._stores, self.keys(), why=why, by=by, force=force, dry_run=dry_run)


class ImagesVerbs:
    """The verbs of all images: ``db.images``."""

    _stores: Stores

    def insert(self: Any, *what: Any, **how: Any) -> Any:
        """Store images: another word for `add`."""
        return self.add(*what, **how)

    def select(self: Any, *what: Any, cypher: str | None = None, **params: Any) -> Query:
        """Images as a query: ``select("retina", F("age") > 60)`` is ``db.images("retina").where(F("age") > 60)``.

        Args:
            what: A data set, its id or a list of images, if not all; then conditions.
            cypher: Any Cypher that returns images, as a source instead.
            params: The values of its parameters.
        """
        sources = what[:1] if what and not isinstance(what[0], Expr) else ()
        query: Query = self(*sources, cypher=cypher, **params)
        conditions = what[len(sources) :]
        return query.where(*conditions) if conditions else query

    def update(self, source: Any, /, *, missing: Missing = "keep") -> UpdateReport:
        """Set free metadata of many images at once: a row an image, a column ``id`` or ``key``, one for each field.

        All of it is checked first; up to 50,000 images are then one transaction, all or nothing. More are stored in
        batches of so many, and an interrupted call may be repeated.

        Args:
            source: A DataFrame, an Arrow table, a dict of columns, or a dict of dicts by id.
            missing: What a missing value does: ``"keep"`` leaves what is there, ``"remove"`` takes it away.

        Raises:
            MetadataError: A name that is ours (a label is for `db.labels.set`), or values of another type.
            DataError: An image twice, or ids that are of no image; nothing is changed.
        """
        things, columns = rows_of(source)
        return update_metadata(self._stores, "Image", keys_of(self._stores, things).tolist(), columns, missing=missing)

    def delete(
        self, images: Any, /, *, why: str | None = None, by: str | None = None, force: bool = False
    ) -> DeletionReport:
        """Put tombstones on images: no reader shows them, lineage still tells of them, their pixels stay.

        Args:
            images: A query, an image, its id, or several.
            why: The reason, for whoever meets the tombstone.
            by: Who does it; by default your login name.
            force: Delete also what is in a data set version, which keeps its digest, opens as before, and says what is
                missing.

        Raises:
            FrozenError: Data set versions hold them; says which.
        """
        keys = self._keys_of(images).tolist()
        return deletion.delete(self._stores, "Image", keys, why=why, by=by, force=force)

    def undelete(self, images: Any, /) -> UndeletionReport:
        """Take the tombstones from images, in one transaction: readers show them again, as they were.

        Data set versions that held them have them again. `Workspace.deletions` lists what was deleted.

        Args:
            images: An image, its id, or several.

        Raises:
            UnknownNameError: No such image.
            ConflictError: One was purged: nothing of it is left that could come back.
        """
        return undelete(self._stores, "Image", self._keys_of(images).tolist())

    def purge(
        self,
        images: Any,
        /,
        *,
        why: str | None = None,
        by: str | None = None,
        force: bool = False,
        dry_run: bool = False,
    ) -> PurgeReport:
        """Destroy images: pixels, originals, activations, predictions, labels, metadata, and what was derived of them.

        Their tombstones stay, with id and key alone, so that lineage can still be told. Data set versions that held
        them keep digest, order and length. Interrupted, it is gone on with by any next call.

        Args:
            images: A query, an image, its id, or several; those that were deleted before, too.
            why: The reason, kept on the tombstone.
            by: Who does it; by default your login name.
            force: Purge also what is in a data set version.
            dry_run: Only say what would be destroyed, and what could not.

        Returns:
            What was destroyed, and what could not be.

        Raises:
            FrozenError: Data set versions hold them; says which.
            ConflictError: Another process purges, or builds what may hold them.
        """
        return purge(
            self._stores,
            self._keys_of(images),
            why=why,
            by=by,
            force=force,
            dry_run=dry_run,
        )

    def revise(
        self,
        ids: Sequence[str],
        images: Sequence[Any] | NDArray[Any],
        metadata: Mapping[str, Sequence[Any]] | None = None,
    ) -> list[Image]:
        """New pixels of images: each a new image ``ID@2``, a REVISION_OF the one before, with its label and metadata.

        Args:
            ids: The images, by the id of any of their versions.
            images: (h, w) or (h, w, bands), one an image.
            metadata: Free metadata that is other than before: columns by name.
        """
        report = _revised(self._stores, list(ids), list(images), metadata)
        return list(class_of("Image").of_keys(self._stores, report.keys))

    def _keys_of(self, images: Any) -> NDArray[np.int64]:
        """Those that were deleted, too. The id of a data set does not stand for its images where some are lost."""
        return keys_of_images(self._stores, images, deleted=True, named_sets=False)


def _revised(
    stores: Stores, ids: Sequence[str], images: Sequence[Any], metadata: Mapping[str, Sequence[Any]] | None
) -> AddReport:
    report = revise_images(stores, ids, images, metadata)
    for remark in remarks((id_, image) for id_, image in zip(ids, images, strict=True) if hasattr(image, "shape")):
        warnings.warn(remark, LayoutWarning, stacklevel=3)
    return report
