"""A model's input may be several images of a group, whose labels follow a rule."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

import odin_graph as og
from odin_graph import F
from odin_graph.analysis.judged import judged
from odin_graph.catalog.doctor.doctor import examine
from tests.objects.inputs import (
    EYES,
    PREPROCESS,
    add_model,
    add_patients,
    eyes,
    predicted,
    probabilities,
    probabilities_of,
    scan,
)
from tests.runtime.networks import Views


def test_several_images_of_a_patient_are_one_input(db: og.Workspace) -> None:
    add_patients(db)
    model = add_model(db, "eyes", Views, EYES, input_shape=(2, 1, 28, 28))
    torch.manual_seed(0)
    net = model.build().eval()
    test = db.datasets.add("test", db.images())
    held = predicted(db, model, net, test)
    inputs = torch.from_numpy(np.stack([eyes(patient) for patient in range(8)])[:, :, None]).float() / 255
    # An input is known by its first image, the left eye, and is stored in the order of these.
    for patient, row in enumerate(probabilities(net, inputs)):
        assert np.array_equal(probabilities_of(held, f"p{patient}-left"), row)
        assert np.array_equal(probabilities_of(held, f"p{patient}-right"), row)
    results = db.experiment(held.experiment).results(test, group_by="PatientID")
    assert results.n == 8
    assert results.groups is not None
    assert all(scores.n == 1 for scores in results.groups.values())
    assert examine(db._stores).sound


def test_a_group_that_lacks_a_view_or_has_two(db: og.Workspace) -> None:
    add_patients(db, 3)
    model = add_model(db, "eyes", Views, EYES, input_shape=(2, 1, 28, 28))
    net = model.build().eval()
    without = db.images().where(F("id") != "p1-left")
    with pytest.raises(og.DataError, match=r"^The group PatientID=1 has 1 images, without eye='left', and an input"):
        predicted(db, model, net, db.datasets.add("without", without))
    db.images.add(images=scan(1, 1), ids=["again"], labels=[2], metadata={"PatientID": [2], "eye": ["left"]})
    with pytest.raises(og.DataError, match=r"^The group PatientID=2 has 3 images.*first too many 'again'"):
        predicted(db, model, net, db.datasets.add("twice", db.images()))
    padded = add_model(
        db, "padded", Views, og.Input.group("PatientID", order="eye", views=("left", "right"), few="pad", many="first"),
        input_shape=(2, 1, 28, 28),
    )  # fmt: skip
    torch.manual_seed(0)
    net = padded.build().eval()
    with pytest.warns(og.DataWarning, match="1 with too few images were padded with zeros"):
        held = predicted(db, padded, net, db.datasets["without@1"])
    inputs = torch.from_numpy(np.stack([eyes(patient) for patient in range(3)])[:, :, None]).float() / 255
    inputs[1, 0] = 0
    expected = probabilities(net, inputs)
    found = {image: probabilities_of(held, image) for image in ("p0-left", "p1-right", "p2-left")}
    for image, patient in (("p0-left", 0), ("p1-right", 1), ("p2-left", 2)):
        np.testing.assert_allclose(found[image], expected[patient], rtol=1e-5)
    db.images.add(images=scan(1, 1), ids=["nobody"], labels=[2], metadata={"eye": ["left"]})
    with pytest.raises(og.DataError, match=r"1 of 8 images have no 'PatientID'.*'nobody'"):
        predicted(db, padded, net, db.datasets.add("nobody", db.images()))


def test_an_order_that_is_not_clear_is_refused(db: og.Workspace) -> None:
    images = scan(0, 4)
    db.images.add(images=images, ids=list("abcd"), metadata={"PatientID": [1] * 4, "visit": [3, 1, 3, 2]})
    model = db.models.add(
        "visits",
        Views,
        preprocess=PREPROCESS,
        task="regression",
        args=[4],
        input=og.Input.group("PatientID", order="visit"),
    )
    with pytest.raises(og.DataError, match=r"In The group PatientID=1 2 images have the same 'visit', 'a', 'c'"):
        db.images().to_torch(model=model)


def test_labels_of_an_input_agree_or_follow_a_rule(db: og.Workspace) -> None:
    add_patients(db, 4)
    db.labels.update(["p2-right"], 1)
    test = db.datasets.add("test", db.images())
    model = add_model(db, "eyes", Views, EYES, input_shape=(2, 1, 28, 28))
    with pytest.raises(og.DataError, match=r"of 1 of 4 inputs have several labels.*The group PatientID=2 has 2 and 1"):
        predicted(db, model, model.build(), test)
    with pytest.raises(og.DataError, match=r"The group PatientID=2 has 2 and 1"):
        db.images(test).loader(model=model)
    rules: tuple[tuple[Literal["first", "max"], int], ...] = (("first", 2), ("max", 2))
    for rule, label in rules:
        kind = og.Input.group("PatientID", order="eye", views=("left", "right"), label=rule)
        other = add_model(db, f"eyes-{rule}", Views, kind, input_shape=(2, 1, 28, 28))
        held = predicted(db, other, other.build(), test)
        labels = judged(db._stores, held.experiment, test.id).table.column("label").to_pylist()
        assert labels == [0, 1, label, 0]
