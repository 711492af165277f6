"""Results as they are looked at: pictures of every task and of groups, text, JSON, and the ordinal task end to end."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

import odin_graph as og
from odin_graph.analysis.judged import Coverage
from odin_graph.analysis.results import Results
from odin_graph.errors import DataError
from odin_graph.schema.tasks import parse_task, scores
from tests.workspaces import add_digits

pytestmark = pytest.mark.one_engine

GRADES = ["none", "mild", "moderate", "severe"]


def results(task: str, held: scores.Scores, _classes: Any = (), **more: Any) -> Results:
    return Results("model", "set@1", parse_task(task), held, Coverage(held.n, 0, 0, 0), **more)


def texts(picture: Any) -> str:
    axes = picture.figure.axes
    labels = [label.get_text() for one in axes for label in (*one.get_yticklabels(), *one.get_xticklabels())]
    return "\n".join(
        [text.get_text() for text in (*picture.figure.texts, *(t for one in axes for t in one.texts))] + labels
    )


def every_task() -> list[Results]:
    draw = np.random.default_rng(0)
    truth, said = draw.integers(0, 4, (2, 60))
    lists = [[[GRADES[c] for c in range(4) if draw.random() < 0.4] for _ in range(60)] for _ in range(2)]
    numbers = draw.normal(50, 10, 60)
    many = draw.normal(50, 10, 6_000)
    groups = {f"site {place}": scores.multi_class(truth[place::3], said[place::3], GRADES) for place in range(3)}
    return [
        results("multi-class", scores.multi_class(truth, said, GRADES), tuple(GRADES)),
        results("ordinal", scores.ordinal(truth, said, GRADES), tuple(GRADES)),
        results("multi-label", scores.multi_label(lists[0], lists[1], GRADES), tuple(GRADES)),
        results('regression {"tolerance": 2.0}', scores.regression(numbers, numbers + 1, [False] * 60)),
        results("regression", scores.regression(many, many + 1, [None] * 6_000)),
        results("multi-class", scores.multi_class(truth, said, GRADES), tuple(GRADES), group_by="site", groups=groups),
    ]


@pytest.mark.parametrize("held", every_task(), ids=lambda held: f"{held.task}, {held.n}, by {held.group_by}")
def test_every_task_and_groups_have_a_picture(held: Results, tmp_path: Path) -> None:
    """It is drawn whole, says what it is of, and differs from a blank page."""
    picture = held.picture()
    said = texts(picture)
    assert "model on set@1" in said
    assert f"{held.n:,} images" in said
    for name in held.classes if held.groups is None else [f"site {place}" for place in range(3)]:
        assert name in said
    pixels = np.asarray(Image.open(held.save(tmp_path / "picture.png")).convert("L"))
    assert pixels.std() > 10
    edges = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (edges == 255).all(), "nothing is cut off at the border"
    for text in (str(held), repr(held), held._repr_html_()):
        assert "array(" not in text
    assert len(repr(held)) < 160
    assert len(repr(held.scores)) < 120


def test_a_picture_of_groups_is_of_the_groups() -> None:
    """Each group's share with its interval, at its own height; of many groups the worst."""
    draw = np.random.default_rng(1)
    truth, said = draw.integers(0, 2, (2, 400))
    groups = {place: scores.multi_class(truth[place::40], said[place::40], ["a", "b"]) for place in range(40)}
    held = results(
        "multi-class", scores.multi_class(truth, said, ["a", "b"]), ("a", "b"), group_by="patient", groups=groups
    )
    picture = held.picture()
    drawn = next(line for line in picture.figure.axes[0].lines if line.get_marker() == "o")
    worst = sorted(part.overall["accuracy"] for part in groups.values())[:30]
    assert sorted(drawn.get_xdata()) == pytest.approx(worst)
    assert "the 30 worst of 40 groups" in texts(picture)


def test_a_field_called_as_a_measure_is_no_measure() -> None:
    """Groups by a field of the name of a column keep their values, and the column its own."""
    truth = np.array([0, 1, 1])
    groups = {value: scores.multi_class(truth[:2], truth[:2], ["a", "b"]) for value in (7, 8)}
    held = results("multi-class", scores.multi_class(truth, truth, ["a", "b"]), ("a", "b"), group_by="n", groups=groups)
    frame = held.to_pandas()
    assert frame["n (field)"].tolist() == [7, 8]
    assert frame["n"].tolist() == [2, 2]


