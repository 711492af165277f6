"""What results are measured on: one truth everywhere, and what is left out is said."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.errors import CoverageWarning, DataError
from odin_graph.schema.tasks import Pairs, Scores, Task, parse_task
from tests.workspaces import add_digits

N = 40


@pytest.fixture
def digits(db: og.Workspace) -> og.Dataset:
    """Forty digits, four of each class, of two sites."""
    add_digits(db, N)
    return db.datasets.add("digits", db.images(), label="label")


def log(db: og.Workspace, id_: str, dataset: og.Dataset, said: Any = None, **how: Any) -> og.Experiment:
    with db.run(id=id_, test=dataset) as run:
        run.log_predictions(dataset, said, **how)
    return run.experiment


def figures(db: og.Workspace, exp: og.Experiment, dataset: og.Dataset) -> dict[str, tuple[int, float]]:
    """How many images, and the share that is right, as every way to ask gives it."""
    held = exp.results(dataset)
    by = exp.results(dataset, group_by="label")
    assert by.groups is not None
    query = db.images(dataset)
    n = query.count()
    compared = db.compare(exp, exp, on=dataset)
    sql = db.sql(
        "SELECT count(*) AS n, avg(CASE WHEN wrong THEN 0 ELSE 1 END) AS share FROM predictions WHERE experiment = $e",
        e=exp.id,
    ).to_pylist()[0]
    members = db.sql("SELECT count(*) AS n FROM members WHERE dataset = $d", d=dataset.id).to_pylist()[0]["n"]
    table = db.tables.per_image(exp, dataset)
    experiments = db.tables.experiments().to_pylist()
    right = (held.confusion.to_numpy() * np.eye(len(held.classes), dtype=int)).sum()
    groups = sum(part.n for part in by.groups.values())
    in_groups = sum(part.overall["accuracy"] * part.n for part in by.groups.values()) / groups
    return {
        "results": (held.n, held.accuracy),
        "query": (n, query.where(~exp.wrong).count() / n),
        "compare": (compared.n, len(compared.both_right) / compared.n),
        "field": (n, db.experiments.where(F("id") == exp.id).to_arrow("results.accuracy")[0][0].as_py()),
        "sql": (sql["n"], sql["share"]),
        "members": (members, held.accuracy),
        "confusion": (int(held.confusion.to_numpy().sum()), right / held.confusion.to_numpy().sum()),
        "groups": (groups, in_groups),
        "per image": (table.num_rows, 1 - np.mean(table.column("wrong").to_pylist())),
        "images table": (db.tables.images(dataset).num_rows, held.accuracy),
        "experiments table": (n, next(row["accuracy"] for row in experiments if row["id"] == exp.id)),
        "predictions": (exp.predictions()[0].to_arrow().num_rows, held.accuracy),
        "json": (held.to_json()["n"], held.to_json()["overall"]["accuracy"]),
    }


def test_a_second_look_measures_nothing_again(
    db: og.Workspace, digits: og.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it is asked for; until members are deleted."""
    exp = log(db, "m", digits, digits.labels)
    measured: list[int] = []
    task = type(parse_task("multi-class"))
    score = task.score

    def counted(task: Task, pairs: Pairs) -> Scores:
        measured.append(len(pairs.truth))
        return score(task, pairs)

    def look() -> None:
        for _ in range(2):
            assert exp.results(digits).accuracy == 1
            assert db.experiments.where(F("results.accuracy") == 1).count() == 1
            assert db.tables.experiments()["accuracy"].to_pylist() == [1]

    look()
    monkeypatch.setattr(task, "score", counted)
    look()
    assert measured == []
    db.images.delete([image.id for image in db.images(digits)[:3]], force=True)
    look()
    assert measured == [N - 3]


def test_deleted_members_count_nowhere(db: og.Workspace, digits: og.Dataset) -> None:
    """Whoever asks gets the same number of images and the same accuracy, before and after deletion and purge."""
    truth = digits.labels
    said = [label if place < 10 else (label + 1) % 10 for place, label in enumerate(truth)]
    exp = log(db, "m", digits, said)
    assert set(figures(db, exp, digits).values()) == {(40, 0.25)}
    gone = [image.id for image in db.images(digits)[:3]]
    db.images.delete(gone, why="withdrawn", force=True)
    expected = (37, 7 / 37)
    for name, (n, share) in figures(db, exp, digits).items():
        assert (n, share) == (expected[0], pytest.approx(expected[1])), name
    held = exp.results(digits)
    assert held.counts.deleted == 3
    assert held.coverage == 1, "an image that is gone is not missing"
    assert held.notes == ("3 of 40 members were deleted since, and are left out",)
    for text in (str(held), held._repr_html_(), str(db.compare(exp, exp, on=digits))):
        assert "3 of 40 members were deleted since" in text
    db.images.purge(gone[:2], force=True)
    for name, (n, share) in figures(db, exp, digits).items():
        assert (n, share) == (expected[0], pytest.approx(expected[1])), name


