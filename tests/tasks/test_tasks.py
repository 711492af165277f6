"""The tasks: how labels are read, outputs decided, and what wrong means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from odin_graph.errors import DataError, ModelError, OdinError, QueryError, ShapeError, UnknownNameError
from odin_graph.registry import PluginError
from odin_graph.schema.tasks import TASKS, Pairs, Task, measures, parse_task, reading, spell_task
from odin_graph.schema.tasks.multi_class import MultiClass
from odin_graph.schema.tasks.regression import Regression

EYES = ["normal", "DME", "drusen"]
CLASS, LABELS, NUMBER = TASKS.get("multi-class"), TASKS.get("multi-label"), TASKS.get("regression")
GRADE = TASKS.get("ordinal")


def test_the_four_tasks_are_registered() -> None:
    assert list(TASKS) == ["multi-class", "multi-label", "ordinal", "regression"]
    assert [TASKS.get(name).name for name in TASKS] == list(TASKS)


def test_each_task_says_which_measures_apply() -> None:
    assert "quadratic-kappa" not in CLASS.metrics, "classes without an order are no distance from each other"
    assert {"quadratic-kappa", "within-one", "mean-absolute-error", *CLASS.metrics} == set(GRADE.metrics)
    assert "hamming-loss" in LABELS.metrics
    assert NUMBER.metrics == ("mean-absolute-error", "root-mean-squared-error", "r2", "within-tolerance")


@pytest.mark.parametrize("name", list(TASKS))
def test_each_task_measures_what_it_names_of_no_image_too(name: str) -> None:
    values = {"regression": 1.5, "multi-label": ["DME"]}.get(name, "DME")
    known = () if name == "regression" else EYES
    truth, wrong = pa.chunked_array([[values, values]]), pa.chunked_array([[False, None]])
    pairs = Pairs(truth, truth, wrong, known)
    for part in (pairs, pairs.take(np.array([1])), pairs.take(np.empty(0, np.int64))):
        scores = TASKS.get(name).score(part)
        assert scores.n == len(part)
        assert set(scores.overall) == set(TASKS.get(name).metrics) <= set(measures())


@dataclass(frozen=True)
class Grown(MultiClass):
    """A task of somebody else that says too little."""


@dataclass(frozen=True)
class Shared(MultiClass):
    """Its parameter would turn on what a share has, such as intervals."""

    share: float = 0.1  # type: ignore[assignment, misc]
    name: ClassVar[str] = "shared"


class NoTask:
    name = "no-task"
    metrics = ("accuracy",)


@pytest.mark.parametrize(("name", "entry", "said"), [
    ("no-task", NoTask(), "register an instance of a class that derives from odin_graph.schema.tasks.Task"),
    ("shared", Shared(), r"the parameter 'share', which is an attribute of Task: name the parameter otherwise"),
    ("grown", Grown(), "needs name = 'grown' and metrics"),
])  # fmt: skip
def test_what_is_no_task_is_taken_for_no_other(
    name: str, entry: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS._entries, name, entry)
    with pytest.raises(PluginError, match=said):
        parse_task(name)
    assert "accuracy" in measures(), "and the others measure as before"


def test_a_loss_is_that_of_outputs_and_targets() -> None:
    """Against torch's own; a column of outputs beside a row of targets is no matrix of differences."""
    outputs = torch.tensor([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]])
    one = torch.from_numpy(CLASS.targets(reading.as_labels(["DME", "normal"]), EYES))
    assert one.tolist() == [1, 0]
    assert CLASS.loss(outputs, one) == torch.nn.functional.cross_entropy(outputs, one)
    two = CLASS.loss(torch.tensor([[1.5], [-0.5]]), one)
    both = torch.tensor([[0.0, 1.5], [0.0, -0.5]])
    torch.testing.assert_close(two, torch.nn.functional.cross_entropy(both, one))
    several = torch.from_numpy(LABELS.targets(reading.as_labels([["DME"], []]), EYES))
    assert several.tolist() == [[0, 1, 0], [0, 0, 0]]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(outputs, several)
    assert LABELS.loss(outputs, several) == expected
    numbers = torch.from_numpy(NUMBER.targets(reading.as_labels([1.0, 3.0]), None))
    assert NUMBER.loss(torch.tensor([[2.0], [5.0]]), numbers) == 2.5
    with pytest.raises(DataError, match=r"Labels of a multi-class task are not numbers .*: write its targets\(\)"):
        Task.targets(CLASS, reading.as_labels(["DME"]), None)


