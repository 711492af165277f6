"""Hypotheses about units as they travel: expressions, values of images, and masks; never code."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from odin_graph.analysis.units.hypotheses import HYPOTHESES
from odin_graph.analysis.units.kinds import Hypothesis
from odin_graph.errors import DataError, QueryError, RemoteError
from odin_graph.query.expressions.expressions import Expr, as_node
from odin_graph.query.plan.columns import Column
from odin_graph.query.plan.json_values import from_json, to_json

_COLUMN: TypeAdapter[Column] = TypeAdapter(Column)


@dataclass(frozen=True, eq=False)
class Hypotheses:
    """Hypotheses by name, each as the user gave it."""

    by_name: Mapping[str, Any]

    def argument_json(self) -> dict[str, Any]:
        """Its form for a server.

        Raises:
            RemoteError: A measure is an object of the user's.
            DataError: Values that no JSON can express.
        """
        return {str(name): _packed(str(name), given) for name, given in self.by_name.items()}

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Hypotheses:
        """What `argument_json` made, of whoever sends it.

        Raises:
            QueryError: It is none.
        """
        return cls({name: _unpacked(name, given) for name, given in data.items()})


def _packed(name: str, given: Any) -> dict[str, Any]:
    if isinstance(given, Hypothesis):
        measures = given.measures if isinstance(given.measures, tuple) else (given.measures,)
        return {**_packed(name, given.values), "measures": [_name_of(name, measure) for measure in measures]}
    if isinstance(given, Expr):
        return {"column": _COLUMN.dump_python(Column("value", as_node(given)), mode="json")}
    if isinstance(given, np.ndarray) and given.dtype.kind in "biuf":
        return {"array": _npy(given)}
    values = given.to_pylist() if hasattr(given, "to_pylist") else given
    if hasattr(values, "iloc"):
        values = values.astype(object).where(values.notna(), None).tolist()
    elif isinstance(values, np.ndarray):
        values = values.tolist()
    if isinstance(values, str) or not hasattr(values, "__len__"):
        return {"other": values if isinstance(values, str | int | float) else f"{values!r:.80}"}  # refused there
    return {"values": [{"array": _npy(value)} if np.ndim(value) else to_json(value) for value in values]}


def _name_of(hypothesis: str, measure: Any) -> str:
    if isinstance(measure, str):
        return measure
    name = str(getattr(measure, "name", measure))
    if name not in HYPOTHESES or HYPOTHESES.get(name) is not measure:
        raise RemoteError(
            f"The measure {name!r} of the hypothesis {hypothesis!r} is code of yours, which does not go to a server: "
            "use a registered one by its name, or ask where the workspace is."
        )
    return name


def _npy(array: Any) -> str:
    out = io.BytesIO()
    try:
        np.save(out, np.asarray(array), allow_pickle=False)
    except ValueError as error:
        raise DataError(f"Masks are arrays of numbers or truth values, not {array!r:.80}.") from error
    return base64.b64encode(out.getvalue()).decode()


def _unpacked(name: str, given: Any) -> Any:
    try:
        found = _values_in(given)
        return found if "measures" not in given else Hypothesis(found, tuple(map(str, given["measures"])))
    except (ValidationError, binascii.Error, ValueError, TypeError, KeyError, EOFError) as error:
        raise QueryError(f"The hypothesis {name!r} is not well formed.") from error


def _values_in(given: Any) -> Any:
    if "column" in given:
        return Expr(_COLUMN.validate_python(given["column"]).value)
    if "array" in given:
        return _array(given["array"])
    if "other" in given:
        return given["other"]
    return [
        _array(value["array"]) if isinstance(value, dict) and "array" in value else from_json(value)
        for value in given["values"]
    ]


def _array(text: str) -> Any:
    return np.load(io.BytesIO(base64.b64decode(text, validate=True)), allow_pickle=False)
