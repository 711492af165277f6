"""A user's Cypher as a source of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from odin_graph.errors import ExpressionError, QueryError
from odin_graph.query.expressions.expressions import as_value
from odin_graph.query.plan.parameters import Parameter
from odin_graph.query.plan.plan import Cypher, Registered

if TYPE_CHECKING:
    from odin_graph.graph import Graph

_REMEDY = "Return the image, as in RETURN DISTINCT i, or its key, as in RETURN DISTINCT i.key."


def cypher_source(text: str, params: Mapping[str, Any]) -> Cypher:
    """The source of a statement and its parameters.

    Raises:
        QueryError: The statement is empty, or a parameter is of a kind that a query cannot carry.
    """
    if not isinstance(text, str) or not text.strip():
        raise QueryError(f"images(cypher=...) takes a statement, not {text!r}. {_REMEDY}")
    return Cypher(text, read_parameters(params))


def read_parameters(params: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Parameters as a query carries them, by name.

    Raises:
        QueryError: One is of a kind that a query cannot carry.
    """
    return tuple(Parameter(name, _value(name, value)) for name, value in sorted(params.items()))


def parameters(source: Cypher | Registered) -> dict[str, Any]:
    """The parameters as the driver takes them."""
    return {parameter.name: _python(parameter.value) for parameter in source.parameters}


def keys(graph: Graph, cypher: Cypher) -> NDArray[np.int64]:
    """The keys of the images that the statement returns, each once, in the order of their first row.

    Raises:
        QueryError: It returns something else than images.
        ReadOnlyError: It writes.
    """
    rows: list[dict[str, Any]] = list(graph.user_read(cypher.text, parameters(cypher)))
    if not rows:
        return np.array([], np.int64)
    name = _column(rows)
    found = dict.fromkeys(_key(row[name]) for row in rows if row[name] is not None)
    return np.fromiter(found, np.int64, len(found))


def _column(rows: Iterable[Mapping[str, Any]]) -> str:
    """The one column that holds images."""
    images: dict[str, None] = {}
    names: list[str] = []
    for row in rows:
        names = list(row)
        images.update(dict.fromkeys(name for name, value in row.items() if _is_image(name, value)))
        if images:
            break
    if len(images) == 1:
        return next(iter(images))
    listed = ", ".join(repr(name) for name in names)
    if images:
        both = " and ".join(repr(name) for name in images)
        raise QueryError(f"The Cypher returns images in several columns, {both}: return one. {_REMEDY}")
    raise QueryError(f"The Cypher returns no images: its columns are {listed}. {_REMEDY}")


def _is_image(name: str, value: Any) -> bool:
    if type(value) is int:
        return name == "key" or name.endswith(".key")
    return "Image" in getattr(value, "labels", ())


def _key(value: Any) -> int:
    if type(value) is int:
        return value
    if "Image" not in getattr(value, "labels", ()):
        raise QueryError(f"The Cypher returns images and also {value!r:.80} in one column. {_REMEDY}")
    return int(value["key"])


def _value(name: str, value: Any) -> Any:
    try:
        if value is None:
            return None
        if isinstance(value, list | tuple | set | frozenset | np.ndarray):
            return tuple(as_value(item) for item in value)
        return as_value(value)
    except ExpressionError as error:
        raise QueryError(
            f"The parameter ${name} cannot travel in a query: {value!r:.80}. "
            "Give a number, a text, a truth value, a date, None, or a list of such."
        ) from error


def _python(value: Any) -> Any:
    if isinstance(value, tuple):
        return [item.python() for item in value]
    return None if value is None else value.python()
