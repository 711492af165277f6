"""Every task by name, and the text by which a model records its task."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from typing import Any, Final

from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.registry import Registry
from odin_graph.schema.tasks.task import Task

TASKS: Final[Registry[Task]] = Registry(kind="task", group="odin_graph.tasks")
"""Entries are instances, with the parameters that hold where none are given."""

_SPELLED: Final = re.compile(r"(?P<name>[^{\s]+)\s*(?P<parameters>\{.*\})?", re.DOTALL)


def parse_task(text: str) -> Task:
    """The task that a text names: ``multi-class``, or with parameters as JSON, ``regression {"tolerance": 5.0}``.

    Raises:
        UnknownNameError: There is no such task, or no such parameter of it.
        QueryError: The text cannot be read, or a parameter is refused.
    """
    found = _SPELLED.fullmatch(text.strip())
    if found is None:
        raise QueryError(f"{text!r} names no task: write multi-class, or with parameters {_EXAMPLE}.")
    task = TASKS.get(found["name"])
    if found["parameters"] is None:
        return task
    try:
        parameters: dict[str, Any] = json.loads(found["parameters"])
    except json.JSONDecodeError as error:
        raise QueryError(f"The parameters in {text!r} are not JSON ({error}): write them as in {_EXAMPLE}.") from error
    known = [field.name for field in fields(task)]  # type: ignore[arg-type] # every entry is a dataclass
    for name in parameters:
        if name not in known:
            raise UnknownNameError.of(f"parameter of the task {found['name']!r}:", name, known)
    return replace(task, **parameters)  # type: ignore[type-var]


def spell_task(task: Task) -> str:
    """The text that `parse_task` reads: the name, and those parameters that are not the entry's own."""
    usual = TASKS.get(task.name)
    parameters = {
        field.name: getattr(task, field.name)
        for field in fields(task)  # type: ignore[arg-type]
        if getattr(task, field.name) != getattr(usual, field.name)
    }
    return f"{task.name} {json.dumps(parameters, sort_keys=True)}" if parameters else task.name


_EXAMPLE: Final = 'regression {"tolerance": 5.0}'
