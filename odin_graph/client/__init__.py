"""A workspace near or far: `Session` is what objects ask; over HTTP a server checks and answers."""

from __future__ import annotations

from odin_graph.client.executor import RemoteExecutor
from odin_graph.client.link import Link
from odin_graph.client.session import LocalSession, RemoteSession, Session, pixels_at, session_at

__all__ = ["Link", "LocalSession", "RemoteExecutor", "RemoteSession", "Session", "pixels_at", "session_at"]
