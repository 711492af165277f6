"""A cache of the last answers, by plan, so that the next page is not computed again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from odin_graph.query.executor import CachedAnswer, LocalExecutor
from odin_graph.query.plan.plan import Plan
from odin_graph.stores import Stores

_MANY: Final = 16


class AnswerCache:
    """Executors that keep the answer of a plan until the graph changes; safe to share between threads."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._answers: OrderedDict[Plan, CachedAnswer] = OrderedDict()
        self._lock = threading.Lock()

    def executor(self, plan: Plan) -> LocalExecutor:
        """The executor of this bound plan; it answers no other plan."""
        with self._lock:
            answer = self._answers.setdefault(plan, CachedAnswer())
            self._answers.move_to_end(plan)
            while len(self._answers) > _MANY:
                self._answers.popitem(last=False)
        return LocalExecutor(self._stores, answer)
