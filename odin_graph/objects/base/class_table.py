"""The classes of things by name, imported when one is needed, since their modules import each other."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

_CLASSES: Final = {
    "ActivationSet": "collections.activations",
    "Checkpoint": "things.checkpoint",
    "Dataset": "things.dataset",
    "Experiment": "things.experiment",
    "Image": "things.image",
    "Layer": "layers.layer",
    "Model": "things.model",
    "PredictionSet": "collections.predictions",
    "Query": "query.query",
    "Run": "things.run",
    "Video": "collections.stacks",
    "Volume": "collections.stacks",
}


def class_of(name: str) -> Any:
    """The class of a kind of thing, by its label; of images also ``Query``, of experiments ``Run``."""
    if name not in _CLASSES:
        return import_module("odin_graph.objects.things.thing").thing_class(name)
    return getattr(import_module(f"odin_graph.objects.{_CLASSES[name]}"), name)
