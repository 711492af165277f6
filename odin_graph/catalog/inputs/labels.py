"""The label of an input, from those of its images."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from odin_graph.catalog.inputs.input import Input
from odin_graph.catalog.inputs.inputs import PADDING, Inputs
from odin_graph.errors import DataError

_SHOWN: Final = 3


def labels_of_inputs(
    what: Input, inputs: Inputs, keys: NDArray[np.int64], labels: Sequence[Any], classes: Sequence[Any] | None
) -> list[Any]:
    """The label of each input, None where none of its images has one.

    Args:
        what: What an input is, and by which rule it gets its label.
        inputs: The inputs.
        keys: Images, those of the inputs among them.
        labels: Theirs; None or NaN is a missing one.
        classes: The order in which ``max`` takes the largest; without them, that of the values.

    Raises:
        DataError: The images of an input have several labels, and should agree; or labels that have no order.
    """
    known = {key: label for key, label in zip(keys.tolist(), labels, strict=True) if not _is_missing(label)}
    found: list[Any] = []
    apart: list[str] = []
    for position in range(len(inputs)):
        there = [known[key] for key in inputs.of(position).tolist() if key != PADDING and key in known]
        distinct = list({_typed(label): label for label in there}.values())
        if what.label == "agree" and len(distinct) > 1:
            apart.append(f"{inputs.names[position]} has {' and '.join(map(repr, distinct[:_SHOWN]))}")
        found.append(_largest(there, classes) if what.label == "max" else there[0] if there else None)
    if apart:
        raise DataError(
            f"The images of {len(apart):,} of {len(inputs):,} inputs have several labels, and an input has one: "
            f"{'; '.join(apart[:_SHOWN])}. Correct them, freeze a field of the whole input (label=), or add the model "
            "with an input whose label is 'first' or 'max'."
        )
    return found


def _largest(labels: list[Any], classes: Sequence[Any] | None) -> Any:
    if not labels:
        return None
    if classes is not None:
        place = {_typed(name): at for at, name in enumerate(classes)}
        if all(_typed(label) in place for label in labels):
            return max(labels, key=lambda label: place[_typed(label)])
    if any(isinstance(label, str | list) for label in labels):
        raise DataError(f"The labels {labels[:_SHOWN]!r} have no order, so none is the largest: use label='agree'.")
    return max(labels)


def _typed(label: Any) -> Any:
    """A key that differs where labels differ: 1, 1.0 and True are three."""
    return type(label), tuple(label) if isinstance(label, list) else label


def _is_missing(label: Any) -> bool:
    return label is None or (isinstance(label, float) and isnan(label))
