"""Volumes that images were taken from."""

from __future__ import annotations

from odin_graph.schema.stack import Stack


class Volume(Stack):
    """A volume, of which slices are images."""