def test_predictions_of_a_set_with_deleted_members_are_taken_either_way(db: og.Workspace, digits: og.Dataset) -> None:
    """One for each image that is there, as who reads the set has them, or one for each that was frozen."""
    db.images.delete([image.id for image in db.images(digits)[5:8]], force=True)
    truth = digits.labels
    there = db.images(digits).to_arrow("label").column("label").to_pylist()
    a, b = log(db, "a", digits, there), log(db, "b", digits, truth)
    for exp in (a, b):
        held = exp.results(digits)
        assert (held.n, held.accuracy, held.coverage) == (37, 1.0, 1.0)
    with pytest.raises(og.ShapeError, match="37 images, but 36 predictions"):
        log(db, "c", digits, there[:36])


def test_a_part_of_the_images_does_not_pass_for_all(db: og.Workspace, digits: og.Dataset) -> None:
    """Coverage stands in results, comparison and fields, and each warns."""
    truth = digits.labels
    every = log(db, "every", digits, [label if place % 10 else 0 for place, label in enumerate(truth)])
    images = [image.id for image in db.images(digits)[:4]]
    few = log(db, "few", digits, truth[:4], images=images)
    with pytest.warns(CoverageWarning, match=r"few has predictions over 4 of 40 labeled images \(coverage 10.0%\)"):
        held = few.results(digits)
    assert (held.n, held.counts.missing, held.coverage, held.accuracy) == (4, 36, pytest.approx(0.1), 1.0)
    assert held.to_json()["coverage"] == pytest.approx(0.1)
    assert held.to_json()["missing"] == 36
    for text in (str(held), held._repr_html_(), repr(held)):
        assert "coverage" in text
    with pytest.warns(CoverageWarning, match="few and every are compared over 4 of 40"):
        compared = db.compare("few", "every", on=digits)
    assert (compared.n, compared.coverage) == (4, pytest.approx(0.1))
    assert (compared.coverage_a, compared.coverage_b) == (pytest.approx(0.1), 1.0)
    assert "4 of 40 labeled images are compared" in str(compared)
    with pytest.warns(
        CoverageWarning, match=r"results.accuracy is of a part of the labeled images for few \(4 of 40\)"
    ):
        table = db.experiments().order_by(F("results.accuracy").desc()).to_arrow("id", "results.accuracy")
    assert table.column("id").to_pylist() == ["few", "every"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert db.experiments.where(F("results.coverage") == 1).ids() == ["every"]
        coverage = db.experiments().to_arrow("id", "results.coverage").to_pydict()
        assert dict(zip(coverage["id"], coverage["results.coverage"], strict=True)) == {
            "every": 1.0,
            "few": pytest.approx(0.1),
        }
        assert every.results(digits).notes == ()
    rows = {row["id"]: row["coverage"] for row in db.tables.experiments().to_pylist()}
    assert rows == {"every": 1.0, "few": pytest.approx(0.1)}
    per_image = db.tables.per_image(few, digits)
    assert per_image.num_rows == 40
    assert per_image.column("predicted").null_count == 36, "an image without a prediction has none"


def test_groups_say_their_own_coverage(db: og.Workspace, digits: og.Dataset) -> None:
    """A group that nobody has predicted is there, with nothing measured on it."""
    images = [image.id for image in db.images(digits).where(F("label") < 2)]
    exp = log(db, "few", digits, [0] * 3, images=images[:3])
    with pytest.warns(CoverageWarning):
        held = exp.results(digits, group_by="label")
    assert held.groups is not None
    assert list(held.groups) == list(range(10))
    assert (held.groups[0].n, held.groups[0].coverage) == (3, pytest.approx(3 / 4))
    assert (held.groups[5].n, held.groups[5].coverage) == (0, 0.0)
    assert np.isnan(held.groups[5].overall["accuracy"])
    assert held.to_pandas()["coverage"].tolist()[5] == 0
    assert held.to_json()["groups"]["5"]["overall"]["accuracy"] is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"confidence": [0.5, 1.7, 0.5]}, "The confidence of image 'digit/1' is 1.7, which is not between 0 and 1"),
        ({"confidence": [0.5, 0.5, float("nan")]}, "The confidence of image 'digit/2' is nan"),
        ({"confidence": [-0.1, 0.5, 0.5]}, "The confidence of image 'digit/0' is -0.1"),
        ({"confidence": [None, 0.5, 0.5]}, "The confidence of image 'digit/0' is nan"),
        ({"confidence": ["x", 0.5, 0.5]}, "The confidences are <U32: give real numbers"),
        ({"confidence": np.ma.array([0.5] * 3, mask=[0, 1, 0])}, "Some confidences are masked: leave their images out"),
        ({"probabilities": np.ma.array([[1, 0]] * 3, mask=[[0, 1]] * 3)}, "Some probabilities are masked"),
        ({"probabilities": np.array([[1, 0]] * 3) + 1j}, "The probabilities are complex128: give real numbers"),
        (
            {"probabilities": [[0.5, 0.5], [0.2, 0.8], [float("nan"), 1]]},
            "The probabilities of image 'digit/2' hold nan",
        ),
        ({"probabilities": [[0.5, 0.5], [-0.5, 1.5], [0, 1]]}, "The probabilities of image 'digit/1' hold -0.5"),
        (
            {"probabilities": [[0.5, 0.5], [0.9, 0.9], [0, 1]]},
            r"The probabilities of image 'digit/1' sum to 1.8, and one class an image needs 1 \(give or take 0.01\)",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("with_classes", [True, False])
def test_what_is_no_probability_is_refused_by_image_and_value(
    db: og.Workspace, given: dict[str, Any], message: str, with_classes: bool
) -> None:
    """Whether the prediction is given or follows from the probabilities; nothing is stored."""
    add_digits(db, 3)
    dataset = db.datasets.add("three", db.images(), label=None)
    said = ["a", "b", "b"] if with_classes or "confidence" in given else None
    held = {name: np.asanyarray(value) if name == "probabilities" else value for name, value in given.items()}
    with db.run(id="m", test=dataset) as run:
        message = message.replace("digit/", _prefix(db))
        with pytest.raises(DataError, match=message):
            run.log_predictions(dataset, said, classes=["a", "b"], **held)
    assert len(db.predictions) == 0


def _prefix(db: og.Workspace) -> str:
    return db.images()[0].id[:-1]


def test_probabilities_are_taken_as_rounding_leaves_them(db: og.Workspace) -> None:
    """Sums of half precision are sums of one; several labels an image sum to anything."""
    add_digits(db, 3)
    dataset = db.datasets.add("three", db.images(), label=None)
    rows = np.random.default_rng(0).dirichlet(np.ones(50), 3).astype(np.float16)
    log(db, "half", dataset, probabilities=rows, classes=[f"c{c}" for c in range(50)])
    log(db, "several", dataset, probabilities=np.full((3, 4), 0.9), classes=list("abcd"), task="multi-label")
    log(db, "over", dataset, ["a", "b", "a"], confidence=np.array([1 + 1e-7, 0.5, 1]), classes=["a", "b"])
    stored = db.experiment("over").predictions()[0].to_arrow().column("confidence").to_pylist()
    assert stored == [1.0, 0.5, 1.0]


def test_corrected_labels_are_said(db: og.Workspace, digits: og.Dataset) -> None:
    """Results are of what was frozen, and say how many labels differ from today's, whoever wrote them."""
    exp = log(db, "m", digits, digits.labels)
    before = exp.results(digits)
    assert (before.counts.stale, before.notes) == (0, ())
    first, second = (image.id for image in db.images(digits)[:2])
    db.labels.update(first, 9)
    db.cypher("MATCH (i:Image {id: $id}) SET i.label = 8", write=True, id=second)
    held = exp.results(digits)
    assert held.accuracy == 1.0
    assert held.counts.stale == 2
    assert held.notes == (
        (
            "2 labels differ from today's: measured against what was frozen (db.labels.stale() lists them, "
            "dataset.revise() freezes today's)"
        ),
    )
    assert "2 labels differ from today's" in str(db.compare(exp, exp, on=digits))
    db.images.delete([first], force=True)
    assert exp.results(digits).counts.stale == 1, "an image that is gone has no label to be stale"


def test_results_are_of_what_is_there_now(db: og.Workspace, digits: og.Dataset) -> None:
    """What was measured before is not given again where images went or predictions came."""
    exp = log(db, "m", digits, [0] * N)
    first = exp.results(digits)
    assert exp.results(digits).accuracy == first.accuracy
    db.images.delete([image.id for image in db.images(digits).where(F("label") == 0)], force=True)
    assert exp.results(digits).accuracy == 0
    exp.log_predictions(digits, db.images(digits).to_arrow("label").column("label").to_pylist())
    assert exp.results(digits).accuracy == 1
