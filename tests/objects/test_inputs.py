"""A model's input may be a stack or several images of a group: one prediction, as the model run by hand gives it."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from torch import nn

import odin_graph as og
from odin_graph import F
from odin_graph.analysis.judged import judged
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.experiments.predictions import PredictionBuild
from odin_graph.catalog.experiments.projection import project_again
from odin_graph.catalog.records.tokens import create_token
from odin_graph.schema.tasks import parse_task
from odin_graph.server import Settings
from tests.mnist import mnist
from tests.runtime.networks import Net3d, SlicesAsChannels, Views
from tests.server.serving import served

DEPTH, SCANS = 6, 9
PREPROCESS = [og.ops.ToFloat()]


def scan(number: int, depth: int = DEPTH) -> NDArray[np.uint8]:
    """A volume of real digits of one class, (depth, 28, 28); the class is ``number % 3``."""
    images, labels = mnist()
    found: NDArray[np.uint8] = images[labels == number % 3][number * 10 : number * 10 + depth]
    return found


def add_scans(db: og.Workspace, scans: int = SCANS, depth: int = DEPTH) -> None:
    # The middle ones first, so that neither keys nor ids are in the order of the query.
    for number in sorted(range(scans), key=lambda n: abs(n - scans // 2)):
        label = [number % 3] * depth
        db.volumes.add(f"scan-{number}", scan(number, depth), labels=label, site="north" if number % 2 else "south")


def trained(net: nn.Module, inputs: torch.Tensor, labels: torch.Tensor) -> nn.Module:
    torch.manual_seed(0)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    net.train()
    for _ in range(12):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return net.eval()


def by_hand(scans: list[int], depth: int = DEPTH) -> torch.Tensor:
    """(n, 1, depth, 28, 28), stacked without odin_graph."""
    return torch.from_numpy(np.stack([scan(number, depth) for number in scans])[:, None]).float() / 255


def add_model(db: og.Workspace, id_: str, factory: Any, kind: og.Input, **how: Any) -> og.Model:
    return db.models.add(id_, factory, preprocess=PREPROCESS, classes=[0, 1, 2], input=kind, **how)


def volumes_model(db: og.Workspace, **how: Any) -> tuple[og.Model, nn.Module]:
    input_ = og.Input.stack(**{"size": DEPTH, **how})
    model = add_model(db, "net3d", Net3d, input_, input_shape=(1, DEPTH, 28, 28))
    torch.manual_seed(0)
    net = trained(model.build(), by_hand(list(range(SCANS))), torch.tensor([n % 3 for n in range(SCANS)]))
    return model, net


def predicted(db: og.Workspace, model: og.Model, net: nn.Module, test: Any, **how: Any) -> og.PredictionSet:
    with db.run(model, test=test) as run:
        run.add_checkpoint(net)
        return run.predict(test, **how)


def said_of(held: og.PredictionSet, image: str) -> NDArray[np.float32]:
    (prediction,) = held.of_images([image])
    assert prediction.probabilities is not None
    return prediction.probabilities


def one_by_image(held: og.PredictionSet) -> dict[int, dict[str, Any]]:
    return {row["key"]: row for row in held.to_arrow().to_pylist()}


@torch.inference_mode()
def probabilities(net: nn.Module, inputs: torch.Tensor) -> NDArray[np.float32]:
    """Of the model's own outputs for a batch; only the decision from these numbers is ours."""
    made = parse_task("multi-class").decide(net(inputs).numpy(), (0, 1, 2)).probabilities
    assert made is not None
    return made


