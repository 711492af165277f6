"""The name under which corrections and deletions are recorded."""

from __future__ import annotations

import getpass
import os

from odin_graph.errors import DataError


def author(who: str | None = None) -> str:
    """The given name, or else the login name of the user.

    Raises:
        DataError: The name is empty.
    """
    if who is not None:
        if not isinstance(who, str) or not who.strip():
            raise DataError(f"who={who!r} is empty: give a name, or leave it out to use the login name.")
        return who
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, in a container
        return f"uid {os.getuid()}"
