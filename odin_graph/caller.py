"""The frames from a line of this package out to the user's call."""

from __future__ import annotations

import contextlib
import sys
from types import FrameType
from typing import Final

_OURS: Final = __file__.removesuffix("caller.py")
_WRAPPER: Final = _OURS + "checked.py"


def frames_inside() -> list[FrameType]:
    """The frames from the caller on that are inside this package, with context managers; the next is the user's."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - for texts alone
    found = []
    while frame is not None and frame.f_code.co_filename.startswith((_OURS, contextlib.__file__)):
        found.append(frame)
        frame = frame.f_back
    return found


def called() -> str:
    """The name of what the user called."""
    ours = [frame.f_code for frame in frames_inside() if frame.f_code.co_filename.startswith(_OURS)]
    return [code.co_name for code in ours if code.co_filename != _WRAPPER][-1]
