"""THE reading of "images": every call that takes images takes all of these, and reads them here.

A query (a saved view is one), a data set or a draft, in their order; an image, its id or its key; several of them: a
list, a set, a generator, an array, a column of pandas or Arrow; and the id of a data set. What stands for images has a
method ``image_keys``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.datasets.datasets import resolve
from odin_graph.catalog.images.arrivals import stored_keys
from odin_graph.catalog.images.images import check_keys, keys_of
from odin_graph.catalog.purge.purge import keys_of_any
from odin_graph.client import Session
from odin_graph.errors import DataError, QueryError, UnknownNameError
from odin_graph.objects.base.class_table import class_of
from odin_graph.schema.several import is_several
from odin_graph.served import served
from odin_graph.stores import Stores

_PLAIN: Final = frozenset({str, int})
_WHAT = "a query, a data set or its id, an image, its id or key, or several of them"


def keys_of_images(
    session: Session, images: Any, *, deleted: bool = False, named_sets: bool = True
) -> NDArray[np.int64]:
    """The keys of images, however they are given, in their order.

    Args:
        session: The workspace.
        images: See the module.
        deleted: Whether those that were deleted count, too.
        named_sets: Whether a string may be the id of a data set, where no image has it. What destroys says no.

    Raises:
        DataError: Ids or keys that are of no image, or what is no image.
        QueryError: It is none of these, or images that are not stored.
        UnknownNameError: A deleted image where those are not asked for; says when it was deleted, and by whom.
    """
    if (keys_of_it := getattr(type(images), "image_keys", None)) is not None:
        own: NDArray[np.int64] = keys_of_it(images, deleted=deleted)
        return own
    if isinstance(images, str) and named_sets and (id_ := session.ask(_named_set, images)) is not None:
        members: NDArray[np.int64] = class_of("Dataset")(session, id_).image_keys()
        return members
    listed = _listed(images)
    if not set(map(type, listed)) <= _PLAIN:
        listed = [image if isinstance(image, str) else int(getattr(image, "key", image)) for image in listed]
    return session.ask(_stored, listed, deleted)


@served
def _stored(stores: Stores, images: list[str | int], deleted: bool) -> NDArray[np.int64]:
    """The keys of images by id or key, which are there, or were."""
    if deleted:
        return keys_of_any(stores, images)
    keys = keys_of(stores, images)
    check_keys(stores, keys[[not isinstance(image, str) for image in images]])
    return keys


@served
def _named_set(stores: Stores, name: str) -> str | None:
    """The data set of an id; None where it is no data set."""
    try:
        id_ = resolve(stores, name)
    except UnknownNameError:
        return None
    if stored_keys(stores, [name]):
        raise QueryError(
            f"{name!r} is an image and a data set: say which, as db.images[{name!r}] or db.datasets[{name!r}]."
        )
    return id_


def _listed(images: Any) -> list[Any]:
    """One image or several, as a list of images, ids and keys of Python."""
    if hasattr(images, "to_pylist"):
        images = images.to_pylist()
    elif isinstance(images, np.ndarray) or (hasattr(images, "tolist") and not hasattr(images, "columns")):
        images = images.tolist()
    if isinstance(images, Mapping) or hasattr(images, "columns"):
        raise QueryError(f"{type(images).__name__} is a table: give its column of ids or keys; images are {_WHAT}.")
    if isinstance(images, str | int | np.integer) or hasattr(images, "key"):
        images = [images]
    if not is_several(images):
        raise QueryError(f"{images!r:.80} is not an image, id, or query of images: images are {_WHAT}.")
    listed = list(images)
    if set(map(type, listed)) <= _PLAIN:
        return listed
    for image in listed:
        key: object = getattr(image, "key", image)
        if isinstance(key, bool | np.bool_) or not isinstance(key, str | int | np.integer):
            raise DataError(f"An image is given as itself, by its id or by its key, not as {image!r:.80}.")
    return listed
