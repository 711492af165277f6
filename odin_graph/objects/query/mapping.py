"""`map`: the user's function over images, or groups of them; values or pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from odin_graph.arguments import read_text
from odin_graph.catalog.images.derived import Recipe
from odin_graph.catalog.images.images import has_any
from odin_graph.catalog.records.updates import update_metadata
from odin_graph.errors import DataError, QueryError
from odin_graph.objects.base.calling import call_each, check_values
from odin_graph.progress import progress_bar
from odin_graph.query.plan.plan import Keys, Plan
from odin_graph.runtime.derive.derive import recipe_of
from odin_graph.runtime.derive.function import Function
from odin_graph.runtime.derive.storing import from_parents, of_each, store_made
from odin_graph.schema.reserved import reserved
from odin_graph.stores import Stores

if TYPE_CHECKING:
    from odin_graph.objects.query.query import Query
    from odin_graph.objects.things.image import Image

T = TypeVar("T")
Over: TypeAlias = Callable[[NDArray[np.int64]], Sequence[Any] | NDArray[Any]]
"""Gives what a function of the user's is called with, for each of some keys (n,), in their order."""
_AT_ONCE = 256
"""Images whose pixels are in memory together."""
_BYTES = 1 << 26
"""Of what a function is called with, in memory together."""


def map_images(
    query: Query, function: Callable[[Image], Any], name: str | None, workers: int, progress: bool
) -> pd.Series | Query:
    """Values by image id, or the query of the images that were made; see `Query.map`."""
    stores = _stores_for(query, name)
    keys = query.keys()
    if name is not None and len(keys) and _gives_pixels(query, function, name):
        return _store(query, function, name, workers, progress)
    ids: list[str] = []
    values: list[Any] = []
    with progress_bar("map", len(keys), show=progress) as advance:
        for block in _blocks(query, keys):
            ids += [image.id for image in block]
            values += call_each(function, block, [repr(image.id) for image in block], workers)
            advance(len(block))
    return _named(stores, name, keys, ids, values)


