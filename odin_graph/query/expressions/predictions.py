"""A model's predictions as expressions: ``exp.wrong``, ``exp.on("retina-test2").confidence``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from odin_graph.query.expressions.expressions import Expr, as_value
from odin_graph.query.expressions.nodes import PredictionField, PredictionName, Value


class PredictionExpressions:
    """Gives an experiment its expressions. The class that takes it in has an ``id``.

    Each reads one prediction set: the latest ready one of the chosen checkpoint (the best, else the last) over the
    data set that the query reads, else the latest imported one. An image without a prediction gives null.
    """

    id: Any
    """The experiment's id, a str. Any, since the classes that take this in have it as a property or a field."""

    @property
    def predicted(self) -> Expr:
        """What was predicted: the class, or the number of a regression."""
        return self._expression("predicted")

    @property
    def wrong(self) -> Expr:
        """Whether the prediction differs from the label of the data set version it was made over."""
        return self._expression("wrong")

    @property
    def confidence(self) -> Expr:
        """The probability of what was predicted."""
        return self._expression("confidence")

    @property
    def margin(self) -> Expr:
        """The largest probability less the second largest."""
        return self._expression("margin")

    @property
    def entropy(self) -> Expr:
        """The entropy of the probabilities, in nats."""
        return self._expression("entropy")

    @property
    def rank(self) -> Expr:
        """The place of the truth among the classes by probability: 1 where it was predicted, 2 where it was second."""
        return self._expression("rank")

    def probability(self, of: object) -> Expr:
        """The probability of one class."""
        return self._expression("probability", as_value(of))

    def on(self, dataset: Any) -> PredictionsOn:
        """The same expressions over a named data set: for queries whose source is no data set, or another one.

        Args:
            dataset: A data set or its id; the bare id is its latest version.
        """
        return PredictionsOn(id=str(self.id), dataset=str(getattr(dataset, "id", dataset)))

    def _expression(self, name: PredictionName, argument: Value | None = None) -> Expr:
        return Expr(PredictionField(str(self.id), self._over(), name, argument))

    def _over(self) -> str | None:
        return None


@dataclass(frozen=True)
class PredictionsOn(PredictionExpressions):
    """An experiment's predictions over one data set."""

    id: str
    dataset: str

    def _over(self) -> str | None:
        return self.dataset
