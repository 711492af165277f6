"""Whose code runs: building a model never runs code out of a workspace that nobody vouched for.

A class that is a torch module, or a function that says it returns one, may be imported and called: that is no more
than the user's own installation. Captured source and exported programs are code of the workspace, and so is a call of
any other function with arguments from it.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final, get_type_hints

from torch import nn

from odin_graph.errors import TrustError
from odin_graph.runtime.models.definition import Definition, Factory

_vouched: set[str] = set()
_live: dict[str, Factory] = {}
_everything: ContextVar[bool] = ContextVar("odin_graph.trust", default=False)
REMEDY: Final = " If you trust"
"""Where the message of a `TrustError` begins to say what helps."""


def vouch(definition: Definition) -> None:
    """Trust the definition from now on in this process."""
    _vouched.add(definition.code_digest)


def trust_everything() -> None:
    """From here on to the end of the context (of a request's task) everything is vouched for."""
    _everything.set(True)


def remember(definition: Definition, factory: Factory) -> None:
    """Keep the live factory of a definition that was made in this process, by its own user."""
    _live[definition.code_digest] = factory
    vouch(definition)


def live(definition: Definition) -> Factory | None:
    """The factory, if the definition was made in this process."""
    return _live.get(definition.code_digest)


def doubt(definition: Definition) -> None:
    """Trust it no longer in this process."""
    _vouched.discard(definition.code_digest)
    _live.pop(definition.code_digest, None)


def check(model: str, definition: Definition, factory: Factory | None = None) -> None:
    """Refuse to run what nobody vouched for.

    Args:
        model: The model's id, for the message.
        definition: What is to be built.
        factory: What was imported for it, if it is an importable factory.

    Raises:
        TrustError: Names what would run and how to vouch for it.
    """
    if _everything.get() or definition.code_digest in _vouched or (factory is not None and _returns_module(factory)):
        return
    what = {
        "source": f"run source that was captured from {definition.target!r} in a notebook or script",
        "program": "load an exported program (.pt2), which runs code when it is loaded",
        "stored": f"load a {definition}, which can run code when it is loaded",
        "factory": f"call {definition.target}, a function that does not say that it returns a torch module",
    }[definition.kind]
    raise TrustError(
        f"To build the model {model!r} would {what}.{REMEDY} who wrote this workspace, say so once, which is kept "
        f'for you until the code changes: db.models["{model}"].build(trust_source=True); read it first: '
        f'db.models["{model}"].definition.'
    )


def _returns_module(factory: Factory) -> bool:
    if isinstance(factory, type):
        return issubclass(factory, nn.Module)
    try:
        returned = get_type_hints(factory).get("return")
    except Exception:  # noqa: BLE001 - annotations are code of others; one that fails says nothing
        return False
    return isinstance(returned, type) and issubclass(returned, nn.Module)