def test_each_task_says_what_a_predictions_columns_are() -> None:
    assert {name: str(held) for name, held in CLASS.columns(EYES).items()} == {
        "predicted": "string",
        "confidence": "float",
        "wrong": "bool",
    }
    assert str(CLASS.columns([3, 5])["predicted"]) == "int"
    assert str(LABELS.columns(EYES)["predicted"]) == "list[string]"
    assert {name: str(held) for name, held in NUMBER.columns([]).items()} == {"predicted": "float", "wrong": "bool"}


@pytest.mark.parametrize(
    "values",
    [
        ["DME", None, "normal"],
        [1, None, 0],
        [1.0, math.nan, 0.0],
        np.array([1, math.nan, 0]),
        pd.Series(["DME", pd.NA, "normal"]),
        pd.Series([1, pd.NA, 0], dtype="Int64"),
        pd.Categorical(["DME", None, "normal"]),
    ],
    ids=str,
)
def test_classes_are_read_by_name_and_by_index(values: Any) -> None:
    assert CLASS.read_labels(values, EYES).tolist() == ["DME", None, "normal"]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_one_hot_rows_are_classes(dtype: Any) -> None:
    rows = np.eye(3, dtype=dtype)[[1, 0, 2]]
    assert CLASS.read_labels(rows, EYES).tolist() == ["DME", "normal", "drusen"]
    assert CLASS.read_labels(rows).tolist() == [1, 0, 2]


def test_numbers_are_classes_where_classes_are_numbers() -> None:
    assert CLASS.read_labels([3, 5, 3], [5, 3]).tolist() == [3, 5, 3]
    with pytest.raises(DataError, match="Label 0 at position 1: it is none of the classes, which are 5, 3"):
        CLASS.read_labels([3, 0], [5, 3])


REFUSED = [
    (
        ["DME", "AMD"],
        EYES,
        "Label 'AMD' at position 1: it is none of the classes, which are 'normal', 'DME', 'drusen'.",
    ),
    (
        ["3"],
        [3, 5],
        "Label '3' at position 0: it is none of the classes (it is text here, a number there), which are 3, 5.",
    ),
    ([3], EYES, "Label 3 at position 0: it is none of the classes, which are"),
    ([True], EYES, "Label True at position 0: it is none of the classes (they are str, and it is bool), which are"),
    ([1.5], EYES, "Label 1.5 at position 0: a class is a name, a whole number or a truth value."),
    (np.ones((2, 3)), EYES, "The row at position 0 marks 3 classes, and multi-class needs one: if several can be true"),
    (np.eye(2), EYES, "The labels have 2 columns, and there are 3 classes: give one a class."),
    (["a"], ["a", 1], "Classes are names, whole numbers or truth values, all of one kind, and not ['a', 1]."),
    (["a"], ["a", "b", "a"], "The class 'a' comes twice: give each once."),
]


@pytest.mark.parametrize(("values", "classes", "said"), REFUSED, ids=lambda held: str(held)[:20])
def test_a_label_that_is_none_is_named(values: Any, classes: list[Any], said: str) -> None:
    with pytest.raises(DataError) as caught:
        CLASS.read_labels(values, classes)
    assert said in str(caught.value)


def test_the_highest_logit_is_predicted_and_its_softmax_the_confidence() -> None:
    found = CLASS.decide(np.array([[0, math.log(3), 0], [1000, 0, 0], [1, 1, 1]], dtype=np.float32), EYES)
    assert found.predicted.tolist() == ["DME", "normal", "normal"]
    assert found.confidence is not None
    np.testing.assert_allclose(found.confidence, [0.6, 1, 1 / 3], rtol=1e-6)
    assert CLASS.decide(np.zeros((1, 2)), [7, 9]).predicted.tolist() == [7]


def test_one_logit_is_that_of_the_second_of_two_classes() -> None:
    for shape in ((2,), (2, 1)):
        found = CLASS.decide(np.array([2.0, -2.0]).reshape(shape), ["healthy", "ill"])
        assert found.predicted.tolist() == ["ill", "healthy"]


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.just(3)), elements=st.floats(-1e6, 1e6, width=32)))
def test_probabilities_are_probabilities(outputs: np.ndarray[Any, Any]) -> None:
    for task, total in ((CLASS, True), (LABELS, False)):
        found = task.decide(outputs, EYES)
        assert found.probabilities is not None
        assert found.confidence is not None
        assert found.probabilities.shape == outputs.shape
        assert ((found.probabilities >= 0) & (found.probabilities <= 1)).all()
        assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
        if total:
            np.testing.assert_allclose(found.probabilities.sum(axis=1), np.ones(len(outputs)), rtol=1e-5)


