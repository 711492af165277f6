"""Which of two processes runs a test: each keeps to one graph engine, so that each server is started and warm once."""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

_ENGINE = re.compile(r"\[(?:.*-)?(arcadedb|neo4j-lts|neo4j)[-\]]")


class ByEngine(LoadScopeScheduling):
    """A file's tests on an engine run in one process, one after another; those on no engine go where there is time."""

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

        self.workqueue.move_to_end(min(self.workqueue, key=liking), last=False)
        super()._assign_work_unit(node)
