"""The class of the things of a kind, looked up when one is made: the classes stand on queries themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def class_of(kind: str) -> Callable[..., Any]:
    """What makes a thing of stores and an id.

    Args:
        kind: Its label.
    """
    from odin_graph.objects.collections import activations, predictions, stacks
    from odin_graph.objects.things import checkpoint, dataset, experiment, model

    return {
        "ActivationSet": activations.ActivationSet,
        "Checkpoint": checkpoint.Checkpoint,
        "Dataset": dataset.Dataset,
        "Experiment": experiment.Experiment,
        "Model": model.Model,
        "PredictionSet": predictions.PredictionSet,
        "Video": stacks.Video,
        "Volume": stacks.Volume,
    }[kind]
