"""A progress bar over images, on standard error: one for all long work."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from odin_graph.warned import is_collecting

_SECONDS: Final = 0.25
"""Between two updates of the line in a notebook."""


class Speed(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        """The speed of the last seconds; empty until it is known."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s")


class _NotebookLine:
    """One line of text in a notebook's cell, written anew a few times a second."""

    def __init__(self, what: str, total: int) -> None:
        from IPython.display import display

        self._what, self._total, self._done = what, total, 0
        self._began = self._shown = time.monotonic()
        untyped: Any = display
        self._handle = untyped(self, display_id=True)

    def advance(self, done: int) -> None:
        """Count ``done`` further images."""
        self._done += done
        if time.monotonic() - self._shown >= _SECONDS:
            self.show()

    def show(self) -> None:
        """Draw the line now."""
        self._shown = time.monotonic()
        self._handle.update(self)

    def __repr__(self) -> str:
        full = round(20 * min(self._done / self._total, 1))
        speed = self._done / max(self._shown - self._began, 1e-9)
        rate = f" {speed:,.0f}/s" if self._done else ""
        return f"{self._what} {'━' * full}{'─' * (20 - full)} {self._done:,}/{self._total:,}{rate}"


@contextmanager
def progress_bar(what: str, total: int, *, show: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function to call with the number of further images that are done.

    It shows in a terminal and in a notebook. In a log file, for a remote client and with ``ODIN_PROGRESS=0`` it is
    silent.

    Args:
        what: What is done with them: ``predict``.
        total: How many there are.
        show: False for silence.
    """
    console = Console(stderr=True)
    seen = console.is_terminal or console.is_jupyter
    show = show and seen and bool(total) and os.environ.get("ODIN_PROGRESS") != "0" and not is_collecting()
    if show and console.is_jupyter and find_spec("ipywidgets") is None:  # which rich draws with there, and asks for
        line = _NotebookLine(what, total)
        yield line.advance
        line.show()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not show) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
