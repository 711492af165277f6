"""Opens TileDB arrays: independent of clocks, and with an error for a missing part.

TileDB stamps each fragment with the writer's clock and opens an array as of the reader's, so that what a fast clock
wrote does not exist yet for a slow one, and reads as fill values. Segments are written once, so times mean nothing:
fragments carry a constant, and readers take all fragments.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import tiledb

WRITTEN: Final = 1
"""The timestamp of every fragment."""
_EVER: Final = (0, 2**63)


@contextmanager
def writing(path: str, context: tiledb.Ctx) -> Iterator[tiledb.DenseArray]:
    """An array, to write into."""
    with tiledb.open(path, "w", ctx=context, timestamp=WRITTEN) as array:
        yield array


@contextmanager
def reading(path: str, context: tiledb.Ctx) -> Iterator[tiledb.DenseArray]:
    """An array, to read from.

    Raises:
        tiledb.TileDBError: It cannot be opened, or a part of it was never written and would read as fill values.
    """
    with tiledb.open(path, "r", ctx=context, timestamp=_EVER) as array:
        written = array.nonempty_domain()
        if written is None or any(int(end) + 1 != size for (_, end), size in zip(written, array.shape, strict=True)):
            raise tiledb.TileDBError(f"{path} holds {written}, and should hold all of {array.shape}: a part is missing")
        yield array
