"""The definition of a model: an importable factory with arguments, captured source, or a file."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, Self, get_args

from torch import nn

from odin_graph.errors import ModelError
from odin_graph.runtime.models.source import capture

Kind = Literal["factory", "source", "program", "stored"]
Factory = Callable[..., Any]
"""Returns a torch module, or a function of arrays (n, bands, height, width) that gives (n, ...)."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What is needed to build a model, without its weights, as JSON has it."""

    kind: Kind
    target: str
    """``package.module:name``; of captured source the name alone; of a program or a model of another library the digest
    of its file."""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    source: str | None = None
    """Captured source; of a program its graph as Python, for people to read and to tell two programs apart."""
    packages: Mapping[str, str] = field(default_factory=dict)
    """The versions that it was defined with: a record, no part of what the definition is."""

    def to_json(self) -> dict[str, Any]:
        """As the model's node keeps it."""
        form = {"kind": self.kind, "target": self.target, "args": list(self.args), "kwargs": dict(self.kwargs)}
        return {**form, "packages": dict(self.packages), **({} if self.source is None else {"source": self.source})}

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> Self:
        """What `to_json` gave.

        Raises:
            ModelError: It is no definition that this version of odin_graph knows.
        """
        if form.get("kind") not in get_args(Kind):
            raise ModelError(
                f"A model's definition is of kind {form.get('kind')!r}: install the odin_graph that wrote it."
            )
        return cls(
            kind=form["kind"],
            target=form["target"],
            args=tuple(form["args"]),
            kwargs=form["kwargs"],
            source=form.get("source"),
            packages=form.get("packages", {}),
        )

    @property
    def digest(self) -> str:
        """SHA-256 of what is built. Comments and layout of captured source make no difference; nor do weights."""
        if self.kind == "program":
            meant = json.dumps([self.kind, self.source])
        else:
            code = None if self.source is None else ast.dump(ast.parse(self.source))
            meant = json.dumps([self.kind, self.target, list(self.args), dict(self.kwargs), code], sort_keys=True)
        return hashlib.sha256(meant.encode()).hexdigest()

    @property
    def code_digest(self) -> str:
        """SHA-256 of all code that would run: of a program also of its file, for which its text does not vouch."""
        if self.kind != "program":
            return self.digest
        return hashlib.sha256(f"{self.digest} {self.target}".encode()).hexdigest()

    def __str__(self) -> str:
        given = [*map(repr, self.args), *(f"{name}={value!r}" for name, value in self.kwargs.items())]
        if self.kind in ("program", "stored"):
            what = "exported program" if self.kind == "program" else f"{self.kwargs['format']} model"
            return f"{what} {self.target[:12]}"
        return f"{self.target}({', '.join(given)})"


def define(
    factory: str | Factory, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> tuple[Definition, Factory]:
    """The definition of a factory (see `Factory`), and the live factory itself.

    What can be imported is recorded by its name; of what only this notebook or script has, the source is captured.

    Raises:
        ModelError: It can be recorded in neither way, or an argument has no JSON form.
    """
    given = dict(kwargs or {})
    if isinstance(factory, partial):
        args, given = (*factory.args, *args), {**factory.keywords, **given}
        factory = factory.func
    if isinstance(factory, str):
        target, live = factory, import_target(factory)
    else:
        _check_callable(factory)
        target, live = f"{factory.__module__}:{factory.__qualname__}", factory
    plain_args = tuple(_as_json(f"argument {place}", value) for place, value in enumerate(args))
    plain_kwargs = {name: _as_json(f"argument {name!r}", value) for name, value in given.items()}
    module = target.partition(":")[0]
    if module not in ("__main__", "__mp_main__") and _is_importable(target, live):
        return Definition("factory", target, plain_args, plain_kwargs, packages=versions("torch", _top(module))), live
    if not isinstance(live, type) and not hasattr(live, "__code__"):
        raise ModelError(
            f"{target} can neither be imported nor has it source: define the model in a module or a notebook."
        )
    source = capture(live)
    return Definition("source", live.__name__, plain_args, plain_kwargs, source, versions("torch")), live


def import_target(target: str) -> Factory:
    """Import what ``package.module:name`` names.

    Raises:
        ModelError: It cannot be imported here, or is nothing that can be called.
    """
    module, colon, name = target.partition(":")
    if not colon or not name:
        raise ModelError(f"{target!r} names no factory: write 'package.module:name', or give the class itself.")
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise ModelError(
            f"The model's factory {target!r} cannot be imported here: {type(error).__name__}: {error}. "
            "Install its package, or put its folder on sys.path."
        ) from error
    _check_callable(found)
    factory: Factory = found
    return factory


def _check_callable(factory: object) -> None:
    if not callable(factory) or not hasattr(factory, "__qualname__") or isinstance(factory, nn.Module):
        raise ModelError(
            f"{factory!r:.80} is not a factory: give a class or function that returns a torch.nn.Module or a function "
            "of arrays, its name 'package.module:name', a module with its input_shape=, or a model of an installed "
            "format."
        )


def _is_importable(target: str, factory: object) -> bool:
    module, _, name = target.partition(":")
    if "<" in name or importlib.util.find_spec(module) is None:
        return False
    found: object = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is factory


def _as_json(what: str, value: Any) -> Any:
    """The value as it comes back from JSON: models are always built with that, here and elsewhere."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"The {what} of the model, {value!r:.60}, has no JSON form ({error}): give numbers, strings, lists and "
            "dictionaries, and make the rest inside the factory."
        ) from error


def _top(module: str) -> str:
    return module.partition(".")[0]


def versions(*distributions: str) -> dict[str, str]:
    """The installed versions of distributions, without those that are not installed."""
    found = {}
    for name in dict.fromkeys(distributions):
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a module of the user's own, or another distribution name
            continue
    return found
