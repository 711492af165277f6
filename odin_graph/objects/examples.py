"""What a search for neighbours begins with: stored images, others, vectors, or several of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.images import keys_of
from odin_graph.errors import DataError, QueryError, UnreadableImageError
from odin_graph.ingest.reader import Readers
from odin_graph.query.plan import Example, Space
from odin_graph.query.spaces import check_space, vector_of_pixels
from odin_graph.stores import Stores


def examples_of(stores: Stores, given: Any, by: Space) -> tuple[Example, ...]:
    """The examples of ``nearest(...)``.

    Raises:
        QueryError: It is none of what `nearest` takes.
        UnreadableImageError: A file that is no image.
    """
    if isinstance(given, list | tuple) and not _is_vector(given):
        if given and all(map(_is_stored, given)):
            return tuple(Example(image=int(key)) for key in keys_of(stores, given))
        return tuple(one for each in given for one in examples_of(stores, each, by))
    if _is_stored(given):
        return (Example(image=_stored(stores, given)),)
    pixels = _pixels(given)
    if pixels is not None:
        return (Example(vector=tuple(vector_of_pixels(stores, check_space(stores, by), pixels).tolist())),)
    return (Example(vector=_vector(given)),)


def _stored(stores: Stores, given: Any) -> int:
    try:
        return int(keys_of(stores, [given])[0])
    except DataError as error:
        if isinstance(given, str) and Path(given).is_file():
            raise QueryError(f"{given!r} is no stored image, but a file: give pathlib.Path({given!r}).") from error
        raise


def _is_stored(given: Any) -> bool:
    return isinstance(given, str) or hasattr(given, "key")


def _is_vector(given: Any) -> bool:
    return bool(given) and all(isinstance(one, int | float | np.number) for one in given)


def _pixels(given: Any) -> NDArray[Any] | None:
    """Of an image that is not stored, (h, w, bands); None where it is no image."""
    if isinstance(given, bytes | bytearray):
        return _decoded(bytes(given))
    if isinstance(given, Path):
        try:
            return Readers.installed().read(given, given.read_bytes())
        except OSError as error:
            raise UnreadableImageError(f"{given}: {error.strerror or error}") from error
    if hasattr(given, "convert") and hasattr(given, "getbands"):  # PIL's
        given = np.asarray(given)
    if isinstance(given, np.ndarray) and given.ndim in (2, 3):
        return given[..., None] if given.ndim == 2 else given
    return None


def _decoded(data: bytes) -> NDArray[Any]:
    """Bytes have no suffix: Pillow says which format they are of, and the reader of such files reads them."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            name = Path(f"the image of {len(data):,} bytes.{(image.format or '').lower()}")
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(f"The {len(data):,} bytes are no image that can be read ({error}).") from error
    return Readers.installed().read(name, data)


def _vector(given: Any) -> tuple[float, ...]:
    try:
        vector = np.asarray(given, np.float64)
    except (TypeError, ValueError) as error:
        raise QueryError(
            f"nearest() takes an image, its id, a vector, an image that is not stored, or a list of such, not "
            f"{given!r:.80}."
        ) from error
    if vector.ndim != 1 or not len(vector) or not np.isfinite(vector).all():
        raise QueryError(f"nearest() takes a vector of finite numbers, not an array of shape {vector.shape}.")
    return tuple(vector.tolist())