def map_over(
    query: Query, function: Callable[[Any], Any], name: str | None, over: Over, workers: int, progress: bool
) -> pd.Series:
    """Values by image id, of what there is of each image besides its pixels; see `Query.map`."""
    stores = _stores_for(query, name)
    table = query.to_arrow("id")
    keys, ids = table.column("key").to_numpy(), table.column("id").to_pylist()
    values: list[Any] = []
    with progress_bar("map", len(keys), show=progress) as advance:
        while (done := len(values)) < len(keys):
            if not done:
                size = 1  # the first shows how many there is room for
            part = slice(done, done + size)
            given = _given(over, keys[part])
            values += call_each(function, given, list(map(repr, ids[part])), workers)
            size = max(1, min(_AT_ONCE, _BYTES // max(1, getattr(given[0], "nbytes", 1))))
            advance(len(given))
    return _named(stores, name, keys, ids, values)


def _given(over: Over, keys: NDArray[np.int64]) -> list[Any]:
    if not callable(over):
        raise QueryError(
            f"over={over!r:.60} cannot be called with keys: give layer.activations, layer.embeddings, units.values, "
            'db.vectors["clip"].embeddings, db.predictions[id].of_images, or a function of yours.'
        )
    given = over(keys)
    if len(given) != len(keys):
        raise DataError(
            f"over= gave {len(given)} values for {len(keys)} images: give one for each key, in their order."
        )
    return list(given)


def _stores_for(query: Query, name: str | None) -> Stores | None:
    """Where named values are stored; far away this is refused before anything is computed."""
    return None if name is None else query._stores  # noqa: SLF001 - of one package


def _named(
    stores: Stores | None, name: str | None, keys: NDArray[np.int64], ids: Sequence[str], values: Sequence[Any]
) -> pd.Series:
    """The values by id, stored as metadata if they are named."""
    if name is not None and stores is not None and len(keys):
        check_values(values)
        once = dict(zip(keys.tolist(), values, strict=True))
        update_metadata(stores, "Image", list(once), {name: list(once.values())}, missing="remove")
    return pd.Series(list(values), index=pd.Index(list(ids), name="id"), name=name)


def map_groups(
    query: Query,
    function: Callable[[list[Any]], Any],
    name: str | None,
    group_by: str,
    over: Over | None,
    progress: bool,
) -> pd.Series:
    """Values by the value of a field; see `Query.map`."""
    stores = _stores_for(query, name)
    table = query.to_arrow(group_by)
    groups: dict[Any, list[int]] = {}
    for key, value in zip(table.column("key").to_pylist(), table.column(group_by).to_pylist(), strict=True):
        groups.setdefault(tuple(value) if isinstance(value, list) else value, []).append(key)
    values: list[Any] = []
    with progress_bar("map", table.num_rows, show=progress) as advance:
        for group, keys in groups.items():
            wanted = np.array(keys, np.int64)
            each: list[Any] = list(query._images_of(wanted)) if over is None else _given(over, wanted)  # noqa: SLF001
            values += call_each(function, [each], [f"the group {group!r}"])
            advance(len(keys))
    if name is not None and stores is not None and groups:
        check_values(values)
        once = {key: value for keys, value in zip(groups.values(), values, strict=True) for key in keys}
        update_metadata(stores, "Image", list(once), {name: list(once.values())}, missing="remove")
    return pd.Series(values, index=pd.Index(list(groups), name=group_by), name=name)


def _gives_pixels(query: Query, function: Callable[[Image], Any], name: str) -> bool:
    """Whether the function makes images: it has made some already, or its first answer is one."""
    if "#" in read_text("name", name) or "/" in name or any(letter.isspace() for letter in name):
        return False  # no name of derived images; the rules for metadata say the rest
    stores = query._stores  # noqa: SLF001 - of one package
    first = query[:1].to_arrow("id")
    id_of = dict(zip(first.column("key").to_pylist(), first.column("id").to_pylist(), strict=True))
    recipe = _recipe(function, name)
    if has_any(stores, [recipe.id_of(i) for i in id_of.values()]):
        return True
    result = call_each(function, next(_blocks(query, first.column("key").to_numpy())), list(map(repr, id_of.values())))[
        0
    ]
    return isinstance(result, np.ndarray) and result.ndim in (2, 3)


def _store(query: Query, function: Callable[[Image], Any], name: str, workers: int, progress: bool) -> Query:
    stores = query._stores  # noqa: SLF001 - of one package

    def compute(keys: NDArray[np.int64], ids: Sequence[str], images: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        made = call_each(function, _with_pixels(query, keys, images), list(map(repr, ids)), workers)
        for id_, pixels in zip(ids, made, strict=True):
            if not isinstance(pixels, np.ndarray) or pixels.ndim not in (2, 3):
                raise DataError(
                    f"The function made an image of others, and of {id_!r} it made {type(pixels).__name__}."
                )
        return made

    parents = parents_of(query)
    wanted = of_each(parents, _recipe(function, name))
    done = store_made(stores, parents, wanted, from_parents(stores, wanted, compute), progress=progress)
    return type(query)(query.address, Plan(Keys(tuple(done.keys.tolist()))))


def parents_of(query: Query, metadata: Sequence[str] | None = None) -> pa.Table:
    """Key, id and what derived images inherit: the label, and the free metadata that is named, or all of it."""
    ours = set(reserved("Image"))
    known = query._stores.columns.fields("Image")  # noqa: SLF001 - of one package
    names = [name for name in known if name not in ours] if metadata is None else list(metadata)
    for name in names:
        if name in ours:
            raise DataError(f"{name!r} is not a free metadata: derived images have their own, and the parent's label.")
    return query.to_arrow("id", "label", *names).select(["key", "id", "label", *names])


def _recipe(function: Callable[..., Any], name: str) -> Recipe:
    return recipe_of([Function(function)], name)


def _with_pixels(query: Query, keys: NDArray[np.int64], pixels: Sequence[NDArray[Any]]) -> list[Image]:
    images = list(query._images_of(keys))  # noqa: SLF001 - of one package
    for image, image_pixels in zip(images, pixels, strict=True):
        vars(image)["pixels"] = image_pixels  # read together, not one by one when the function asks
    return images


def _blocks(query: Query, keys: NDArray[np.int64]) -> Iterator[list[Image]]:
    array = query._session.pixels  # noqa: SLF001 - of one package
    for start in range(0, len(keys), _AT_ONCE):
        part = keys[start : start + _AT_ONCE]
        yield _with_pixels(query, part, array.read_list(part))
