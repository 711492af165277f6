"""A class of predictions is the label itself, of its own type: True, 1 and "1" are three."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph.errors import UnknownNameError

SAID = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75], [0.125, 0.875]], np.float32)
OTHERS: dict[str, list[Any]] = {
    "bool": [1, "True", 1.0, "1"],
    "int": [True, "1", 1.0],
    "string": [1, True, "one"],
}


@pytest.mark.parametrize(("of", "classes"), [("bool", [False, True]), ("int", [0, 1]), ("string", ["0", "1"])])
def test_a_class_is_found_by_value_and_type(db: og.Workspace, of: str, classes: list[Any]) -> None:
    pixels = np.arange(4 * 64, dtype=np.uint8).reshape(4, 8, 8)
    db.images.add(images=pixels, ids=list("abcd"), labels=[classes[n % 2] for n in range(4)])
    test = db.datasets.add("test", db.images())
    with db.run(id="one", test=test) as run:
        run.log_predictions(test, probabilities=SAID, classes=classes)
    exp = run.experiment
    table = db.images("test").to_arrow("id", p=exp.probability(classes[1]), q=exp.probability(classes[0]), r=exp.rank)
    assert table.column("p").to_pylist() == SAID[:, 1].tolist()
    assert table.column("q").to_pylist() == SAID[:, 0].tolist()
    assert table.column("r").to_pylist()[2:] == [2, 1]
    assert db.images("test").where(exp.probability(np.array(classes)[1]) > 0.6).count() == 2
    for other in OTHERS[of]:
        with pytest.raises(UnknownNameError, match="no class of 'one'") as caught:
            db.images("test").where(exp.probability(other) > 0.5)
        if str(other) in map(str, classes):
            assert f"give {other_of(classes, other)!r}" in str(caught.value)


def other_of(classes: list[Any], other: Any) -> Any:
    return next(name for name in classes if str(name) == str(other))
