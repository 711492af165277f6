"""The last answers, by plan: the next page of one is not computed again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from odin_graph.query.executor import Held, LocalExecutor
from odin_graph.query.plan.plan import Plan
from odin_graph.stores import Stores

_MANY: Final = 16


class HeldAnswers:
    """Executors that know the answer of a plan for as long as the graph does not change; safe between threads."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._held: OrderedDict[Plan, Held] = OrderedDict()
        self._lock = threading.Lock()

    def executor(self, plan: Plan) -> LocalExecutor:
        """What answers a bound plan, and no other one."""
        with self._lock:
            held = self._held.setdefault(plan, Held())
            self._held.move_to_end(plan)
            while len(self._held) > _MANY:
                self._held.popitem(last=False)
        return LocalExecutor(self._stores, held)
