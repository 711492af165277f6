"""The parameters and logged metrics of experiments as fields: ``params.lr``, ``metrics.loss``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from odin_graph.catalog.experiments.metrics import last_metrics
from odin_graph.graph.moment import Moment
from odin_graph.schema.kinds import alive

if TYPE_CHECKING:
    from odin_graph.stores import Stores

_PARAMETERS = f"""
MATCH (i:Experiment) WHERE {alive("Experiment", "i")} AND i.parameters IS NOT NULL
RETURN i.id AS id, i.parameters AS parameters
"""
_WORDS = {bool: "bool", int: "int", float: "float", str: "string"}


class Parameters:
    """Hyper-parameters; those within others by their path: ``params.optimizer.lr``."""

    kind = "Experiment"

    def types(self, _stores: Stores, at: Moment, /) -> Mapping[str, str]:
        """One type for each name: int widens to float, and other mixed types become text."""
        found: dict[str, str] = {}
        for parameters in self._parameters(at).values():
            for name, value in parameters.items():
                word = _WORDS[type(value)]
                previous = found.setdefault(name, word)
                if previous != word:
                    found[name] = "float" if {previous, word} == {"int", "float"} else "string"
        return found

    def values(self, stores: Stores, at: Moment, name: str, ids: Sequence[str], /) -> Sequence[Any]:
        """The values as JSON has them."""
        parameters, type_ = self._parameters(at), self.types(stores, at)[name]
        values = [parameters.get(id_, {}).get(name) for id_ in ids]
        if type_ == "string":
            return [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        return [None if value is None else float(value) for value in values] if type_ == "float" else values

    def _parameters(self, at: Moment) -> dict[str, dict[str, Any]]:
        return {row["id"]: dict(_flat(json.loads(row["parameters"]))) for row in at.read(_PARAMETERS)}


class Metrics:
    """Logged metrics, the last value of each."""

    kind = "Experiment"

    def types(self, stores: Stores, at: Moment, /) -> Mapping[str, str]:
        """All are floats."""
        ids = [row["id"] for row in at.read(f"MATCH (i:Experiment) WHERE {alive('Experiment', 'i')} RETURN i.id AS id")]
        return {name: "float" for metrics in last_metrics(stores, ids).values() for name in metrics}

    def values(self, stores: Stores, _at: Moment, name: str, ids: Sequence[str], /) -> Sequence[Any]:
        """The last that was logged; NaN is missing, as everywhere, and minus zero is zero."""
        metrics = last_metrics(stores, ids)
        values = [metrics.get(id_, {}).get(name) for id_ in ids]
        return [None if value is None or value != value else value + 0.0 for value in values]


def _flat(nested: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        elif type(value) in _WORDS:
            yield f"{path}{name}", value


PARAMETERS = Parameters()
METRICS = Metrics()
