"""Every task by name, and the text by which a model records its task."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from typing import Any, Final

import pyarrow as pa

from odin_graph.errors import QueryError, UnknownNameError
from odin_graph.registry import PluginError, Registry
from odin_graph.schema.tasks.task import Task

TASKS: Final[Registry[Task]] = Registry(kind="task", group="odin_graph.tasks")
"""Entries are instances, with the parameters that hold where none are given."""

_OF_TASK: Final = frozenset(dir(Task)) | frozenset(Task.__annotations__)
"""What is asked of every task: a parameter of such a name would change what is measured, without a word."""
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
    task = _checked(found["name"])
    if found["parameters"] is None:
        return task
    try:
        parameters: dict[str, Any] = json.loads(found["parameters"])
    except json.JSONDecodeError as error:
        raise QueryError(f"The parameters in {text!r} are not JSON ({error}): write them as in {_EXAMPLE}.") from error
    known = [field.name for field in fields(task)]
    for name in parameters:
        if name not in known:
            raise UnknownNameError.of(f"parameter of the task {found['name']!r}:", name, known)
    return replace(task, **parameters)


def spell_task(task: Task) -> str:
    """The text that `parse_task` reads: the name, and those parameters that are not the entry's own."""
    usual = TASKS.get(task.name)
    parameters = {
        field.name: getattr(task, field.name)
        for field in fields(task)
        if getattr(task, field.name) != getattr(usual, field.name)
    }
    return f"{task.name} {json.dumps(parameters, sort_keys=True)}" if parameters else task.name


def task_like(labels: pa.DataType, classes: Sequence[Any] | None = None) -> str:
    """The task that labels look like, where none is given."""
    if pa.types.is_list(labels) or pa.types.is_large_list(labels):
        return "multi-label"
    return "regression" if pa.types.is_floating(labels) and not classes else "multi-class"


def measures() -> tuple[str, ...]:
    """Every measure of any task."""
    found: dict[str, None] = {}
    for name in TASKS:
        with suppress(PluginError):  # a package that cannot be loaded says so where its own task is asked for
            found |= dict.fromkeys(_checked(name).metrics)
    return tuple(found)


def _checked(name: str) -> Task:
    """An entry that is a task, so that nothing of it is taken for another's.

    Raises:
        PluginError: It does not derive from `Task`, leaves something out, says another name, or has a parameter that
            is named as something of a task.
    """
    task = TASKS.get(name)
    if not isinstance(task, Task):
        raise PluginError(
            f"The task {name!r} is {task!r:.80}: register an instance of a class that derives from "
            "odin_graph.schema.tasks.Task and has all that is abstract there."
        )
    if getattr(task, "name", None) != name or not getattr(task, "metrics", ()):
        raise PluginError(f"The task {name!r} needs name = {name!r} and metrics = (...) in its class.")
    for field in fields(task):
        if field.name in _OF_TASK:
            raise PluginError(
                f"The task {name!r} has the parameter {field.name!r}, which is an attribute of Task: name the "
                f"parameter otherwise, or write {field.name}: ClassVar[...] = ... to set the attribute."
            )
    return task


_EXAMPLE: Final = 'regression {"tolerance": 5.0}'
