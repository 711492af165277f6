"""The examples of a search for neighbors: stored images, others, vectors, or several of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from odin_graph.arguments import is_there
from odin_graph.catalog.images.batch import check_pixels
from odin_graph.catalog.images.images import keys_of
from odin_graph.errors import DataError, QueryError
from odin_graph.ingest.arrays import pixels_of
from odin_graph.ingest.files import read_file
from odin_graph.ingest.readers import Readers
from odin_graph.query.names.spaces import check_space, vector_of_pixels
from odin_graph.query.plan.spaces import Space
from odin_graph.query.plan.steps.nearest import Example
from odin_graph.stores import Stores


@dataclass(frozen=True, slots=True)
class Stored:
    """An image of the workspace."""

    id: str | None = None
    key: int | None = None


@dataclass(frozen=True, slots=True)
class File:
    """The bytes of an image file that is not stored."""

    data: bytes
    name: str | None = None
    """Its name, for messages."""


Given: TypeAlias = Stored | File | tuple[float, ...] | NDArray[Any]
"""A stored image, a file, a vector, or pixels (h, w, bands)."""


def read_examples(given: Any) -> list[Given]:
    """Tell the kinds of arguments of ``nearest(...)`` apart; files are read, nothing is looked up.

    Raises:
        QueryError: It is none of what `nearest` takes.
        UnreadableImageError: A file that cannot be read.
    """
    return list(_read(given))


def find_examples(stores: Stores, given: Sequence[Given], by: Space | None = None) -> tuple[Example, ...]:
    """The examples in a plan's form: stored images by key, of others the vector that the layer gives.

    Args:
        stores: The open workspace.
        given: In their order.
        by: The layer; None where all of them are stored images or vectors.

    Raises:
        DataError: There is no such image.
        QueryError: The vectors are a user's, which no model of ours gives.
        UnreadableImageError: Bytes that are no image.
    """
    keys = iter(_keys_of(stores, [item for item in given if isinstance(item, Stored)]))
    return tuple(
        Example(image=next(keys)) if isinstance(item, Stored) else Example(vector=_found(stores, item, by))
        for item in given
    )


def _read(given: Any) -> Iterator[Given]:
    if isinstance(given, list | tuple) and not _is_vector(given):
        for item in given:
            yield from _read(item)
    elif isinstance(given, str):
        yield Stored(id=given)
    elif hasattr(given, "key"):
        yield Stored(key=int(given.key))
    elif isinstance(given, bytes | bytearray):
        yield File(bytes(given))
    elif isinstance(given, Path):
        yield File(read_file(given), str(given))
    else:
        pixels = _pixels(given)
        yield _vector(given) if pixels is None else pixels


def _keys_of(stores: Stores, stored: Sequence[Stored]) -> list[int]:
    try:
        return [int(key) for key in keys_of(stores, [image.key if image.id is None else image.id for image in stored])]
    except DataError as error:
        if file := next((image.id for image in stored if image.id is not None and is_there(Path(image.id))), None):
            raise QueryError(f"{file!r} is not a stored image, but a file: give pathlib.Path({file!r}).") from error
        raise


def _found(stores: Stores, given: File | tuple[float, ...] | NDArray[Any], by: Space | None) -> tuple[float, ...]:
    if isinstance(given, tuple):
        return given
    if by is None:
        raise QueryError("An image that is not stored is looked at by a layer: say which.")
    pixels = _decoded(given) if isinstance(given, File) else given
    return tuple(vector_of_pixels(stores, check_space(stores, by), pixels).tolist())


def _is_vector(given: Any) -> bool:
    return bool(given) and all(isinstance(number, int | float | np.number) for number in given)


def _pixels(given: Any) -> NDArray[Any] | None:
    """The pixels (h, w, bands) of an image that is not stored; None if it is no image."""
    if hasattr(given, "convert") and hasattr(given, "getbands"):  # PIL's
        given = pixels_of("the image", given)
    if isinstance(given, np.ndarray) and given.ndim in (2, 3):
        check_pixels("the example", given)
        return given[..., None] if given.ndim == 2 else given
    return None


def _decoded(file: File) -> NDArray[Any]:
    name = f"The {len(file.data):,} bytes" if file.name is None else file.name
    return Readers.installed().read(Path(name), file.data)


def _vector(given: Any) -> tuple[float, ...]:
    try:
        vector = np.asanyarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise QueryError(
            f"nearest() takes an image, its id, a vector, an image that is not stored, or a list of such, not "
            f"{given!r:.80}."
        ) from error
    if vector.ndim != 1 or not len(vector) or np.ma.is_masked(vector) or not np.isfinite(vector).all():
        raise QueryError(f"nearest() takes a vector of finite numbers, not an array of shape {vector.shape}.")
    return tuple(vector.tolist())
