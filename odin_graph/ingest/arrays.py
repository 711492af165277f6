"""Arrays as users have them: what is no plain array of pixels is read as what it is, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image as Picture

from odin_graph.catalog.images.sources import is_lazy, is_rows
from odin_graph.errors import DataError, ShapeError
from odin_graph.ingest.formats.pillow import pixels_of_picture


def pixels_of(id_: str, given: Any) -> NDArray[Any] | Any:
    """Pixels as an array; arrays that are read when they are sliced are returned as they are.

    Raises:
        ShapeError: It is no array of numbers.
        DataError: It cannot be read as one.
    """
    if is_lazy(given) or is_rows(given):
        return given
    try:
        found: NDArray[Any] = pixels_of_picture(given) if isinstance(given, Picture) else np.asanyarray(given)
    except DataError as error:
        raise DataError(f"{id_!r}: {error}") from error
    except Exception as error:  # lists of unlike rows, tensors of a GPU, an array of another package
        raise ShapeError(f"The pixels of {id_!r} are no array: {error}") from error
    return found
