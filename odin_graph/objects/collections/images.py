"""`db.images`: all images as queries, and by id."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from odin_graph import schema
from odin_graph.address import Address, Remote
from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.catalog.images.arrivals import OnConflict
from odin_graph.catalog.records.fields import recorded_types
from odin_graph.errors import QueryError
from odin_graph.ingest import IngestReport, entries_of, ingest
from odin_graph.ingest.ingest import BATCH, OnError
from odin_graph.ingest.kind import entries_of_kind
from odin_graph.objects.base.listed import Listed
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.query.image_verbs import ImagesVerbs
from odin_graph.objects.query.query import Query
from odin_graph.objects.things.dataset import Dataset
from odin_graph.objects.things.image import Image
from odin_graph.query.expressions.expressions import Expr
from odin_graph.query.names.cypher_source import cypher_source
from odin_graph.query.plan.plan import AllImages, Keys, Members, Plan, Registered, Source
from odin_graph.schema.metadata import asked_type

if TYPE_CHECKING:
    import pandas as pd


@dataclass(repr=False)
class ImagesAdded(IngestReport):
    """What happened to the images of a call; `images` goes on with them."""

    address: Address | Remote = field(kw_only=True)

    def images(self) -> Query:
        """The images of the call that are stored now, in its order; of a revised image the new one."""
        return Query(self.address, Plan(Keys(tuple(self.keys))))


class Images(ImagesVerbs, Listed[Image]):
    """The images of a workspace: ``db.images("retina-test")`` is a query, ``db.images["a.png"]`` is one image."""

    def __call__(self, source: Any = None, /, *, cypher: str | None = None, **params: Any) -> Query:
        """Images as a query.

        Args:
            source: A data set or its id (an id without a version is the latest version); images, their ids or keys, in
                this order; or the source of a package, ``og.source("name", ...)``. By default all images.
            cypher: Instead, a Cypher statement that returns images (``RETURN i``) or their keys (``RETURN i.key``). It
                can only read.
            params: The values of the parameters in the statement.

        Raises:
            UnknownNameError: There is no such data set.
            QueryError: Both a source and Cypher are given, or parameters without Cypher.
        """
        if cypher is not None:
            if source is not None:
                raise QueryError("images() takes a data set or cypher=, not both: put the data set into the Cypher.")
            return self._query(cypher_source(cypher, params))
        if params:
            raise QueryError(
                f"images() knows no {', '.join(params)}: parameters are for cypher=, conditions for where()."
            )
        return self._query(self._source(source))

    def add(
        self,
        source: str | os.PathLike[str] | pd.DataFrame | None = None,
        *,
        images: Any = None,
        labels: Sequence[Any] | None = None,
        ids: Sequence[str] | None = None,
        metadata: Mapping[str, Sequence[Any]] | pd.DataFrame | None = None,
        types: Mapping[str, type] | None = None,
        prefix: str = "image",
        root: str | os.PathLike[str] | None = None,
        kind: type[schema.Image] = schema.Image,
        on_error: OnError = "raise",
        on_conflict: OnConflict = "error",
        keep_originals: bool = False,
        batch_size: int = BATCH,
        progress: bool = True,
    ) -> ImagesAdded:
        """Store images. If the call is interrupted, call it again: it continues where it stopped.

        Args:
            source: A folder with one subfolder for each class (the id is the path in it, the label is the name of the
                subfolder). Or a manifest: a CSV, TSV or Parquet file or a DataFrame with a column ``path``, optional
                columns ``id`` and ``label``, and other columns, which become metadata. A CSV column becomes numbers,
                bools or dates only if every value, printed again, looks as it was written: patient 0001 stays 0001.
            images: Arrays instead of a source: (n, h, w), (n, h, w, bands), or a list of images of any shapes.
            labels: With ``images``: one label for each, or None.
            ids: With ``images``: one id for each; by default PREFIX/000000 and so on.
            metadata: With ``images``: columns by name, with one value for each image.
            types: The types of columns, also of the label: ``{"age": int, "patientID": str}``; also ``float``,
                ``bool``, ``date`` and ``datetime``. Values may then be written freely, and NA, null and nan are
                missing.
            prefix: The prefix of the default ids. Use a different one for each array.
            root: The folder for the relative paths of a manifest; by default the folder of the manifest.
            kind: A subclass of `schema.Image`. Its declared fields are filled from the metadata.
            on_error: ``"raise"`` an error for an image that cannot be read, or ``"skip"`` it and report it.
            on_conflict: What to do if an id exists with other pixels: ``"error"``; ``"skip"`` it and report it;
                ``"revise"`` makes a new image ``ID@2``; ``"update"`` does the same, and also sets the label and the
                metadata of images that exist with the same pixels.
            keep_originals: Also store the encoded bytes of the files.
            batch_size: The largest number of images in one transaction, which is stored completely or not at all.
            progress: Show a progress bar.

        Raises:
            UnreadableImageError: A file cannot be read. The message names it and the reason.
            ConflictError: An id exists with other pixels, or is given twice.
            MetadataError: A metadata name or type is not allowed.
        """
        given = entries_of(
            source,
            images=images,
            labels=labels,
            ids=ids,
            metadata=metadata,
            types={name: asked_type(type_) for name, type_ in (types or {}).items()},
            prefix=prefix,
            root=root,
            recorded=recorded_types(self._stores.graph, "Image").get,
        )
        report = ingest(
            self._stores,
            entries_of_kind(kind, given.entries),
            labels=kind.inherited_labels(),
            on_error=on_error,
            on_conflict=on_conflict,
            keep_originals=keep_originals,
            batch_size=batch_size,
            notes=given.notes,
            progress=progress,
        )
        return ImagesAdded(**vars(report), address=self._session.address)

    def where(self, *conditions: Expr, **equal: Any) -> Query:
        """Those of which every condition is true, as a query: ``db.images.where(F("age") > 60, label="DME")``.

        Args:
            conditions: Expressions that are true or false.
            equal: Fields and their values; None where the value is missing. A thing stands for its id.
        """
        return self().where(*conditions, **equal)

    def ids(self) -> list[str]:
        """The ids, by key."""
        return self().ids()

    def to_pandas(self) -> pd.DataFrame:
        """One row for each image: key, id, label, the other built-in fields, and its metadata."""
        return self().to_pandas()

    def __getitem__(self, id: str) -> Image:  # noqa: A002 - the users' word for it
        """One image by its id."""
        return Image.of_id(self._session, id)

    def __iter__(self) -> Iterator[Image]:
        """Every image, by key."""
        return iter(self())

    def __len__(self) -> int:
        return self().count()

    def __contains__(self, id: object) -> bool:  # noqa: A002
        return id in self()

    def __repr__(self) -> str:
        return f"Images({len(self):,})"

    def _source(self, source: Any) -> Source:
        if source is None:
            return AllImages()
        if isinstance(source, Registered):
            self._session.executor().check(Plan(source))
            return source
        if isinstance(source, str | Dataset):
            return Members(self._session.ask(resolve, source))
        return Keys(tuple(keys_of_images(self._session, source).tolist()))

    def _query(self, source: Source) -> Query:
        return Query(self._session.address, Plan(source))
