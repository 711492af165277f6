"""Inputs of several images in training, embeddings and imports, and through a server."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.experiments.predictions import PredictionBuild
from odin_graph.catalog.records.tokens import create_token
from odin_graph.server import Settings
from tests.objects.inputs import (
    DEPTH,
    EYES,
    PREPROCESS,
    SCANS,
    add_model,
    add_patients,
    add_scans,
    by_hand,
    eyes,
    predicted,
    probabilities,
    probabilities_of,
    volumes_model,
)
from tests.runtime.networks import Net3d, SlicesAsChannels, Views
from tests.server.serving import served

pytestmark = pytest.mark.one_engine  # what models are given; inputs in the graph are in test_inputs


def test_a_loader_gives_inputs_and_their_labels(db: og.Workspace) -> None:
    """Batches equal those stacked by hand, with any number of workers; every input comes once an epoch."""
    add_scans(db)
    model, _ = volumes_model(db)
    query = db.images().order_by(F("id"))
    whole = by_hand(list(range(SCANS)))
    for workers in (0, 2):
        loader = query.loader(4, model=model, shuffle=False, workers=workers)
        batches = list(loader)
        assert torch.equal(torch.cat([inputs for inputs, _ in batches]), whole)
        assert torch.cat([targets for _, targets in batches]).tolist() == [number % 3 for number in range(SCANS)]
    shuffled = query.loader(4, model=model, seed=3, weights="balanced")
    assert sum(len(inputs) for inputs, _ in shuffled) == SCANS
    data = query.to_torch(model=model)
    assert len(data) == SCANS
    assert torch.equal(data[4][0], whole[4])
    with pytest.raises(og.QueryError, match="stream=True draws images one by one"):
        query.loader(4, model=model, stream=True)


def test_the_images_of_an_input_are_augmented_alike(db: og.Workspace) -> None:
    add_scans(db)
    model, _ = volumes_model(db)
    data = db.images().order_by(F("id")).to_torch(model=model, augment=[og.ops.RandomApply("flip", p=0.5)], seed=1)
    whole = by_hand(list(range(SCANS)))
    flipped = 0
    for position in range(SCANS):
        as_it_is, mirrored = whole[position], whole[position].flip(-1)
        made = data[position][0]
        assert torch.equal(made, as_it_is) or torch.equal(made, mirrored)
        flipped += not torch.equal(made, as_it_is)
    assert 0 < flipped < SCANS


def test_a_run_trains_and_its_images_count_as_learned_from(db: og.Workspace) -> None:
    """All images of an input that a loader gave, not only the first, leak into a test set that has one of them."""
    add_scans(db)
    model, _ = volumes_model(db)
    learned = db.images().where(F("id").contains("scan-1/"))
    with db.run(model, seed=0) as run:
        net = model.build().train()
        optimizer = torch.optim.Adam(net.parameters())
        for inputs, targets in run.loader(learned, 2):
            model.loss(net(inputs), targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        run.add_checkpoint(net)
    others = db.images().where(~F("id").contains("scan-1/"))
    clean = db.datasets.add("clean", others)
    with warnings.catch_warnings():
        warnings.simplefilter("error", og.LeakWarning)
        run.experiment.predict(clean)
    seen = db.datasets.add("seen", db.images())
    with pytest.warns(og.LeakWarning, match="learned from"):
        run.experiment.predict(seen)


def test_embeddings_are_of_inputs_and_nothing_else_is_searched(db: og.Workspace) -> None:
    add_scans(db)
    model, net = volumes_model(db)
    held = predicted(db, model, net, db.datasets.add("test", db.images()))
    exp = db.experiment(held.experiment)
    keys = [db.images[f"scan-{number}/{place:06d}"].key for number in range(SCANS) for place in (0, 3)]
    every = db.images().order_by(F("id"))
    vectors = exp.layer("norm", pooling="max").embeddings(every)
    with torch.inference_mode():
        assert isinstance(net, Net3d)
        expected = net.norm(net.first(by_hand(list(range(SCANS))))).amax((2, 3, 4)).numpy()
    np.testing.assert_allclose(vectors, np.repeat(expected, DEPTH, 0), rtol=1e-4, atol=1e-6)
    with pytest.raises(og.DataError, match=r"The volume 'scan-0' has 2 images"):
        exp.layer("norm").embeddings(keys)
    for asked in (
        lambda: db.images().nearest(db.images["scan-0/000000"], by=exp.layer("norm"), k=3),
        lambda: exp.layer("norm").units[0].top(3, every),
        lambda: exp.layer("norm").materialize(every),
        lambda: exp.layer("norm").activations(every),
        lambda: db.images().order_by(exp.layer("norm").units[0]).ids(),
    ):
        with pytest.raises(og.QueryError, match=r"takes 6 images of a stack.*no values of single images"):
            asked()
    db.vectors.add("volumes", every, vectors)  # what the message says to do
    nearest = db.images().nearest(db.images["scan-0/000000"], by=db.vectors["volumes"], k=DEPTH - 1)
    assert {image.id.partition("/")[0] for image in nearest} == {"scan-0"}


def test_what_does_not_fit_is_refused(db: og.Workspace) -> None:
    with pytest.raises(og.ShapeError, match=r"input_shape is \(bands, depth, height, width\), four whole numbers"):
        add_model(db, "net", Net3d, og.Input.stack(), input_shape=(1, 28, 28))
    with pytest.raises(og.ShapeError, match="an input has 6 images"):
        add_model(db, "net", Net3d, og.Input.stack(size=6), input_shape=(1, 5, 28, 28))
    with pytest.raises(og.DataError, match="A group needs its fields"):
        og.Input(kind="group", layout="nchw")
    with pytest.raises(og.DataError, match="few= and many= need to know"):
        og.Input.stack(few="pad")
    with pytest.raises(og.DataError, match="leave size="):
        og.Input.group("PatientID", order="eye", views=("left",), size=1)
    with pytest.raises(og.QueryError, match="Input"):
        og.Input.stack(many="middle")  # type: ignore[arg-type]
    with pytest.raises(og.ModelError, match=r"og\.Input\.stack"):
        add_model(db, "net", Net3d, "stack")  # type: ignore[arg-type]
    model = add_model(db, "net", Net3d, og.Input.stack(size=6), input_shape=(1, 6, 28, 28))
    assert add_model(db, "net", Net3d, og.Input.stack(size=6), input_shape=(1, 6, 28, 28)) == model
    with pytest.raises(og.ConflictError, match="with other input"):
        add_model(db, "net", Net3d, og.Input.stack(size=6, few="pad"), input_shape=(1, 6, 28, 28))
    assert db.models["net"].input == og.Input.stack(size=6)


def test_images_and_volumes_are_not_compared(db: og.Workspace) -> None:
    add_scans(db)
    model, net = volumes_model(db)
    test = db.datasets.add("test", db.images())
    held = predicted(db, model, net, test)
    flat = db.models.add("flat", SlicesAsChannels, args=[1], preprocess=PREPROCESS, classes=[0, 1, 2])
    single = predicted(db, flat, flat.build(), test)
    with pytest.raises(og.QueryError, match=r"is of 6 images of a stack .* is of one image"):
        db.compare(held.experiment, single.experiment, on=test)


def test_an_interrupted_set_continues_with_the_same_inputs(db: og.Workspace) -> None:
    """Inputs that were predicted before a crash are not predicted again; if a group changed, all are."""
    add_patients(db)
    model = add_model(db, "eyes", Views, EYES, input_shape=(2, 1, 28, 28))
    torch.manual_seed(0)
    net = model.build().eval()
    test = db.datasets.add("test", db.images())
    with db.run(model, test=test) as run:
        checkpoint = run.add_checkpoint(net)
        build = PredictionBuild.begin(db._stores, run.id, test.id, checkpoint=checkpoint.id, input=model.input)
        assert build.inputs is not None
        build.append(build.missing()[:3], [0, 0, 0], None, np.tile(np.array([1, 0, 0], np.float32), (3, 1)))
        build.flush()
        build.release()
        begin = PredictionBuild.begin
        with begin(db._stores, run.id, test.id, checkpoint=checkpoint.id, input=model.input) as again:
            assert (again.resumed, len(again.missing())) == (True, 5)
        db.images(["p0-left"]).update(eye="right")
        db.images(["p0-right"]).update(eye="left")
        held = run.predict(test)
    left, right = eyes(0)
    expected = probabilities(net, torch.from_numpy(np.stack([right, left])[None, :, None]).float() / 255)
    np.testing.assert_allclose(probabilities_of(held, "p0-left"), expected[0], rtol=1e-5)
    assert examine(db._stores).sound


def test_models_that_are_no_class_take_volumes_too(db: og.Workspace) -> None:
    """An exported program, and a fitted estimator, which sees a volume as one row: (depth, h, w, bands)."""
    add_scans(db)
    test = db.datasets.add("test", db.images())
    torch.manual_seed(0)
    net = Net3d().eval()
    program = add_model(db, "program", net, og.Input.stack(size=DEPTH), input_shape=(1, DEPTH, 28, 28))
    held = predicted(db, program, net, test)
    stored = sorted(range(SCANS), key=lambda n: db.volumes[f"scan-{n}"][0].key)
    for number, row in zip(stored, probabilities(net, by_hand(stored)), strict=True):
        np.testing.assert_allclose(probabilities_of(held, f"scan-{number}/000000"), row, rtol=1e-5)
    rows = by_hand(list(range(SCANS))).numpy().reshape(SCANS, -1)
    forest = RandomForestClassifier(10, random_state=0).fit(rows, [number % 3 for number in range(SCANS)])
    trees = db.models.add(
        "forest", forest, preprocess=PREPROCESS, input=og.Input.stack(size=DEPTH), input_shape=(1, DEPTH, 28, 28)
    )
    with db.run(trees, test=test) as run:
        run.add_checkpoint()
        held = run.predict(test)
    for number, row in enumerate(forest.predict_proba(rows)):
        np.testing.assert_allclose(probabilities_of(held, f"scan-{number}/000003"), row, atol=1e-6)


def test_readings_of_whole_volumes_are_logged(db: og.Workspace) -> None:
    """One prediction for each volume, of a person or another program, with a model or without."""
    add_scans(db)
    test = db.datasets.add("test", db.images().order_by(F("id")))
    rng = np.random.default_rng(0)
    rows = rng.dirichlet([1, 1, 1], SCANS).astype(np.float32)
    truth = np.array([number % 3 for number in range(SCANS)])
    readers = db.experiments.add("readers")
    with pytest.raises(og.ShapeError, match="54 images, but 9"):
        readers.log_predictions(test, rows.argmax(1), classes=[0, 1, 2])
    how: dict[str, Any] = {"probabilities": rows, "classes": [0, 1, 2], "input": og.Input.stack()}
    held = readers.log_predictions(test, **how)
    assert readers.log_predictions(test, **how).id == held.id
    assert (len(held), held.input) == (SCANS, og.Input.stack())
    results = readers.results(test)
    assert results.n == SCANS
    assert results.accuracy == pytest.approx((rows.argmax(1) == truth).mean())
    for number in range(SCANS):
        assert np.array_equal(probabilities_of(held, f"scan-{number}/000004"), rows[number])
    model, net = volumes_model(db)
    trained_one = predicted(db, model, net, test)
    assert db.compare("readers", trained_one.experiment, on=test).n == SCANS
    other = db.experiments.add("other", model)  # the model says what a prediction is of
    last = [f"scan-{number}/000005" for number in (7, 2)]
    with pytest.warns(og.CoverageWarning, match="over 2 of 9 labeled inputs"):
        assert len(other.log_predictions(test, [1, 0], images=last)) == other.results(test).n == 2
    with pytest.raises(og.DataError, match="An input is given twice"):
        other.log_predictions(test, [1, 1], images=["scan-1/000001", "scan-1/000002"])
    assert examine(db._stores).sound


def test_far_away_as_near(db: og.Workspace) -> None:
    """A served workspace gives the same inputs, predictions, results and embeddings."""
    add_scans(db)
    model, net = volumes_model(db)
    test = db.datasets.add("test", db.images())
    held = predicted(db, model, net, test)
    near = db.experiment(held.experiment)
    secret = create_token(db._stores, "tests")
    with (
        served(db, Settings()) as port,
        og.connect(f"http://127.0.0.1:{port}", token=secret) as far,
    ):
        assert far.models["net3d"].input == model.input
        there = far.experiment(held.experiment)
        assert there.results("test").to_json() == near.results("test").to_json()
        assert far.predictions[held.id].to_arrow().equals(held.to_arrow())
        assert (len(far.predictions[held.id]), far.predictions[held.id].input) == (SCANS, model.input)
        for one, other in zip(
            far.images().order_by(F("id")).loader(4, model="net3d", seed=1),
            db.images().order_by(F("id")).loader(4, model=model, seed=1),
            strict=True,
        ):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])
        every = far.images().order_by(F("id"))
        np.testing.assert_array_equal(
            there.layer("norm").embeddings(every), near.layer("norm").embeddings(db.images().order_by(F("id")))
        )
