"""Labels of text, of whole numbers and of truth values are labels everywhere, and never one for the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

import odin_graph as og
from odin_graph.errors import DataError
from odin_graph.runtime.training.targets import targets_of
from odin_graph.schema.tasks import parse_task

PAIRS: list[list[Any]] = [["a", "b"], ["007", "7"], [3, 7], [0, 1], [False, True]]
PIXELS = np.random.default_rng(0).integers(0, 255, (12, 4, 4), dtype=np.uint8)


class Flat(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(16, 2)

    def forward(self, x: Any) -> Any:
        return self.last(x.flatten(1))


def test_labels_come_in_whatever_holds_them(db: og.Workspace) -> None:
    """And one that is missing is missing, never a word such as "nan"."""
    given = ["a", None, "b"]
    held = {
        "list": [np.str_("a"), pd.NA, "b"],
        "object": np.array(["a", np.nan, "b"], object),
        "masked": np.ma.array(["a", "x", "b"], mask=[False, True, False]),
        "series": pd.Series(given, index=[9, 3, 1]),
        "strings": pd.Series(given, dtype="string"),
        "categories": pd.Series(given, dtype="category"),
        "categorical": pd.Categorical(given, categories=["b", "a"]),
        "arrow": pa.array(given),
        "chunks": pa.chunked_array([["a", None], ["b"]]),
        "dictionary": pa.array(given).dictionary_encode(),
        "scalars": [pa.scalar("a"), pa.scalar(None, pa.string()), "b"],
    }
    for name, labels in held.items():
        db.images.add(images=PIXELS[:3], ids=[f"{name}{n}" for n in range(3)], labels=labels, progress=False)
    assert db.images().to_arrow("label")["label"].to_pylist() == given * len(held)


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_labels_of_a_type_go_all_the_way(db: og.Workspace, tmp_path: Path, pair: list[Any]) -> None:
    """From a manifest to the results by group: a class is the label itself, of its own type."""
    for place, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / f"{place}.png")
    labels = [pair[place % 2] for place in range(12)]
    rows = [f"{place}.png,{label},{place % 3}" for place, label in enumerate(labels)]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,group", *rows]))
    db.images.add(tmp_path / "table.csv", progress=False)
    assert {(type(image.label), image.label) for image in db.images} == {(type(label), label) for label in pair}
    every = db.datasets.add("all", db.images())
    assert every.classes == sorted(pair)
    parts = every.split({"train": 0.5, "test": 0.5}, stratify="label", seed=0)
    ids = [image.id for image in db.images("all/test")]
    truth = [image.label for image in db.images("all/test")]
    (batch,) = list(parts["test"].images().loader(12, seed=0, shuffle=False, classes=pair))
    assert [pair[index] for index in batch[1].tolist()] == truth
    model = db.models.add("flat", Flat, classes=pair, input_shape=(1, 4, 4), preprocess=["to-float"])
    assert list(model.classes or ()) == pair
    with db.run(model, id="run", train=parts["train"], test=parts["test"]) as run:
        run.add_checkpoint(Flat())
    run.experiment.predict(parts["test"], progress=False)
    told = [row["predicted"] for row in db.images("all/test").to_arrow(predicted=run.experiment.predicted).to_pylist()]
    assert {type(said) for said in told} == {type(pair[0])}

    exp = db.experiments.add("elsewhere", train="all/train", test="all/test")
    probabilities = np.array([[0.9, 0.1] if label == pair[0] else [0.2, 0.8] for label in truth], np.float32)
    exp.log_predictions(parts["test"], probabilities=probabilities, classes=pair)
    result = exp.results(parts["test"])
    assert (result.accuracy, sorted(result.classes)) == (1.0, sorted(pair))
    assert np.diagonal(result.confusion.to_numpy()).sum() == 6
    assert db.images("all/test").where(exp.predicted == pair[0]).count() == truth.count(pair[0])
    by_group = exp.results(parts["test"], group_by="group")
    assert by_group.groups
    sql = db.sql("SELECT predicted, count(*) AS n FROM predictions WHERE experiment = 'elsewhere' GROUP BY predicted")
    assert {row["predicted"]: row["n"] for row in sql.to_pylist()} == {label: truth.count(label) for label in pair}
    cypher = db.cypher("MATCH (i:Image {id: $id}) RETURN i.label AS label", id=ids[0])
    assert [(type(row["label"]), row["label"]) for row in cypher] == [(type(truth[0]), truth[0])]


@pytest.mark.parametrize(
    ("labels", "said"),
    [([True, False], [1, 0]), ([1, 0], [True, False]), ([1, 0], ["1", "0"]), (["True", "False"], [True, False])],
    ids=str,
)
def test_predictions_of_another_type_than_the_labels_are_refused(
    db: og.Workspace, labels: list[Any], said: list[Any]
) -> None:
    """1 is not True, and "1" is neither: Python, Arrow and JSON see that in three ways, and no score is made of it."""
    db.images.add(images=PIXELS[:2], labels=labels, progress=False)
    db.datasets.add("all", db.images())
    exp = db.experiments.add("e", test="all")
    with pytest.raises(DataError, match="of one type"):
        exp.log_predictions("all", said)


VALUES = st.sampled_from(["1", "True", "a", 1, 0, True, False])


@given(
    st.lists(VALUES, min_size=1, max_size=5), st.lists(VALUES, min_size=1, max_size=3, unique_by=lambda v: (type(v), v))
)
def test_targets_are_of_the_class_itself_or_refused(labels: list[Any], classes: list[Any]) -> None:
    """A label stands for the class that is it, by value and type; the index of a named class is the one exception."""
    try:
        targets = targets_of(labels, "multi-class", classes)
    except DataError:
        same = {type(one) for one in [*labels, *classes]}
        assert len(same) > 1 or any(label not in classes for label in labels)
        return
    for label, target in zip(labels, targets.tolist(), strict=True):
        chosen = classes[target]
        assert (type(chosen), chosen) == (type(label), label) or (type(label) is int and type(chosen) is str)


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_labels_without_classes_are_of_one_type(labels: list[Any]) -> None:
    task = parse_task("multi-class")
    if len({type(label) for label in labels}) == 1:
        assert [(type(label), label) for label in task.read_labels(labels)] == [
            (type(label), label) for label in labels
        ]
    else:
        with pytest.raises(DataError):
            task.read_labels(labels)
