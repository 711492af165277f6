"""Experiments as users hold them."""

from __future__ import annotations

import pytest

from odin_graph.catalog.images.images import add_images
from odin_graph.client import LocalSession
from odin_graph.errors import UnknownNameError
from odin_graph.objects.things.dataset import Datasets
from odin_graph.objects.things.experiment import Experiment, Experiments
from odin_graph.objects.things.run import Run
from odin_graph.query.expressions.expressions import F
from odin_graph.stores import Stores
from tests.catalog.test_images import batch


@pytest.fixture
def experiments(stores: Stores) -> Experiments:
    """Three experiments over pets@1; b is informed by a, c failed."""
    add_images(stores, batch(4, labels=["cat", "dog"] * 2))
    Datasets(LocalSession(stores)).add("pets", [f"i{n}" for n in range(4)])
    Run.start(
        LocalSession(stores),
        id="a",
        datasets={"train": "pets"},
        params={"lr": 0.1, "name": "<b>"},
        seed=3,
        group="sweep",
        tags=["good"],
        metadata={"site": "Ulm", "folds": 5},
    ).finish()
    Run.start(LocalSession(stores), id="b", group="sweep", informed_by=Experiment(LocalSession(stores), "a")).finish()
    Run.start(LocalSession(stores), id="c").finish("failed")
    return Experiments(LocalSession(stores))


def test_what_was_recorded_is_read(experiments: Experiments) -> None:
    exp = experiments["a"]
    assert (exp.state, exp.model, exp.seed, exp.group, exp.tags) == ("finished", None, 3, "sweep", ("good",))
    assert exp.datasets == {"train": "pets@1"}
    assert exp.parameters == {"lr": 0.1, "name": "<b>"}
    assert exp.metadata == {"site": "Ulm", "folds": 5}
    assert exp.packages["odin-graph"]
    assert exp.checkpoints() == []
    assert exp.best_checkpoint() is None
    assert exp.predictions() == []
    assert exp.metrics().num_rows == 0


def test_collection_lists_and_finds(experiments: Experiments) -> None:
    assert experiments.ids() == [exp.id for exp in experiments] == ["a", "b", "c"]
    assert (len(experiments), "a" in experiments, "x" in experiments) == (3, True, False)
    assert experiments.where(group="sweep").ids() == ["a", "b"]
    assert experiments.where(F("tags").has("good")).ids() == ["a"]
    assert [exp.id for exp in experiments.where(state="failed")] == ["c"]


def test_lineage_between_experiments(stores: Stores, experiments: Experiments) -> None:
    rows = stores.graph.read("MATCH (x:Experiment)-[:INFORMED_BY]->(y:Experiment) RETURN x.id AS x, y.id AS y")
    assert rows == [{"x": "b", "y": "a"}]


def test_unknown_names_list_what_there_is(experiments: Experiments) -> None:
    with pytest.raises(UnknownNameError) as caught:
        experiments["d"]
    assert "There is no experiment 'd'." in str(caught.value)
    assert "There is: a, b, c." in str(caught.value)


def test_prints_what_it_is(experiments: Experiments) -> None:
    assert repr(experiments["a"]) == "Experiment('a': finished, train pets@1)"
    assert "<td>lr</td><td>0.1</td>" in experiments["a"]._repr_html_()
    assert "<b></td>" not in experiments["a"]._repr_html_()
    assert repr(experiments) == "Experiments(a, b, c)"
