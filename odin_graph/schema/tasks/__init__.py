"""Tasks: what a prediction's columns are, what wrong means, which measures apply. Registered; more can be added."""

from __future__ import annotations

from odin_graph.schema.tasks.registry import TASKS, parse_task, spell_task
from odin_graph.schema.tasks.task import Labels, Mask, Predictions, Task

__all__ = ["TASKS", "Labels", "Mask", "Predictions", "Task", "parse_task", "spell_task"]
