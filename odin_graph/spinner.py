"""A spinner that names what takes long."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_AFTER: Final = 1.0
"""Seconds of silence."""


@contextmanager
def spinner(what: str) -> Iterator[None]:
    """Show a spinner if the block takes longer than a second, in terminals and notebooks; not with ODIN_PROGRESS=0.

    Args:
        what: What is waited for.
    """
    if os.environ.get("ODIN_PROGRESS") == "0" or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
        yield
        return
    done = threading.Event()
    turning = threading.Thread(target=_turn, args=(what, done), name="spinner", daemon=True)
    turning.start()
    try:
        yield
    finally:
        done.set()
        turning.join()


def _turn(what: str, done: threading.Event) -> None:
    if done.wait(_AFTER):
        return
    from rich.console import Console  # which takes a tenth of a second: not where nothing is shown

    console = Console(stderr=True)
    if console.is_terminal or console.is_jupyter:
        with console.status(what):
            done.wait()