@given(hnp.arrays(np.float64, (4, 3), elements=st.floats(-20, 20)))
def test_what_is_predicted_agrees_with_the_probabilities(outputs: np.ndarray[Any, Any]) -> None:
    one = CLASS.decide(outputs, EYES)
    assert one.probabilities is not None
    chosen = one.probabilities[np.arange(4), [EYES.index(name) for name in one.predicted]]
    np.testing.assert_array_equal(chosen, one.probabilities.max(axis=1))
    np.testing.assert_array_equal(chosen, one.confidence)
    again = CLASS.from_probabilities(one.probabilities, EYES)
    np.testing.assert_array_equal(again.confidence, one.confidence)

    several = LABELS.decide(outputs, EYES)
    assert several.probabilities is not None
    for names, row in zip(several.predicted, several.probabilities, strict=True):
        for name, probability in zip(EYES, row, strict=True):
            assert (name in names) == (probability > 0.5) or abs(probability - 0.5) < 1e-6


@pytest.mark.parametrize("task", [CLASS, LABELS])
def test_outputs_that_do_not_fit_the_classes_are_refused(task: Any) -> None:
    with pytest.raises(
        ShapeError, match=r"The outputs have shape \(4, 2\), and 3 classes need \(n, 3\): check classes="
    ):
        task.decide(np.zeros((4, 2)), EYES)
    with pytest.raises(ShapeError, match=r"The probabilities have shape \(4, 2\)"):
        task.from_probabilities(np.zeros((4, 2)), EYES)


@pytest.mark.parametrize(("task", "classes"), [(CLASS, EYES), (LABELS, EYES), (NUMBER, [])])
def test_outputs_that_are_not_finite_are_refused(task: Any, classes: list[str]) -> None:
    outputs = np.zeros((4, max(1, len(classes))))
    outputs[2, 0] = math.nan
    with pytest.raises(ModelError, match="not finite for 1 of 4 images, the first at position 2: look at the weights"):
        task.decide(outputs, classes)


def test_logits_given_as_probabilities_are_noticed() -> None:
    with pytest.raises(
        DataError, match=r"image at position 1 hold -1, which is not between 0 and 1: if they are logits"
    ):
        CLASS.from_probabilities(np.array([[0, 1, 0], [-1, 2, 0]]), EYES)


def test_wrong_is_another_class_and_unknown_without_a_label() -> None:
    wrong = CLASS.wrong(["DME", "DME", "DME"], ["DME", "normal", None])
    assert wrong.tolist() == [False, True, None]
    assert pa.array(wrong).to_pylist() == [False, True, None]
    assert CLASS.wrong([1, 2], [1, 1]).tolist() == [False, True]
    assert CLASS.wrong([], []).tolist() == []


def test_wrong_needs_one_label_a_prediction() -> None:
    for task in (CLASS, LABELS, NUMBER):
        with pytest.raises(ShapeError, match="There are 1 predictions and 2 labels"):
            task.wrong([1], [1, 1])


@pytest.mark.parametrize(
    "values",
    [
        [["drusen", "DME"], [], None],
        [[2, 1], [], None],
        [("DME", "drusen", "DME"), (), math.nan],
    ],
    ids=str,
)
def test_lists_of_classes_are_read_in_the_classes_order(values: Any) -> None:
    assert LABELS.read_labels(values, EYES).tolist() == [["DME", "drusen"], [], None]


def test_rows_of_zeros_and_ones_are_lists_of_classes() -> None:
    rows = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]])
    assert LABELS.read_labels(rows, EYES).tolist() == [["DME", "drusen"], [], ["normal"]]


def test_a_multi_label_label_is_a_list() -> None:
    with pytest.raises(DataError, match=r"Label 'DME' at position 0: .* is a list of classes: write \[\] for none"):
        LABELS.read_labels(["DME"], EYES)
    with pytest.raises(DataError, match="'AMD' is none of the classes, which are 'normal', 'DME', 'drusen'"):
        LABELS.read_labels([["DME", "AMD"]], EYES)