def test_a_volume_is_one_input_with_one_prediction(db: og.Workspace) -> None:
    """Predictions equal the model on volumes that were stacked by hand, exactly; every slice has that of its volume."""
    add_scans(db)
    model, net = volumes_model(db)
    assert str(model.input) == "6 images of a stack as (bands, depth, height, width)"
    test = db.datasets.add("test", db.images().order_by(F("id").desc()))  # slices of several volumes, backwards
    held = predicted(db, model, net, test)
    assert (len(held), held.input, held.to_arrow().num_rows) == (SCANS, model.input, SCANS * DEPTH)
    # In the order in which the pixels are stored, as one batch: the same operations on the same numbers.
    stored = sorted(range(SCANS), key=lambda n: db.volumes[f"scan-{n}"][0].key)
    expected = probabilities(net, by_hand(stored))
    for number, row in zip(stored, expected, strict=True):
        slices = db.volumes[f"scan-{number}"].slices()
        for prediction in held.of_images(slices):
            assert prediction.predicted == int(row.argmax())
            assert prediction.probabilities is not None
            assert np.array_equal(prediction.probabilities, row)
            assert prediction.wrong == (row.argmax() != number % 3)
        first = slices[0].key
        assert [one_by_image(held)[image.key]["input"] for image in slices] == [first] * DEPTH
        assert [one_by_image(held)[image.key]["place"] for image in slices] == list(range(DEPTH))
    assert examine(db._stores).sound


def test_a_prediction_has_an_edge_to_each_image(db: og.Workspace) -> None:
    add_scans(db)
    model, net = volumes_model(db)
    held = predicted(db, model, net, db.datasets.add("test", db.images()))
    rows = db.cypher(
        "MATCH (p:Prediction)-[:PART_OF]->(:PredictionSet {id: $id}) MATCH (p)-[:OF]->(i:Image) "
        "RETURN p.id AS id, collect(i.id) AS images",
        id=held.id,
    )
    assert sorted(sorted(row["images"]) for row in rows) == [
        [f"scan-{number}/{place:06d}" for place in range(DEPTH)] for number in range(SCANS)
    ]
    (of_slice,) = db.images["scan-4/000003"].predictions()
    assert of_slice["set"] == held.id
    assert held.id in db.impact(["scan-4/000003"]).prediction_sets
    project_again(db._stores, held.id)
    assert list(db.cypher("MATCH (p:Prediction)-[o:OF]->() RETURN count(o) AS n")) == [{"n": SCANS * DEPTH}]
    assert examine(db._stores).sound


def test_nodes_that_are_written_later_are_the_same(db: og.Workspace) -> None:
    add_scans(db, 4)
    model, net = volumes_model(db)
    with db.run(model, id="one") as run:
        run.add_checkpoint(net)
        test = db.datasets.add("test", db.images())
        run.predict(test, nodes=False)
        assert list(db.cypher("MATCH (p:Prediction) RETURN count(p) AS n")) == [{"n": 0}]
        run.predict(test)
    assert list(db.cypher("MATCH (p:Prediction)-[o:OF]->() RETURN count(o) AS n")) == [{"n": 4 * DEPTH}]
    assert examine(db._stores).sound


