"""Runs: an experiment while it is being made."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from odin_graph.catalog.images.images import add_images
from odin_graph.client import LocalSession
from odin_graph.errors import ConflictError, DataError, ModelError, QueryError
from odin_graph.objects.things.dataset import Datasets
from odin_graph.objects.things.experiment import Experiments
from odin_graph.objects.things.run import Run
from odin_graph.stores import Stores
from tests.catalog.test_images import batch
from tests.forking import Program
from tests.kept import kept


@kept
def world(stores: Stores) -> Stores:
    """Data set pets@1 of four images, labeled cat, dog, cat, dog."""
    add_images(stores, batch(4, labels=["cat", "dog"] * 2))
    Datasets(LocalSession(stores)).add("pets", [f"i{n}" for n in range(4)])
    return stores


def state(stores: Stores, id: str) -> str:  # noqa: A002
    return str(stores.graph.read("MATCH (e:Experiment {id: $id}) RETURN e.state AS s", {"id": id})[0]["s"])


def test_a_whole_run(world: Stores) -> None:
    datasets = {"train": "pets", "test": None}
    with Run.start(LocalSession(world), id="vgg/1", datasets=datasets, params={"lr": 0.1}) as run:
        assert run.state == "running"
        run.log({"loss": 0.5}, step=1)
        run.log({"loss": 0.25}, step=2)
        assert run.metrics().column("value").to_pylist() == [0.5, 0.25]
        made = run.log_predictions("pets", ["cat", "cat", "cat", "dog"], confidence=[0.5, 0.5, 0.75, 1.0])
    exp = run.experiment
    assert (exp.state, exp.datasets, exp.parameters, exp.predictions()) == (
        "finished",
        {"train": "pets@1"},
        {"lr": 0.1},
        [made],
    )
    assert exp.metrics().column("step").to_pylist() == [1, 2]
    assert world.columns.predictions(made.id).column("wrong").to_pylist() == [False, True, False, False]
    wrong = Datasets(LocalSession(world))["pets"].images().where(exp.wrong & (exp.confidence < 0.75))
    assert [image.id for image in wrong] == ["i1"]


@pytest.mark.parametrize(
    ("error", "becomes"),
    [(ValueError("diverged"), "failed"), (KeyboardInterrupt(), "interrupted"), (SystemExit(1), "interrupted")],
)
def test_how_it_ended_is_recorded(world: Stores, error: BaseException, becomes: str) -> None:
    run = Run.start(LocalSession(world), id="mine")
    run.log({"loss": 1.0})
    with pytest.raises(type(error)), run:
        raise error
    assert state(world, "mine") == run.state == becomes
    assert run.metrics().column("value").to_pylist() == [1.0], "what was logged before is kept"


def test_an_ended_run_takes_nothing_more(world: Stores) -> None:
    run = Run.start(LocalSession(world), id="mine")
    run.finish()
    run.finish()
    with pytest.raises(QueryError) as caught:
        run.log({"loss": 1.0})
    assert str(caught.value) == "The run 'mine' is finished: continue it with db.run(id=\"mine\", resume=True)."
    with Run.start(LocalSession(world), id="mine", resume=True) as again:
        again.log({"loss": 2.0})
    assert again.metrics().column("value").to_pylist() == [2.0]


def test_a_script_that_runs_again_does_not_log_into_what_is_finished(world: Stores) -> None:
    """Refused with the remedy, and nothing of the experiment changes by asking: neither state, roles nor log."""
    with Run.start(LocalSession(world), id="mine") as run:
        run.log({"loss": 1.0}, step=1)
    before = dict(world.graph.read("MATCH (e:Experiment {id: 'mine'}) RETURN properties(e) AS e")[0]["e"])
    for how in ({}, {"datasets": {"train": "pets"}}):
        with pytest.raises(ConflictError, match=r"'mine' is finished.*resume=True"):
            Run.start(LocalSession(world), id="mine", **how)  # type: ignore[arg-type]
    (row,) = world.graph.read("MATCH (e:Experiment {id: 'mine'}) RETURN properties(e) AS e, size([(e)-->() | 1]) AS n")
    assert (dict(row["e"]), row["n"]) == (before, 0)
    assert Experiments(LocalSession(world))["mine"].metrics().column("step").to_pylist() == [1]
    with Run.start(LocalSession(world), id="mine", resume=True) as run:
        run.log({"loss": 0.5}, step=2)
    assert run.metrics().column("step").to_pylist() == [1, 2]


def test_a_script_that_failed_and_runs_again_has_one_value_a_step(world: Stores) -> None:
    """It logs its first steps again, and the later value of each step is the one that led to the end."""
    run = Run.start(LocalSession(world), id="mine")
    for step in range(3):
        run.log({"loss": 1.0 + step, "acc": 0.5}, step=step)
    run.log({"note": 1.0})
    run.finish("failed")
    with Run.start(LocalSession(world), id="mine") as run:
        for step in range(2):
            run.log({"loss": 0.1 + step}, step=step)
        run.log({"note": 2.0})
    rows = run.metrics().to_pylist()
    values = {(row["step"], row["name"]): row["value"] for row in rows if row["name"] != "note"}
    assert len(values) == len(rows) - 2
    assert [values[step, "loss"] for step in range(3)] == [0.1, 1.1, 3.0]
    assert [row["value"] for row in rows if row["step"] is None] == [1.0, 2.0], "without a step they are a series"


def test_what_a_continued_run_says_otherwise_is_refused_or_stored(world: Stores) -> None:
    for id_ in ("source", "other"):
        Run.start(LocalSession(world), id=id_).finish()
    how: dict[str, Any] = {"informed_by": "source", "group": "g", "tags": ["a", "b"], "metadata": {"site": "Lima"}}
    Run.start(LocalSession(world), id="mine", **how).finish()
    for name, value in (("informed_by", "other"), ("group", "h"), ("tags", ["a"])):
        with pytest.raises(ConflictError, match=f"'mine' exists with another {name}"):
            Run.start(LocalSession(world), id="mine", resume=True, **{**how, name: value})
    again = {**how, "tags": ["b", "a"], "metadata": {"site": "Oslo"}}
    Run.start(LocalSession(world), id="mine", resume=True, **again).finish()
    assert Experiments(LocalSession(world))["mine"].metadata == {"site": "Oslo"}


def test_another_process_that_dies_leaves_it_interrupted(world: Stores, tmp_path: Path) -> None:
    """It is refused while that process lives, and goes on after it was killed."""
    import json
    from dataclasses import asdict

    script = (
        "import json, sys, time\n"
        "from odin_graph.address import Address\n"
        "from odin_graph.client import LocalSession\n"
        "from odin_graph.objects.things.run import Run\n"
        "from odin_graph.stores import Stores\n"
        "run = Run.start(LocalSession(Stores.open(Address(**json.loads(sys.argv[1])))), id='mine')\n"
        "run.log({'loss': 1.0}, step=1)\n"
        "run.metrics()\n"
        "print('running', flush=True)\n"
        "time.sleep(600)\n"
    )
    with Program(["-c", script, json.dumps(asdict(world.address))]) as process:
        assert process.stdout.readline() == "running\n"
        assert Experiments(LocalSession(world))["mine"].state == "running"
        with pytest.raises(ConflictError, match=f"'mine' is being written by process {process.pid} on "):
            Run.start(LocalSession(world), id="mine")
        process.send_signal(signal.SIGKILL)
    assert Experiments(LocalSession(world))["mine"].state == "interrupted"
    with Run.start(LocalSession(world), id="mine") as run:
        run.log({"loss": 0.5}, step=2)
    assert run.metrics().column("step").to_pylist() == [1, 2]
    assert state(world, "mine") == "finished"


def test_predicting_without_a_checkpoint_says_what_to_do(world: Stores) -> None:
    with (
        Run.start(LocalSession(world), id="mine") as run,
        pytest.raises(QueryError, match=r"no checkpoint to predict with: save one with run\.add_checkpoint"),
    ):
        run.predict("pets")


def test_what_is_no_data_set_and_what_has_no_weights(world: Stores) -> None:
    with Run.start(LocalSession(world), id="mine") as run:
        with pytest.raises(QueryError, match=r"is not a data set: give one or its id; db\.datasets\.add"):
            run.log_predictions(object(), ["cat"] * 4)
        with pytest.raises(ModelError, match="None has no weights: give a module, or its state dict"):
            run.add_checkpoint(None)
        assert run.experiment.checkpoints() == []


def test_informed_by_an_imported_checkpoint_is_refused(world: Stores) -> None:
    class Imported:
        id = "imagenet"
        experiment = None

    with pytest.raises(DataError, match="The checkpoint 'imagenet' was not made by a recorded experiment"):
        Run.start(LocalSession(world), id="mine", informed_by=Imported())


def test_prints_what_it_is(world: Stores) -> None:
    with Run.start(LocalSession(world), id="mine") as run:
        assert repr(run) == "Run('mine': running)"
    assert repr(run) == "Run('mine': finished)"
