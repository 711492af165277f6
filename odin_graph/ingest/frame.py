"""What a reader gives of a file, or of several: images that are not yet decoded, and what is known of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from numpy.typing import DTypeLike, NDArray

from odin_graph.arrays.boxes import Box

StackKind: TypeAlias = Literal["Volume", "Video"]


@dataclass(eq=False, slots=True)  # not frozen: of a small file it would take as long as the rest of its header
class Frame:
    """One image: a picture, a page, a slice, a frame of a video."""

    shape: tuple[int, ...]
    """(height, width) or (height, width, bands)."""
    dtype: DTypeLike
    """Of the pixels, integers, floats or bool, in any byte order."""
    read: Callable[[Box], NDArray[Any]]
    """The pixels of a box (left, top, right, bottom), of this shape and dtype, in an array of the caller's own.

    It is called from several threads, and again for each part. A reader that has to decode all of a frame for any part
    says so by ``at_once=None``, and is asked for whole frames alone unless they are wanted otherwise.
    """
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Values of the fields of `Contents`; what is left out or None is missing. ``label`` is the label."""
    file: int = 0
    """Which of the files it is from, by position: what a manifest says of that file is said of it."""
    at_once: int | None = None
    """Bytes that reading a part takes beside its pixels; None where any part decodes the whole frame.

    Frames that are too large for memory are read a few rows at a time, where this is a number.
    """
    takes: int = 0
    """Bytes that decoding the whole frame takes beside its pixels; 0 for as many as they take."""


@dataclass(eq=False, slots=True)
class Contents:
    """What there is in a file, or in the files of a series."""

    frames: Sequence[Frame]
    """In their order. They are decoded one by one, when they are stored or looked at."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The type of each name of metadata: ``{"patientID": str, "spacing": list[float], "taken_at": datetime}``.

    They are known, and checked against each other and the workspace, before anything is stored.
    """
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Of the whole; each frame has it too."""
    stack: StackKind | None = None
    """Whether the frames, all of one shape, are the slices of a volume or the frames of a video; else each is an image
    by itself."""
    fps: float | None = None
    """Of a video: frames a second."""
