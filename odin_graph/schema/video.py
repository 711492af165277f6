"""Videos that images were taken from."""

from __future__ import annotations

from neomodel import FloatProperty

from odin_graph.schema.stack import Stack


class Video(Stack):
    """A video, of which frames are images."""

    fps = FloatProperty()
    """Frames a second, where it is known."""
