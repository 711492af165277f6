"""A data set, or what sets of its images give, as a query: the steps and the answers of `Query`, of its images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar, overload

from odin_graph.objects.base.has_images import HasImages
from odin_graph.objects.query.query import Query

if TYPE_CHECKING:
    from odin_graph.objects.things.image import Image

P = ParamSpec("P")
R = TypeVar("R")


def _of_images(method: Callable[Concatenate[Query, P], R]) -> Callable[Concatenate[HasImages, P], R]:
    """A method of `Query`, called on the query of the images."""

    @wraps(method)
    def call(self: HasImages, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return method(self.images(), *args, **kwargs)

    return call


_ONLY_OF_QUERIES: Final = {"purge", "from_json", "to_json"}
"""Of a data set they could be taken for what they are not: its images would be purged, not the data set."""


class ImageSet(HasImages):
    """Steps give a `Query`; ``[0]``, a loop, ``len`` and ``in`` are of the images that are there."""

    where = _of_images(Query.where)
    order_by = _of_images(Query.order_by)
    limit = _of_images(Query.limit)
    with_columns = _of_images(Query.with_columns)
    select = _of_images(Query.select)
    distinct = _of_images(Query.distinct)
    group_by = _of_images(Query.group_by)
    agg = _of_images(Query.agg)
    nearest = _of_images(Query.nearest)
    representative = _of_images(Query.representative)
    apply = _of_images(Query.apply)
    resize = _of_images(Query.resize)
    count = _of_images(Query.count)
    ids = _of_images(Query.ids)
    keys = _of_images(Query.keys)
    to_arrow = _of_images(Query.to_arrow)
    to_pandas = _of_images(Query.to_pandas)
    to_batches = _of_images(Query.to_batches)
    to_numpy = _of_images(Query.to_numpy)
    to_torch = _of_images(Query.to_torch)
    to_stream = _of_images(Query.to_stream)
    to_huggingface = _of_images(Query.to_huggingface)
    batches = _of_images(Query.batches)
    loader = _of_images(Query.loader)
    sheet = _of_images(Query.sheet)
    show = _of_images(Query.show)
    save = _of_images(Query.save)
    explain = _of_images(Query.explain)

    if not TYPE_CHECKING:  # a type checker would take any name for one of these

        def __getattr__(self, name: str) -> Any:
            """Any other step, operation or answer of `Query`, those of packages among them."""
            if name.startswith("_") or name in _ONLY_OF_QUERIES:
                raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}.")
            return getattr(self.images(), name)

    def __len__(self) -> int:
        return self.images().count()

    def __iter__(self) -> Iterator[Image]:
        return iter(self.images())

    def __contains__(self, id: object) -> bool:  # noqa: A002 - the users' word for it
        return id in self.images()

    @overload
    def __getitem__(self, item: int) -> Image: ...
    @overload
    def __getitem__(self, item: slice) -> Query: ...
    def __getitem__(self, item: int | slice) -> Image | Query:
        return self.images()[item]
