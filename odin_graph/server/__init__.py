"""The HTTP API: queries, neighbors, representative images, images and what they come from, for programs elsewhere."""

from __future__ import annotations

from odin_graph.server.app import create_app
from odin_graph.server.connections import config_of
from odin_graph.server.settings import Settings

__all__ = ["Settings", "config_of", "create_app"]
