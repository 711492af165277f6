"""Who did it: the name that corrections and deletions are recorded under."""

from __future__ import annotations

import getpass
import os

from odin_graph.errors import DataError


def who(by: str | None = None) -> str:
    """The name that was given, else the user's login name.

    Raises:
        DataError: A name that is none.
    """
    if by is not None:
        if not isinstance(by, str) or not by.strip():
            raise DataError(f"by={by!r} is empty: give a name, or leave it out to use the login name.")
        return by
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return f"uid {os.getuid()}"
