"""What a format of models is: how a library's models become files, and files functions of images."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from odin_graph.registry import PluginError, Registry

Inputs: TypeAlias = NDArray[np.float32]
"""(n, bands, height, width), after the model's preprocessing."""
Outputs: TypeAlias = NDArray[Any]
"""(n, ...), as the model's task takes them: of classes the logits, of a regression the numbers."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model says of itself, and a user need not: each may be missing."""

    classes: Sequence[str | int | bool] | None = None
    """In the order of its outputs."""
    task: str | None = None
    input_shape: tuple[int, ...] | None = None
    """(bands, height, width), after preprocessing; of several images as their layout says."""


class ModelFormat(ABC):
    """A library's models, as ``db.models.add(id, model)`` takes them."""

    packages: ClassVar[tuple[str, ...]] = ()
    """The distributions that load such a model. Their versions are recorded."""
    runs_code: ClassVar[bool] = True
    """Whether loading a file runs code that the file chooses. Such a model is only built once the user trusts it."""

    @abstractmethod
    def accepts(self, model: object) -> bool:
        """Whether it is a model of this format. Asked of any object, so it imports nothing heavy."""

    @abstractmethod
    def dump(self, model: Any) -> bytes:
        """The model as a file; equal models give equal bytes, as far as the library can."""

    @abstractmethod
    def load(self, data: bytes) -> Callable[[Inputs], Outputs]:
        """The model that `dump` wrote, as a function of images."""

    def facts(self, model: Any) -> Facts:  # noqa: ARG002 - a format that knows more has it
        """What the model says of itself."""
        return Facts()


FORMATS: Final[Registry[ModelFormat]] = Registry("model format", "odin_graph.models")


def format_of(model: object) -> str | None:
    """The name of the format of a model; None for what makes a model: a class, a function or the name of one."""
    named = isinstance(model, str) and ":" in model
    if named or isinstance(model, type | partial) or inspect.isroutine(model):
        return None
    return next((name for name in FORMATS if _checked(name).accepts(model)), None)


def _checked(name: str) -> ModelFormat:
    entry: object = FORMATS.get(name)
    if not isinstance(entry, ModelFormat):
        raise PluginError(
            f"The model format {name!r} is {entry!r:.80}, not an object of a class that derives from ModelFormat: its "
            "entry point names the object, FORMAT = MyFormat()."
        )
    return entry
