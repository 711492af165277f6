"""A workspace that is served elsewhere: the same plans, checked and answered over HTTP."""

from __future__ import annotations

from odin_graph.client.executor import RemoteExecutor, executor_at
from odin_graph.client.link import Link

__all__ = ["Link", "RemoteExecutor", "executor_at"]
