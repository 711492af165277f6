"""One image that is to be stored, before it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from odin_graph.errors import DataError, OdinError
from odin_graph.ingest.file import File
from odin_graph.ingest.frame import StackKind
from odin_graph.schema.metadata.plain import plain


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """The place of an image that is not alone in a file."""

    thing: str
    """The id of the file or series."""
    files: tuple[File, ...]
    index: int
    """Of its frame."""
    stack: StackKind | None
    """What all frames of it together are."""


@dataclass(eq=False, slots=True)  # not frozen, as `Frame`
class Entry:
    """An image by file or by pixels; one of the two is given."""

    id: str
    path: str | None = None
    """Text: a `Path` for each of a million files takes longer than reading their manifest."""
    pixels: NDArray[Any] | Any = None
    label: Any = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    """Of the file: its path below the folder that was given, or as the manifest has it."""
    part: Part | None = None
    """Given where the file was looked into before."""
    error: OdinError | None = None
    """Why its file cannot be read."""


def id_of(given: Any) -> str:
    """An id as users give it: a text, or a whole number, which is its digits.

    Raises:
        DataError: It is missing, or something else, whose text would be an id that nobody has thought of.
    """
    value = plain(given)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise DataError(f"{given!r:.80} is not an image id: give a text or a whole number.")
    return str(value)