def test_groups_of_any_name_are_all_in_the_json() -> None:
    """A group whose value is the text that stands for missing ones does not take their place."""
    part = scores.multi_class(np.array([0]), np.array([0]), ["a"])
    groups = {"(missing)": part, None: part, "x": part}
    held = results("multi-class", part, ("a",), group_by="site", groups=groups)
    assert len(held.to_json()["groups"]) == 3


def test_json_has_null_for_nan_and_text_for_infinity() -> None:
    held = results("regression", scores.regression(np.array([math.inf, 1.0]), np.array([1.0, 1.0]), [None] * 2))
    plain = json.loads(json.dumps(held.to_json(), allow_nan=False))
    assert plain["overall"]["mean-absolute-error"] == "Infinity"
    assert plain["overall"]["r2"] is None
    assert plain["undefined"]["r2"]
    assert math.copysign(1, results("regression", scores.regression(np.zeros(1), -np.zeros(1), [None])).to_json()[
        "overall"]["mean-absolute-error"]) == 1  # fmt: skip


def test_many_classes_are_printed_by_what_was_confused() -> None:
    truth = np.arange(12_000).repeat(2)
    said = truth.copy()
    said[:4] = [9, 9, 8, 8]
    names = tuple(f"species {c}" for c in range(12_000))
    held = results("multi-class", scores.multi_class(truth, said, names), names)
    assert len(str(held)) < 3_000
    assert re.search(r"species 0 +species 9 +2 +1.000", str(held))
    assert "the most confused of 12,000 classes" in str(held)
    plain = held.to_json()
    assert plain["confusion"] is None
    assert plain["confused"] == [["species 0", "species 9", 2], ["species 1", "species 8", 2]]


def test_grades_end_to_end(db: og.Workspace) -> None:
    """Wrong is another grade; how far off is measured in the order that was stated; the order is asked for."""
    add_digits(db, 10)
    truth = [GRADES[place % 4] for place in range(10)]
    said = [GRADES[min(3, place % 4 + place // 5)] for place in range(10)]
    dataset = db.datasets.add("grades", db.images(), labels=truth)
    with db.run(id="grader", test=dataset) as run:
        with pytest.raises(DataError, match="needs its grades in their order"):
            run.log_predictions(dataset, said, task="ordinal")
        rows = np.full((10, 4), 0.1)
        rows[np.arange(10), [GRADES.index(grade) for grade in said]] = 0.7
        run.log_predictions(dataset, probabilities=rows, classes=GRADES, task="ordinal")
    exp = run.experiment
    held = exp.results(dataset)
    codes = [[GRADES.index(grade) for grade in column] for column in (truth, said)]
    assert held.task == "ordinal"
    assert held.accuracy == pytest.approx(metrics.accuracy_score(truth, said))
    assert held["mean-absolute-error"] == pytest.approx(metrics.mean_absolute_error(*codes))
    assert held["quadratic-kappa"] == pytest.approx(metrics.cohen_kappa_score(*codes, weights="quadratic"))
    assert held["within-one"] == 1.0
    wrong = db.images(dataset).where(exp.wrong).count()
    assert wrong == sum(a != b for a, b in zip(truth, said, strict=True))
    field = db.experiments().to_arrow("results.quadratic-kappa").column("results.quadratic-kappa").to_pylist()
    assert field == [pytest.approx(held["quadratic-kappa"])]


def test_grades_that_are_numbers_have_their_own_order(db: og.Workspace) -> None:
    """A grade that nobody has still counts as a step between its neighbors."""
    add_digits(db, 3)
    dataset = db.datasets.add("grades", db.images(), labels=[0, 3, 4])
    with db.run(id="grader", test=dataset) as run:
        with pytest.raises(DataError, match="whole numbers have an order"):
            run.log_predictions(dataset, [1, 3, 4], classes=[4, 3, 2, 1, 0], task="ordinal")
        run.log_predictions(dataset, [1, 1, 4], classes=[0, 1, 2, 3, 4], task="ordinal")
    assert run.experiment.results(dataset)["mean-absolute-error"] == pytest.approx(1.0)


def test_images_without_a_prediction_say_so_on_a_sheet(db: og.Workspace) -> None:
    add_digits(db, 4)
    dataset = db.datasets.add("digits", db.images(), label="label")
    first = [image.id for image in db.images(dataset)[:1]]
    with db.run(id="few", test=dataset) as run:
        run.log_predictions(dataset, [0], images=first)
    drawn = db.images(dataset).sheet(predictions=run.experiment)
    captions = [text.get_text() for text in drawn.figure.texts]
    assert sum("no prediction" in caption for caption in captions) == 3