def test_results_measure_inputs(db: og.Workspace) -> None:
    """Accuracy, confusion and groups count volumes, not slices, and agree with a loop."""
    add_scans(db)
    model, net = volumes_model(db)
    test = db.datasets.add("test", db.images())
    held = predicted(db, model, net, test)
    exp = db.experiment(held.experiment)
    truth = [number % 3 for number in range(SCANS)]
    said = probabilities(net, by_hand(list(range(SCANS)))).argmax(1).tolist()
    results = exp.results(test, group_by="site")
    assert results.n == SCANS
    assert results.accuracy == pytest.approx(np.mean([a == b for a, b in zip(truth, said, strict=True)]))
    confusion = np.zeros((3, 3), int)
    np.add.at(confusion, (truth, said), 1)
    np.testing.assert_array_equal(results.confusion.to_numpy(), confusion)
    assert results.groups is not None
    assert {site: scores.n for site, scores in results.groups.items()} == {"north": SCANS // 2, "south": SCANS // 2 + 1}
    assert "9 inputs" in repr(results)
    # A query is of images: each has the prediction of its volume.
    wrong = db.images(test).where(exp.wrong)
    assert len(wrong) == DEPTH * sum(a != b for a, b in zip(truth, said, strict=True))


def test_an_input_that_lost_an_image_is_not_measured(db: og.Workspace) -> None:
    add_scans(db)
    model, net = volumes_model(db)
    test = db.datasets.add("test", db.images())
    held = predicted(db, model, net, test)
    db.images.delete("scan-3/000002", force=True)
    results = db.experiment(held.experiment).results(test)
    assert (results.n, results.counts.members, results.counts.deleted, results.coverage) == (SCANS - 1, SCANS, 1, 1.0)
    assert "1 of 9 inputs have images that were deleted since, and are left out" in results.notes
    again = db.experiment(held.experiment)
    with pytest.raises(og.DataError, match=r"The volume 'scan-3' has 5 images, and an input of the model"):
        again.predict(db.datasets.add("rest", db.images()))


def test_purging_one_slice_removes_the_prediction_of_its_volume(db: og.Workspace) -> None:
    add_scans(db)
    model, net = volumes_model(db)
    test = db.datasets.add("test", db.images())
    held = predicted(db, model, net, test)
    report = db.images.purge("scan-3/000002", force=True)
    assert report.destroyed["predictions in the graph"] == 1
    assert report.destroyed["rows of predictions"] == 2 * DEPTH  # with their probabilities
    assert len(held) == SCANS - 1
    assert not db.images["scan-3/000001"].predictions()
    with pytest.warns(og.CoverageWarning, match="over 8 of 9 labeled inputs"):
        results = db.experiment(held.experiment).results(test)
    assert results.n == SCANS - 1
    assert results.coverage == pytest.approx((SCANS - 1) / SCANS)
    assert examine(db._stores).sound


@pytest.mark.parametrize("layout", ["dhw", "nchw"])
def test_the_layouts(db: og.Workspace, layout: Literal["dhw", "nchw"]) -> None:
    add_scans(db)
    size = {"dhw": (DEPTH, 28, 28), "nchw": (DEPTH, 1, 28, 28)}[layout]
    factory = {"dhw": SlicesAsChannels, "nchw": Views}[layout]
    model = add_model(
        db, "net", factory, og.Input.stack(size=DEPTH, layout=layout), input_shape=size,
        args=[DEPTH],
    )  # fmt: skip
    torch.manual_seed(0)
    net = model.build().eval()
    held = predicted(db, model, net, db.datasets.add("test", db.images()))
    stored = sorted(range(SCANS), key=lambda n: db.volumes[f"scan-{n}"][0].key)
    inputs = by_hand(stored)[:, 0] if layout == "dhw" else by_hand(stored).transpose(1, 2)
    expected = probabilities(net, inputs.contiguous())
    for number, row in zip(stored, expected, strict=True):
        assert np.array_equal(said_of(held, f"scan-{number}/000000"), row)


def test_volumes_of_any_depth_run_each_as_it_is(db: og.Workspace) -> None:
    """Without a size, no volume is cut; those of one depth run together."""
    depths = [4, 7, 4, 9, 7]
    for number, depth in enumerate(depths):
        db.volumes.add(f"scan-{number}", scan(number, depth), labels=[number % 3] * depth)
    model = add_model(db, "net3d", Net3d, og.Input.stack())
    torch.manual_seed(0)
    net = model.build().eval()
    held = predicted(db, model, net, db.datasets.add("test", db.images()))
    for number, depth in enumerate(depths):
        np.testing.assert_allclose(
            said_of(held, f"scan-{number}/000000"),
            probabilities(net, by_hand([number], depth))[0],
            rtol=1e-5,
            atol=1e-7,
        )
    loader = db.images().loader(1, model=model, shuffle=False)
    assert [tuple(inputs.shape) for inputs, _ in loader] == [(1, 1, depth, 28, 28) for depth in depths]
    assert [tuple(item.shape[1:2]) for item, _ in db.images().to_torch(model=model).__getitems__([0, 1])] == [
        (4,),
        (7,),
    ]
    with pytest.raises(og.ShapeError, match=r"The volume 'scan-0' has 4 images and The volume 'scan-3' has 9"):
        next(iter(db.images().loader(5, model=model, shuffle=False)))


def test_too_few_and_too_many_slices(db: og.Workspace) -> None:
    for number, depth in enumerate([6, 4, 9]):
        db.volumes.add(f"scan-{number}", scan(number, depth), labels=[number % 3] * depth)
    test = db.datasets.add("test", db.images())

    def run(name: str, **how: Any) -> tuple[og.PredictionSet, nn.Module, list[str]]:
        model = add_model(db, name, Net3d, og.Input.stack(size=6, **how), input_shape=(1, 6, 28, 28))
        torch.manual_seed(0)
        net = model.build().eval()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            held = predicted(db, model, net, test)
        return held, net, [str(one.message) for one in told if one.category is og.DataWarning]

    with pytest.raises(
        og.DataError, match=r"^The volume 'scan-1' has 4 images, and an input of the model 'a/.*few='skip'"
    ):
        run("a")
    with pytest.raises(og.DataError, match=r"^The volume 'scan-2' has 9 images.*'scan-2/000006', 'scan-2/000007'"):
        run("b", few="pad")
    held, net, told = run("c", few="pad", many="spread")
    assert len(told) == 1
    notes = (
        "1 with too few images were padded with zeros (The volume 'scan-1')",
        "1 with too many images were cut to 6 at equal distances (The volume 'scan-2')",
    )
    assert held.warnings == notes
    padded = torch.cat([by_hand([1], 4), torch.zeros(1, 1, 2, 28, 28)], 2)
    spread = by_hand([2], 9)[:, :, [0, 2, 3, 5, 6, 8]]
    expected = probabilities(net, torch.cat([by_hand([0]), padded, spread]))
    found = [said_of(held, f"scan-{number}/000000") for number in range(3)]
    assert all(np.array_equal(one, row) for one, row in zip(found, expected, strict=True))
    assert db.experiment(held.experiment).results(test).coverage == 1.0  # what was cut off is in no input
    held, _, told = run("d", few="skip", many="first")
    assert len(told) == 1
    assert len(held) == 2
    with pytest.warns(og.CoverageWarning, match="over 2 of 3 labeled inputs"):
        assert db.experiment(held.experiment).results(test).coverage == pytest.approx(2 / 3)
    assert examine(db._stores).sound


def test_images_that_are_in_no_stack_are_named(db: og.Workspace) -> None:
    add_scans(db, 2)
    db.images.add(images=scan(0, 1), prefix="alone", labels=[0])
    model, net = volumes_model(db)
    with pytest.raises(og.DataError, match=r"1 of 13 images are no slice of a volume.*'alone"):
        predicted(db, model, net, db.datasets.add("test", db.images()))


def add_patients(db: og.Workspace, patients: int = 8) -> None:
    """Two eyes of each patient, the right one first; of every second a third image."""
    images, labels = mnist()
    for patient in range(patients):
        of_class = images[labels == patient % 3][patient * 3 : patient * 3 + 2]
        db.images.add(
            images=of_class[::-1], ids=[f"p{patient}-right", f"p{patient}-left"], labels=[patient % 3] * 2,
            metadata={"PatientID": [patient] * 2, "eye": ["right", "left"]},
        )  # fmt: skip


def eyes(patient: int) -> NDArray[np.uint8]:
    """(left, right), by hand."""
    images, labels = mnist()
    found: NDArray[np.uint8] = images[labels == patient % 3][patient * 3 : patient * 3 + 2]
    return found


EYES = og.Input.group("PatientID", order="eye", views=("left", "right"))


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
        assert np.array_equal(said_of(held, f"p{patient}-left"), row)
        assert np.array_equal(said_of(held, f"p{patient}-right"), row)
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
    found = {image: said_of(held, image) for image in ("p0-left", "p1-right", "p2-left")}
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
    np.testing.assert_allclose(said_of(held, "p0-left"), expected[0], rtol=1e-5)
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
        np.testing.assert_allclose(said_of(held, f"scan-{number}/000000"), row, rtol=1e-5)
    rows = by_hand(list(range(SCANS))).numpy().reshape(SCANS, -1)
    forest = RandomForestClassifier(10, random_state=0).fit(rows, [number % 3 for number in range(SCANS)])
    trees = db.models.add(
        "forest", forest, preprocess=PREPROCESS, input=og.Input.stack(size=DEPTH), input_shape=(1, DEPTH, 28, 28)
    )
    with db.run(trees, test=test) as run:
        run.add_checkpoint()
        held = run.predict(test)
    for number, row in enumerate(forest.predict_proba(rows)):
        np.testing.assert_allclose(said_of(held, f"scan-{number}/000003"), row, atol=1e-6)


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
        assert np.array_equal(said_of(held, f"scan-{number}/000004"), rows[number])
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
