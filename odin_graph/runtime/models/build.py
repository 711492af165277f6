"""From a definition to a torch module."""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

import torch
from torch import nn

from odin_graph.errors import ModelError
from odin_graph.runtime.layers.layers import LayerRow, layer_table
from odin_graph.runtime.models import trust
from odin_graph.runtime.models.definition import Definition, Factory, import_target
from odin_graph.runtime.models.foreign import Foreign
from odin_graph.runtime.models.formats.format import FORMATS
from odin_graph.runtime.models.program import load_program


def build(model: str, definition: Definition, read_file: Callable[[], bytes]) -> nn.Module:
    """A new module, with the weights that its factory gives it.

    Args:
        model: The model's id, for messages.
        definition: What to build.
        read_file: Gives the bytes of its file, if it has one.

    Raises:
        TrustError: It would run code that nobody vouched for.
        ModelError: Its factory cannot be imported, or fails.
    """
    if definition.kind == "program":
        trust.check(model, definition)
        return load_program(read_file())
    if definition.kind == "stored":
        form = FORMATS.get(definition.kwargs["format"])
        if form.runs_code:
            trust.check(model, definition)
        return Foreign(form.load(read_file()), f"The {definition}")
    factory = trust.live(definition)
    if factory is None and definition.kind == "source":
        trust.check(model, definition)
        factory = run_source(definition)
    elif factory is None:
        factory = import_target(definition.target)
        trust.check(model, definition, factory)
    return call(definition, factory)


def call(definition: Definition, factory: Factory) -> nn.Module:
    """Call a factory with the definition's arguments.

    Raises:
        ModelError: It fails, or returns neither a module nor a function.
    """
    try:
        made: object = factory(*definition.args, **definition.kwargs)
    except Exception as error:
        hint = ""
        if isinstance(error, TypeError) and "missing" in str(error):
            hint = (
                " Give its arguments with args= or kwargs=. A function of images is not the factory, but what the "
                "factory returns: def make(): return function."
            )
        raise ModelError(f"{definition} fails: {type(error).__name__}: {error}.{hint}") from error
    if isinstance(made, nn.Module):
        return made
    if not callable(made):
        raise ModelError(
            f"{definition} returns {type(made).__qualname__}: give a factory that returns a torch.nn.Module, or a "
            "function of arrays (n, bands, height, width)."
        )
    return Foreign(made, f"The model of {definition}")


def run_source(definition: Definition) -> Factory:
    """The class or function that captured source defines, in a module of its own.

    Raises:
        ModelError: The source fails, which names what it lacks.
    """
    name = f"odin_graph_source_{definition.digest[:16]}"
    if name not in sys.modules:
        text = definition.source or ""
        module = ModuleType(name, "Source captured by odin_graph.")
        module.__file__ = f"<{definition.target}, captured by odin_graph {definition.digest[:16]}>"
        # So that a traceback, and inspect.getsource, show the lines.
        linecache.cache[module.__file__] = (len(text), None, text.splitlines(keepends=True), module.__file__)
        sys.modules[name] = module  # dataclasses look their module up while they are made
        try:
            exec(compile(text, module.__file__, "exec"), vars(module))  # noqa: S102 - trust.check came first
        except Exception as error:
            del sys.modules[name]
            raise ModelError(
                f"The stored source of {definition.target!r} does not run on its own: {type(error).__name__}: "
                f"{error}. Write the model in a module that can be imported."
            ) from error
    factory: Factory = getattr(sys.modules[name], definition.target)
    return factory


def inspect(make: Callable[[], nn.Module], input_shape: Sequence[int] | None) -> tuple[LayerRow, ...]:
    """The layers of a model, by a dry run that costs neither memory nor random numbers where torch allows it.

    Raises:
        ModelError: It cannot be built.
        ShapeError: It does not take the input.
    """
    try:
        with torch.device("meta"):
            return layer_table(make(), input_shape)
    except Exception:  # noqa: BLE001 - its code needs real numbers, or fails anyway: the second try raises its error
        with torch.random.fork_rng():
            return layer_table(make(), input_shape)
