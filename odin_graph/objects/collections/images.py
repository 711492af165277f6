"""`db.images`: all images as queries, and by id."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from odin_graph import schema
from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.catalog.images.arrivals import OnConflict
from odin_graph.catalog.records.fields import recorded_types
from odin_graph.errors import QueryError
from odin_graph.ingest import IngestReport, entries_of, ingest
from odin_graph.ingest.ingest import BATCH, OnError
from odin_graph.ingest.kind import entries_of_kind
from odin_graph.objects.base.which_images import keys_of_images
from odin_graph.objects.query.image_verbs import ImagesVerbs
from odin_graph.objects.query.query import Query
from odin_graph.objects.things.dataset import Dataset
from odin_graph.objects.things.image import Image
from odin_graph.query.names.cypher_source import cypher_source
from odin_graph.query.names.sources import check_source
from odin_graph.query.plan.plan import AllImages, Keys, Members, Plan, Registered, Source
from odin_graph.schema.metadata import asked_type
from odin_graph.stores import Stores

if TYPE_CHECKING:
    import pandas as pd


class Images(ImagesVerbs):
    """The images of a workspace: ``db.images("retina-test")`` is a query, ``db.images["a.png"]`` one image."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def __call__(self, source: Any = None, /, *, cypher: str | None = None, **params: Any) -> Query:
        """Images as a query.

        Args:
            source: A data set or its id (the bare id is its latest version); images, their ids or keys, whose order
                is kept; what a package's source finds, ``og.source("name", ...)``; by default all images.
            cypher: Any Cypher that returns images (``RETURN i``) or their keys (``RETURN i.key``) instead. It runs
                read-only.
            params: The values of its parameters, which never enter its text.

        Raises:
            UnknownNameError: There is no such data set.
            QueryError: A source and Cypher together, or parameters without Cypher.
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
    ) -> IngestReport:
        """Store images. Interrupted and called again, it goes on where it stopped.

        Args:
            source: A folder of class folders (the id is the path in it, the label the first folder's name), or a
                manifest: CSV, TSV, Parquet or DataFrame with a column ``path``, where they are there ``id`` and
                ``label``, and any others, which are metadata. A column of CSV is of numbers, bools or dates where
                every value prints back as it was written, and else of text: patient 0001 stays 0001.
            images: Arrays instead: (n, h, w), (n, h, w, bands), or a list of images of any shapes.
            labels: With ``images``: one for each, None where there is none.
            ids: With ``images``: one for each; by default PREFIX/000000 and so on.
            metadata: With ``images``: columns by name, one value for each image.
            types: What columns are to be read as, label among them: ``{"age": int, "patientID": str}``; ``float``,
                ``bool``, ``date`` and ``datetime`` too. Freely spelt values are read, and NA, null and nan are missing.
            prefix: Of the default ids. Give each array its own.
            root: Where the relative paths of a manifest begin; by default its own folder.
            kind: A subclass of `schema.Image` whose declared fields are filled from the metadata.
            on_error: ``"raise"`` at an image that cannot be read, or ``"skip"`` it and report it by name and reason.
            on_conflict: For an id that is there with other pixels: ``"error"``; ``"skip"``, which leaves it out and
                says so; ``"revise"``, which makes a new image ``ID@2``; or ``"update"``, which does so too, and gives
                images that are there with the same pixels the label and the metadata of this call.
            keep_originals: Store the encoded bytes of files as well.
            batch_size: Images a transaction at most: the unit that is stored whole or not at all.
            progress: Show a bar.

        Raises:
            UnreadableImageError: Names the file and the reason.
            ConflictError: An id is there with other pixels, or twice.
            MetadataError: A metadata name or type is refused.
        """
        given = entries_of(
            source,
            images=images,
            labels=labels,
            ids=ids,
            metadata=metadata,
            types={name: asked_type(asked) for name, asked in (types or {}).items()},
            prefix=prefix,
            root=root,
            recorded=recorded_types(self._stores.graph, "Image").get,
        )
        return ingest(
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

    def __getitem__(self, id: str) -> Image:  # noqa: A002 - the users' word for it
        """One image by its id."""
        return Image.of_id(self._stores, id)

    def __len__(self) -> int:
        return self._query(AllImages()).count()

    def __iter__(self) -> Iterator[Image]:
        """Every image, by key."""
        return iter(self._query(AllImages()))

    def __repr__(self) -> str:
        return f"Images({len(self):,})"

    def _source(self, source: Any) -> Source:
        if source is None:
            return AllImages()
        if isinstance(source, Registered):
            check_source(source)
            return source
        if isinstance(source, str | Dataset):
            return Members(resolve(self._stores, source))
        return Keys(tuple(keys_of_images(self._stores, source).tolist()))

    def _query(self, source: Source) -> Query:
        return Query(self._stores.address, Plan(source))
