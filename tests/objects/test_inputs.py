"""A model's input may be a stack: one prediction, as the model run by hand gives it."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.experiments.projection import project_again
from tests.objects.inputs import (
    DEPTH,
    SCANS,
    add_model,
    add_scans,
    by_hand,
    one_by_image,
    predicted,
    probabilities,
    probabilities_of,
    scan,
    volumes_model,
)
from tests.runtime.networks import Net3d, SlicesAsChannels, Views


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
        assert np.array_equal(probabilities_of(held, f"scan-{number}/000000"), row)


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
            probabilities_of(held, f"scan-{number}/000000"),
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
    found = [probabilities_of(held, f"scan-{number}/000000") for number in range(3)]
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
