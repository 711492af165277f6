"""A function of the user's, called on one thing after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from odin_graph.catalog.records.updates import update_metadata
from odin_graph.client import Session
from odin_graph.config import Budget
from odin_graph.errors import DataError, OdinError
from odin_graph.runtime.derive.parallel import run_all

T = TypeVar("T")


def map_things(
    session: Session,
    kind: str,
    ids: Sequence[str],
    things: Sequence[T],
    function: Callable[[T], Any],
    name: str | None,
) -> pd.Series:
    """Values by id of things that are no images; see `ThingQuery.map`."""
    stores = None if name is None else session.stores  # refused before anything is called
    values = call_each(function, things, list(map(repr, ids)))
    if name is not None and stores is not None and ids:
        check_values(values)
        update_metadata(stores, kind, list(ids), {name: values}, missing="remove")
    return pd.Series(values, index=pd.Index(list(ids), name="id"), name=name)


def call_each(function: Callable[[T], Any], things: Sequence[T], names: Sequence[str], workers: int = 0) -> list[Any]:
    """The function's result for each thing; an error names the thing."""
    calls = ((function, thing, name) for thing, name in zip(things, names, strict=True))
    return run_all(_call, calls, threads=Budget.of_machine().threads, workers=workers)


def _call(function: Callable[[T], Any], thing: T, name: str) -> Any:
    try:
        result = function(thing)
    except OdinError:
        raise
    except Exception as error:
        raise DataError(f"The function failed at {name}: {type(error).__name__}: {error}") from error
    try:
        if isinstance(result, str):
            result.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"The function gave a text with half a character at {name}: {result!r:.80}.") from error
    return result.item() if isinstance(result, np.generic) or getattr(result, "shape", None) == () else result


def check_values(values: Sequence[Any]) -> None:
    """Refuse arrays, which cannot be metadata."""
    for value in values:
        if isinstance(value, np.ndarray):
            raise DataError(
                f"The function gave an array of shape {value.shape}, which cannot be stored as metadata: "
                "return numbers or strings for all. Images are made by a function of one image, from every image."
            )
