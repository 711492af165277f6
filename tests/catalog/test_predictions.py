"""Prediction sets: seen whole or not at all, resumed, judged by frozen labels, projected into the graph."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odin_graph.catalog.datasets.datasets import create_dataset
from odin_graph.catalog.experiments import predictions as module
from odin_graph.catalog.experiments.experiments import Setup, end, start
from odin_graph.catalog.experiments.imports import import_predictions
from odin_graph.catalog.experiments.predictions import PredictionBuild, latest_ready
from odin_graph.catalog.experiments.projection import to_graph
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import ConflictError, DataError, ShapeError
from odin_graph.schema.metadata import FieldType
from odin_graph.schema.tasks import TASKS
from odin_graph.schema.tasks.regression import Regression
from odin_graph.stores import Stores
from tests.catalog.test_images import batch
from tests.kept import kept
from tests.shares import share

CLASSES = ["cat", "dog", "owl"]


@kept
def keys(stores: Stores) -> np.ndarray:
    """Six images in data set pets@1, labeled cat, dog, cat, dog ...; experiment vgg/1."""
    keys = add_images(stores, batch(6, labels=["cat", "dog"] * 3)).keys
    create_dataset(stores, "pets", keys)
    end(stores, start(stores, Setup(), "vgg/1"), "finished")
    return keys


def columns(stores: Stores, set_id: str) -> dict[str, list[Any]]:
    return dict(stores.columns.predictions(set_id).select(["key", "predicted", "confidence", "wrong"]).to_pydict())


def nodes(stores: Stores, set_id: str) -> list[dict[str, Any]]:
    return stores.graph.read(
        "MATCH (:PredictionSet {id: $id, state: 'ready'})<-[:PART_OF]-(p:Prediction)-[:OF]->(i:Image) "
        "RETURN p.id AS id, i.key AS key, p.predicted AS predicted, p.confidence AS confidence, p.wrong AS wrong "
        "ORDER BY key",
        {"id": set_id},
    )


def ready(stores: Stores) -> list[str]:
    return [
        row["id"] for row in stores.graph.read("MATCH (s:PredictionSet {state: 'ready'}) RETURN s.id AS id ORDER BY id")
    ]


def test_columns_and_nodes_say_the_same(stores: Stores, keys: np.ndarray) -> None:
    said = ["cat", "cat", "owl", "dog", "cat", "dog"]
    made = import_predictions(stores, "vgg/1", "pets@1", None, said, confidence=[0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert made == "vgg/1/predictions/1"
    expected = {
        "key": keys.tolist(),
        "predicted": said,
        "confidence": [0.9, 0.8, 0.7, 0.6, 0.5, 0.4],
        "wrong": [False, True, True, False, False, False],
    }
    assert columns(stores, made) == expected
    rows = nodes(stores, made)
    assert [row["id"] for row in rows] == [f"{made}:{key}" for key in keys]
    assert {name: [row[name] for row in rows] for name in expected} == expected
    lineage = stores.graph.read(
        "MATCH (e:Experiment)<-[:GENERATED_BY]-(s:PredictionSet)-[:OF]->(d:Dataset) "
        "RETURN e.id AS e, d.id AS d, s.rows AS rows, s.nodes AS nodes, s.state AS state, s.lease_owner AS owner"
    )
    assert lineage == [{"e": "vgg/1", "d": "pets@1", "rows": 6, "nodes": True, "state": "ready", "owner": None}]


def test_wrong_is_against_the_frozen_labels(stores: Stores, keys: np.ndarray) -> None:
    stores.graph.write("MATCH (i:Image) SET i.label = 'owl'")
    made = import_predictions(stores, "vgg/1", "pets@1", None, ["cat", "dog"] * 3)
    assert columns(stores, made)["wrong"] == [False] * 6


def test_without_labels_wrong_is_unknown(stores: Stores, keys: np.ndarray) -> None:
    create_dataset(stores, "unlabeled", keys, label=None)
    made = import_predictions(stores, "vgg/1", "unlabeled@1", None, ["cat"] * 6)
    assert columns(stores, made)["wrong"] == [None] * 6
    assert [row["wrong"] for row in nodes(stores, made)] == [None] * 6


def test_probabilities_alone_say_class_and_confidence(stores: Stores, keys: np.ndarray) -> None:
    rows = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1, 2]] * 0.625 + 0.125
    made = import_predictions(stores, "vgg/1", "pets@1", None, None, probabilities=rows, classes=CLASSES)
    held, stored = stores.columns.probabilities(made)
    np.testing.assert_array_equal(held, keys)
    np.testing.assert_array_equal(stored, rows)
    assert columns(stores, made)["predicted"] == ["cat", "dog", "owl", "cat", "dog", "owl"]
    assert columns(stores, made)["confidence"] == [0.75] * 6
    assert stores.graph.read("MATCH (s:PredictionSet) RETURN s.classes AS c, s.task AS t") == [
        {"c": CLASSES, "t": "multi-class"}
    ]


@settings(max_examples=share(20))
@given(data=st.data())
def test_what_contradicts_its_probabilities_is_told_of_and_kept(
    stores: Stores, keys: np.ndarray, data: st.DataObject
) -> None:
    """Of equals either may be predicted, and a confidence may be rounded."""
    rows = np.array(data.draw(st.lists(st.permutations([0.25, 0.25, 0.5]), min_size=6, max_size=6)))
    rows[data.draw(st.integers(0, 5))] = [0.375, 0.375, 0.25]
    said = data.draw(st.lists(st.integers(0, 2), min_size=6, max_size=6))
    of_said = rows[np.arange(6), said]
    confidence = of_said + data.draw(st.lists(st.sampled_from([0, 0.004, -0.004, 0.05]), min_size=6, max_size=6))
    other = int((of_said < rows.max(axis=1)).sum())
    off = int((np.abs(confidence - of_said) > 0.01).sum())
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        made = import_predictions(
            stores, "vgg/1", "pets@1", None, said, confidence=confidence, probabilities=rows, classes=CLASSES
        )
    (kept,) = stores.graph.read("MATCH (s:PredictionSet {id: $id}) RETURN s.odin_warnings AS said", {"id": made})
    expected = [f"more probable for {other} of 6"] * bool(other) + [f"predicted class for {off} of 6"] * bool(off)
    assert len(found) == bool(expected)
    for text, one in zip(expected, kept["said"] or (), strict=True):
        assert text in one
        assert one in str(found[0].message)


def test_indexes_are_read_as_classes(stores: Stores, keys: np.ndarray) -> None:
    made = import_predictions(stores, "vgg/1", "pets@1", None, np.array([0, 1, 2, 1, 0, 1]), classes=CLASSES)
    assert columns(stores, made)["predicted"] == ["cat", "dog", "owl", "dog", "cat", "dog"]


def test_a_class_that_the_model_does_not_know_is_wrong(stores: Stores, keys: np.ndarray) -> None:
    made = import_predictions(stores, "vgg/1", "pets@1", None, ["cat"] * 6, classes=["cat", "fox"])
    assert columns(stores, made)["wrong"] == [False, True] * 3


def test_some_of_the_images_in_any_order(stores: Stores, keys: np.ndarray) -> None:
    made = import_predictions(stores, "vgg/1", "pets@1", keys[[5, 0]], ["dog", "dog"])
    assert columns(stores, made) == {
        "key": [keys[0], keys[5]],
        "predicted": ["dog", "dog"],
        "confidence": [None, None],
        "wrong": [True, False],
    }


def test_same_predictions_again_are_the_same_set(stores: Stores, keys: np.ndarray) -> None:
    first = import_predictions(stores, "vgg/1", "pets@1", None, ["cat"] * 6)
    assert import_predictions(stores, "vgg/1", "pets@1", None, ["cat"] * 6) == first
    second = import_predictions(stores, "vgg/1", "pets@1", None, ["dog"] * 6)
    assert second != first
    assert latest_ready(stores, "vgg/1", "pets@1", None) == second
    assert ready(stores) == [first, second]


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"keys": [0, 0], "predicted": ["cat", "cat"]}, DataError, "An image is given twice"),
        ({"keys": [0], "predicted": ["cat", "cat"]}, ShapeError, "1 images, but 2 predictions"),
        (
            {"keys": [0, 1], "predicted": {"a": "cat", "b": "dog"}},
            DataError,
            "'predicted' is .*: give one value an image",
        ),
        ({"keys": [0, 1, 2], "predicted": "cat"}, DataError, "'predicted' is 'cat'"),
        ({"keys": [0, 1], "predicted": {"cat", "dog"}}, DataError, "'predicted' is .*cat"),
        ({"keys": [0], "predicted": ["cat"], "confidence": {"a": 0.5}}, DataError, "'confidence' is .*0.5"),
        (
            {"keys": [0], "predicted": None, "probabilities": [[1.0, 0.0, 0.0]], "classes": set(CLASSES)},
            DataError,
            "give the classes in the order of their indexes",
        ),
        ({"keys": [0], "predicted": [None]}, DataError, "A prediction is missing"),
        ({"keys": [0], "predicted": None}, DataError, "There are no predictions"),
        (
            {"keys": [0], "predicted": ["cat"], "probabilities": [[1.0]]},
            DataError,
            "without the order of their classes",
        ),
        (
            {"keys": [0, 1], "predicted": ["cat", "bird"], "classes": CLASSES},
            DataError,
            "'bird', which is none of the classes, 'cat', 'dog', 'owl'",
        ),
        (
            {"keys": [0], "predicted": ["cat"], "probabilities": [[1.0]], "classes": CLASSES},
            ShapeError,
            r"shape \(1, 1\), which is not \(1 images, 3 classes\)",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    stores: Stores, keys: np.ndarray, given: dict[str, Any], error: type, says: str
) -> None:
    given = dict(given)  # the next engine is given the same
    positions = given.pop("keys")
    with pytest.raises(error, match=says):
        import_predictions(stores, "vgg/1", "pets@1", keys[positions], given.pop("predicted"), **given)
    assert stores.graph.read("MATCH (s:PredictionSet) RETURN s.id AS id") == [], "nothing is left behind"


def test_images_outside_of_the_data_set_are_refused(stores: Stores, keys: np.ndarray) -> None:
    with pytest.raises(DataError, match="1 of the images are not in 'pets@1', first keys \\[99999\\]"):
        import_predictions(stores, "vgg/1", "pets@1", np.array([99999]), ["cat"])


def test_a_building_set_is_invisible_and_resumed(stores: Stores, keys: np.ndarray) -> None:
    with PredictionBuild.begin(stores, "vgg/1", "pets@1") as build:
        build.append(keys[:4], ["cat"] * 4, np.full(4, 0.5))
        build.flush()
    assert ready(stores) == []
    with PredictionBuild.begin(stores, "vgg/1", "pets@1") as again:
        assert (again.id, again.resumed) == (build.id, True)
        np.testing.assert_array_equal(again.missing(), keys[4:])
        again.append(keys[4:], ["dog"] * 2, np.full(2, 0.25))
        again.finish()
    assert columns(stores, build.id)["predicted"] == ["cat"] * 4 + ["dog"] * 2
    assert len(nodes(stores, build.id)) == 6
    assert len(segments_of(stores, module.columns_array(build.id))) == 1, "flushes are made one segment"


def test_half_projected_nodes_are_completed(stores: Stores, keys: np.ndarray) -> None:
    """A crash between two batches of nodes: the others are added, none is there twice."""
    with PredictionBuild.begin(stores, "vgg/1", "pets@1") as build:
        build.append(keys, ["cat"] * 6)
        build.flush()
    stores.graph.write(
        "MATCH (s:PredictionSet), (i:Image {key: $key}) "
        "CREATE (s)<-[:PART_OF]-(:Prediction {id: $id, predicted: 'cat', wrong: false})-[:OF]->(i)",
        {"key": int(keys[0]), "id": f"{build.id}:{keys[0]}"},
    )
    assert import_predictions(stores, "vgg/1", "pets@1", None, ["cat"] * 6) == build.id
    assert [row["key"] for row in nodes(stores, build.id)] == keys.tolist()


def test_leftovers_of_other_predictions_are_dropped(stores: Stores, keys: np.ndarray) -> None:
    with PredictionBuild.begin(stores, "vgg/1", "pets@1") as build:
        build.append(keys, ["owl"] * 6)
        build.flush()
    made = import_predictions(stores, "vgg/1", "pets@1", None, ["cat"] * 6)
    assert columns(stores, made)["predicted"] == ["cat"] * 6
    assert ready(stores) == [made]
    assert stores.graph.read("MATCH (s:PredictionSet {state: 'building'}) RETURN s.id AS id") == []


def test_two_processes_do_not_write_one_set(stores: Stores, keys: np.ndarray) -> None:
    mine = PredictionBuild.begin(stores, "vgg/1", "pets@1")
    with mine, pytest.raises(ConflictError, match="is being written by process"):
        PredictionBuild.begin(stores, "vgg/1", "pets@1")


def test_each_image_once(stores: Stores, keys: np.ndarray) -> None:
    with PredictionBuild.begin(stores, "vgg/1", "pets@1") as build:
        build.append(keys[:2], ["cat", "cat"])
        with pytest.raises(DataError, match="have a prediction of this set already"):
            build.append(keys[1:3], ["cat", "cat"])


def test_an_empty_set_is_no_result(stores: Stores, keys: np.ndarray) -> None:
    with (
        PredictionBuild.begin(stores, "vgg/1", "pets@1") as build,
        pytest.raises(DataError, match="has no predictions"),
    ):
        build.finish()


def test_nodes_are_added_later_all_at_once(stores: Stores, keys: np.ndarray) -> None:
    made = import_predictions(stores, "vgg/1", "pets@1", None, ["cat"] * 6, nodes=False)
    assert nodes(stores, made) == []
    before = columns(stores, made)
    to_graph(stores, made)
    to_graph(stores, made)
    assert [row["id"] for row in nodes(stores, made)] == [f"{made}:{key}" for key in keys]
    assert columns(stores, made) == before
    assert ready(stores) == [made]
    assert stores.graph.read("MATCH (s:PredictionSet) RETURN count(s) AS n") == [{"n": 1}], "no stand-in stays"
    assert latest_ready(stores, "vgg/1", "pets@1", None) == made, "its lineage is as it was"


def test_regression_is_wrong_beyond_its_tolerance(stores: Stores, keys: np.ndarray) -> None:
    create_dataset(stores, "ages", keys, labels=pa.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    said = [1.0, 2.4, 3.6, 4.0, 5.0, 9.0]
    plain = import_predictions(stores, "vgg/1", "ages@1", None, said)
    assert columns(stores, plain)["wrong"] == [None] * 6
    judged = import_predictions(stores, "vgg/1", "ages@1", None, said, task='regression {"tolerance": 0.5}')
    assert columns(stores, judged)["wrong"] == [False, False, True, False, False, True]


@dataclass(frozen=True)
class Counted(Regression):
    """Whole numbers, which it reads as all numbers are read."""

    name: ClassVar[str] = "counted"

    def columns(self, classes: Any) -> Any:
        return {"predicted": FieldType.INT, "wrong": FieldType.BOOL}


def test_predictions_are_stored_in_the_type_that_the_task_declares(
    stores: Stores, keys: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS._entries, "counted", Counted())
    create_dataset(stores, "cells", keys, labels=pa.array([1, 2, 3, 4, 5, 6]))
    said = np.array([1, 2, 3, 4, 5, 7])
    made = import_predictions(stores, "vgg/1", "cells@1", None, said, task="counted")
    assert stores.columns.predictions(made).column("predicted").type == pa.int64()
    assert [type(row["predicted"]) for row in nodes(stores, made)] == [int] * 6
    with pytest.raises(DataError, match=r"task 'counted' is of the type int, and these are not: .*1\.5"):
        import_predictions(stores, "vgg/1", "cells@1", None, said + 0.5, task="counted")


def test_many_labels_an_image(stores: Stores, keys: np.ndarray) -> None:
    create_dataset(stores, "scenes", keys[:3], labels=pa.array([["cat"], ["cat", "dog"], []]))
    made = import_predictions(stores, "vgg/1", "scenes@1", None, [["cat"], ["cat"], []], task="multi-label")
    assert columns(stores, made)["wrong"] == [False, True, False]
    assert [row["predicted"] for row in nodes(stores, made)] == [["cat"], ["cat"], []]


@settings(max_examples=share(20))
@given(data=st.data())
def test_where_several_are_true_each_class_has_one_threshold(
    stores: Stores, keys: np.ndarray, data: st.DataObject
) -> None:
    """What no threshold gives is told of; of what lies on it either may be said."""
    if not stores.graph.read("MATCH (d:Dataset {base: 'scenes'}) RETURN d.id AS id"):
        create_dataset(stores, "scenes", keys, labels=pa.array([["cat"], ["cat", "dog"], [], ["owl"], ["dog"], []]))
    numbers = st.lists(st.sampled_from([0.125, 0.25, 0.5, 0.75]), min_size=3, max_size=3)
    rows = np.array(data.draw(st.lists(numbers, min_size=6, max_size=6)), np.float32)
    said = np.array(data.draw(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=6, max_size=6)))
    thresholds = np.arange(-1, 11) / 8  # between the numbers and on them
    given_by = ((rows >= thresholds[:, None, None]) | ~said) & ((rows <= thresholds[:, None, None]) | said)
    none = [name for name, fits in zip(CLASSES, given_by.all(1).any(0), strict=True) if not fits]
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        made = import_predictions(
            stores, "vgg/1", "scenes@1", None, [[CLASSES[at] for at in np.flatnonzero(one)] for one in said],
            probabilities=rows, classes=CLASSES, task="multi-label",
        )  # fmt: skip
    (kept,) = stores.graph.read("MATCH (s:PredictionSet {id: $id}) RETURN s.odin_warnings AS said", {"id": made})
    assert [one.split("'")[1] for one in kept["said"] or ()] == none
    assert len(found) == bool(none)
