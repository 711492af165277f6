"""The command `odin`: one verb a file, each a call to a function that Python users have too."""

from __future__ import annotations

from odin_graph.cli.app import main

__all__ = ["main"]
