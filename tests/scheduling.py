"""Which process runs a test: each keeps to one graph engine, so that each server is started and warm once."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

_ENGINE = re.compile(r"\[(?:.*-)?(arcadedb|neo4j-lts|neo4j)[-\]]")
_SECONDS = "odin_graph/seconds"
"""What pytest's cache keeps: how long each file took on each engine."""


class ByEngine(LoadScopeScheduling):
    """A file's tests on an engine run in one process, one after another; those on no engine go where there is time.

    What took longest in the last run goes first, so that all processes end at about the same time.
    """

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        self._cache = config.cache
        self._last: dict[str, float] = self._cache.get(_SECONDS, {}) if self._cache else {}
        self._now: defaultdict[str, float] = defaultdict(float)
        config.add_cleanup(self._remember)

    def mark_test_complete(self, node: WorkerController, item_index: int, duration: float = 0) -> None:
        self._now[self._split_scope(self.registered_collections[node][item_index])] += duration
        super().mark_test_complete(node, item_index, duration)

    def _remember(self) -> None:
        if self._cache:
            self._cache.set(_SECONDS, {**self._last, **{scope: round(took, 1) for scope, took in self._now.items()}})

    def _split_scope(self, nodeid: str) -> str:
        named = _ENGINE.search(nodeid)
        return f"{named[1] if named else ''}@{nodeid.split('::')[0]}"

    def _assign_work_unit(self, node: WorkerController) -> None:
        def engine(scope: str) -> str:
            return scope.split("@")[0]

        others = {engine(scope) for other, scopes in self.assigned_work.items() if other != node for scope in scopes}
        own = [engine(scope) for scope in self.assigned_work[node] if engine(scope)][-1:]

        def liking(scope: str) -> int:
            """The engine that runs here, then one that runs nowhere, then none at all, and then another process's."""
            if engine(scope) in own:
                return 0
            if not engine(scope):
                return 2
            return 3 if own or engine(scope) in others else 1

        def order(scope: str) -> tuple[int, float]:
            return liking(scope), -self._last.get(scope, len(self.workqueue[scope]))

        self.workqueue.move_to_end(min(self.workqueue, key=order), last=False)
        super()._assign_work_unit(node)
