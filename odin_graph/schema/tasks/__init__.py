"""Tasks: what predictions are and when they are wrong, what is measured, learned from and drawn. More can be added."""

from __future__ import annotations

from odin_graph.schema.tasks import reading
from odin_graph.schema.tasks.pairs import Pairs
from odin_graph.schema.tasks.registry import TASKS, measures, parse_task, spell_task, task_like
from odin_graph.schema.tasks.scores import Numbers, Scores
from odin_graph.schema.tasks.task import Labels, Mask, Predictions, Task

__all__ = [
    "TASKS",
    "Labels",
    "Mask",
    "Numbers",
    "Pairs",
    "Predictions",
    "Scores",
    "Task",
    "measures",
    "parse_task",
    "reading",
    "spell_task",
    "task_like",
]