def test_classes_above_the_threshold_are_predicted() -> None:
    outputs = np.array([[-9, math.log(3), 9], [-9, -9, -9]])
    found = LABELS.decide(outputs, EYES)
    assert [*found.predicted] == [["DME", "drusen"], []]
    assert found.confidence is not None
    np.testing.assert_allclose(found.confidence[0], 0.75, rtol=1e-6)  # of the least certain decision
    strict = parse_task('multi-label {"threshold": 0.8}')
    assert [*strict.decide(outputs, EYES).predicted] == [["drusen"], []]


def test_wrong_is_not_exactly_the_labels_classes() -> None:
    said = [["DME"], ["DME"], ["drusen", "DME"], [], ["DME"]]
    truth = [["DME"], ["DME", "drusen"], ["DME", "drusen"], [], None]
    assert LABELS.wrong(said, truth).tolist() == [False, True, False, False, None]


def test_a_number_is_wrong_beyond_the_tolerance() -> None:
    task = parse_task('regression {"tolerance": 5.0}')
    assert task.wrong([60.0, 65.0, 65.1, 60.0], [60.0, 60.0, 60.0, None]).tolist() == [False, False, True, None]


def test_without_a_tolerance_no_number_is_wrong_or_right() -> None:
    assert NUMBER.wrong([60.0, 90.0], [60.0, 60.0]).tolist() == [None, None]


def test_numbers_are_read_and_predicted() -> None:
    assert NUMBER.read_labels([60, np.float32(1.5), None, math.nan]).tolist() == [60.0, 1.5, None, None]
    for shape in ((2,), (2, 1)):
        found = NUMBER.decide(np.array([1.0, 2.0]).reshape(shape), [])
        assert found.predicted.tolist() == [1.0, 2.0]
        assert found.confidence is None
    with pytest.raises(DataError, match="Label 'old' at position 0: a regression label is a number"):
        NUMBER.read_labels(["old"])
    with pytest.raises(ShapeError, match="regression needs one number an image"):
        NUMBER.decide(np.zeros((2, 2)), [])
    with pytest.raises(QueryError, match="A regression task has no classes, and was given"):
        NUMBER.decide(np.zeros(2), EYES)
    with pytest.raises(DataError, match="A regression task has no probabilities: give predicted= instead"):
        NUMBER.from_probabilities(np.zeros((2, 2)), [])


@pytest.mark.parametrize(
    "text", ["multi-class", "multi-label", 'multi-label {"threshold": 0.8}', 'regression {"tolerance": 5.0}']
)
def test_a_model_records_its_task_as_text(text: str) -> None:
    assert spell_task(parse_task(text)) == text


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (
            "multiclass",
            UnknownNameError,
            "There is no task 'multiclass'. Did you mean 'multi-class'? There is: multi-class",
        ),
        ('regression {"tolerence": 5}', UnknownNameError, "Did you mean 'tolerance'? There is: tolerance."),
        ("regression {tolerance: 5}", QueryError, "are not JSON (Expecting property name"),
        ('regression {"tolerance": -1}', QueryError, "is a number from 0 on, and not -1."),
        ('multi-label {"threshold": 1}', QueryError, "is between 0 and 1, and not 1."),
        ("", QueryError, "'' names no task: write multi-class, or with parameters"),
    ],
)
def test_a_task_that_cannot_be_read_is_refused(text: str, error: type[OdinError], said: str) -> None:
    with pytest.raises(error) as caught:
        parse_task(text)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["multi-class", "multi-label", "ordinal", "regression"])
def test_no_labels_are_no_targets(name: str) -> None:
    assert len(parse_task(name).targets([], None)) == 0


@dataclass(frozen=True)
class Listed(Regression):
    """It reads labels as somebody else may."""

    read: Any = None

    def read_labels(self, values: Any, classes: Any = None) -> Any:
        return self.read(super().read_labels(values, classes))


@pytest.mark.parametrize("read", [list, tuple, lambda found: found.astype(float)])
def test_labels_are_read_as_a_list_or_an_array_of_numbers_too(read: Any) -> None:
    found = reading.labels_by(Listed(read=read), [1.0, None, 3], None)
    assert (found.dtype, found.tolist()) == (object, [1.0, None, 3.0])


@pytest.mark.parametrize("read", [lambda _: None, iter, lambda found: found[:1]])
def test_labels_that_are_not_one_a_value_are_the_tasks_fault(read: Any) -> None:
    with pytest.raises(PluginError, match=r"read_labels\(\) of the task 'regression' gives .* for 2 values"):
        reading.labels_by(Listed(read=read), [1.0, 2.0], None)
