"""A progress bar over images, on standard error: one for all long work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class Speed(ProgressColumn):
    """Images a second."""

    def render(self, task: Task) -> Text:
        """Of the last seconds; empty until somebody knows."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s")


@contextmanager
def progress_bar(what: str, total: int, *, show: bool) -> Iterator[Callable[[int], None]]:
    """Yields what to call with the number of images that were done.

    It shows in a terminal and in a notebook. In a log file and with ``ODIN_PROGRESS=0`` it is silent.

    Args:
        what: What is done with them: ``predict``.
        total: How many there are.
        show: False for silence.
    """
    console = Console(stderr=True)
    seen = console.is_terminal or console.is_jupyter
    show = show and seen and bool(total) and os.environ.get("ODIN_PROGRESS") != "0"
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not show) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
