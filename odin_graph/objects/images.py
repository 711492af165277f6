"""`db.images`: all images as queries, and by id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from odin_graph.catalog.datasets import resolve
from odin_graph.catalog.images import keys_of
from odin_graph.errors import QueryError
from odin_graph.objects.dataset import Dataset
from odin_graph.objects.image import Image
from odin_graph.objects.query import Query
from odin_graph.query.cypher_source import cypher_source
from odin_graph.query.plan import AllImages, Keys, Members, Plan, Source
from odin_graph.stores import Stores


class Images:
    """The images of a workspace: ``db.images("retina-test")`` is a query, ``db.images["a.png"]`` one image."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def __call__(self, source: Any = None, /, *, cypher: str | None = None, **params: Any) -> Query:
        """Images as a query.

        Args:
            source: A data set or its id (the bare id is its latest version); images, their ids or keys, whose order
                is kept; by default all images.
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
        if isinstance(source, str | Dataset):
            return Members(resolve(self._stores, str(source)))
        if isinstance(source, Iterable):
            return Keys(tuple(int(key) for key in keys_of(self._stores, source)))
        raise QueryError(f"images() takes a data set, its id, or a list of images, not {source!r:.80}.")

    def _query(self, source: Source) -> Query:
        return Query(self._stores.address, Plan(source))
