"""Answers of one moment of the graph, although others may write: an answer is repeated until it is of one moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from odin_graph.errors import TimeLimitError
from odin_graph.graph import ChangeToken, Graph
from odin_graph.graph.moment import Moment

_TRIES: Final = 4
"""Attempts that writes may spoil, at least, before the last one is taken as it is."""
_PATIENCE: Final = 5.0
"""Seconds of such attempts, at least."""

T = TypeVar("T")


class MovedError(Exception):
    """What was read is of another moment than the rest of the answer. Never leaves `of_one_moment`.

    Args:
        to: That moment, if it is known: what was read is cached, so that the rest can be read at that moment.
    """

    def __init__(self, to: ChangeToken | None = None) -> None:
        super().__init__()
        self.to = to


def of_one_moment(graph: Graph, answer: Callable[[Moment, bool], T]) -> T:
    """The answer at one moment.

    If others never stop writing, the last try takes what it reads: every row as it was committed, none older than this
    call. An error while somebody wrote, such as a file that was just replaced, is tried again as well.

    Args:
        graph: The graph.
        answer: Makes it; the second argument says whether to raise `MovedError` where what is read is of another one.
    """
    until, tries = time.monotonic() + _PATIENCE, 0
    at = graph.moment()
    while True:
        tries += 1
        last = tries >= _TRIES and time.monotonic() > until
        try:
            return answer(at, not last)
        except MovedError as moved:
            at = graph.moment() if moved.to is None else Moment(graph, moved.to)
            continue
        except TimeLimitError:
            raise
        except Exception:
            if tries >= _TRIES or graph.change_token() == at.token:
                raise
            at = graph.moment()
