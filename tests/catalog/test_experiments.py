"""Experiments: numbered, reopened, never two at once, interrupted when their process is gone."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from odin_graph.catalog.datasets.datasets import create_dataset
from odin_graph.catalog.experiments.experiments import Setup, end, settle, start
from odin_graph.catalog.experiments.metrics import MetricLog, log_array, read_log
from odin_graph.catalog.experiments.provenance import commit_of, package_versions
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.records.segments import segments_of
from odin_graph.errors import ConflictError, DataError, UnknownNameError
from odin_graph.stores import Stores
from tests.catalog.test_images import batch
from tests.catalog.test_leases import dead_owner
from tests.kept import kept


@kept
def world(stores: Stores) -> Stores:
    """Model vgg, data sets pets@1 and pets@2."""
    keys = add_images(stores, batch(4, labels=["cat", "dog"] * 2)).keys
    create_dataset(stores, "pets", keys)
    create_dataset(stores, "pets", keys[:2], revise=True)
    stores.graph.write("CREATE (:Model {id: 'vgg', task: 'multi-class', classes: ['cat', 'dog']})")
    return stores


def held(stores: Stores, id: str) -> dict[str, Any]:  # noqa: A002
    return dict(stores.graph.read("MATCH (e:Experiment {id: $id}) RETURN properties(e) AS e", {"id": id})[0]["e"])


def test_what_went_in_is_recorded(world: Stores) -> None:
    first = start(world, Setup(), "base")
    end(world, first, "finished")
    setup = Setup(
        model="vgg",
        datasets={"train": "pets@1", "dev": "pets@2"},
        parameters={"lr": 0.1, "größe": [1, 2]},
        seed=7,
        group="sweep",
        tags=["a", "b"],
        informed_by="base",
        metadata={"site": "Ulm"},
    )
    lease = start(world, setup)
    assert lease.id == "vgg/1"
    row = held(world, "vgg/1")
    assert (row["state"], row["seed"], row["group"], row["tags"], row["site"]) == (
        "running",
        7,
        "sweep",
        ["a", "b"],
        "Ulm",
    )
    assert json.loads(row["parameters"]) == {"lr": 0.1, "größe": [1, 2]}
    assert json.loads(row["packages"])["numpy"] == package_versions()["numpy"]
    used = world.graph.read(
        "MATCH (:Experiment {id: 'vgg/1'})-[u:USED]->(d) RETURN d.id AS id, u.role AS role ORDER BY id"
    )
    assert used == [{"id": "pets@1", "role": "train"}, {"id": "pets@2", "role": "dev"}, {"id": "vgg", "role": None}]
    assert world.graph.read("MATCH (:Experiment {id: 'vgg/1'})-[:INFORMED_BY]->(e) RETURN e.id AS id") == [
        {"id": "base"}
    ]
    end(world, lease, "failed")
    row = held(world, "vgg/1")
    assert row["state"] == "failed"
    assert row["finished_at"] >= row["started_at"]
    assert "lease_owner" not in row


def test_default_ids_are_numbered_also_at_once(world: Stores) -> None:
    end(world, start(world, Setup(model="vgg"), "vgg/2"), "finished")  # a number that a user took
    ids: list[str] = []

    def begin() -> None:
        lease = start(world, Setup(model="vgg"))
        ids.append(lease.id)
        end(world, lease, "finished")

    threads = [threading.Thread(target=begin) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids) == ["vgg/1", "vgg/3", "vgg/4", "vgg/5", "vgg/6"]


def test_the_same_id_goes_on(world: Stores) -> None:
    setup = Setup(model="vgg", datasets={"train": "pets@1"}, parameters={"lr": 0.1}, seed=1)
    end(world, start(world, setup, "mine"), "interrupted")
    lease = start(world, Setup(datasets={"test": "pets@2"}), "mine")
    assert held(world, "mine")["state"] == "running"
    roles = world.graph.read("MATCH (:Experiment {id: 'mine'})-[u:USED]->(:Dataset) RETURN u.role AS r ORDER BY r")
    assert [row["r"] for row in roles] == ["test", "train"]
    end(world, lease, "finished")
    assert world.graph.read("MATCH (e:Experiment) RETURN count(e) AS n") == [{"n": 1}]


@pytest.mark.parametrize(
    ("setup", "says"),
    [
        (Setup(model="other"), "with another model: 'vgg', not 'other'"),
        (Setup(datasets={"train": "pets@2"}), "with another train data set: 'pets@1', not 'pets@2'"),
        (Setup(parameters={"lr": 0.2}), "with another parameter 'lr': 0.1, not 0.2"),
        (Setup(parameters={"lr": 0.1, "decay": 1}), "with another parameter 'decay': None, not 1"),
        (Setup(seed=2), "with another seed: 1, not 2"),
    ],
)
def test_the_same_id_with_other_content_is_refused(world: Stores, setup: Setup, says: str) -> None:
    world.graph.write("CREATE (:Model {id: 'other'})")
    given = Setup(model="vgg", datasets={"train": "pets@1"}, parameters={"lr": 0.1}, seed=1)
    end(world, start(world, given, "mine"), "finished")
    with pytest.raises(ConflictError) as caught:
        start(world, setup, "mine")
    assert says in str(caught.value)
    assert held(world, "mine")["state"] == "finished"


def test_a_running_experiment_is_not_opened_twice(world: Stores) -> None:
    lease = start(world, Setup(), "mine")
    with pytest.raises(ConflictError, match="Experiment 'mine' is being written by process"):
        start(world, Setup(), "mine")
    end(world, lease, "finished")


def test_a_dead_process_leaves_it_interrupted_when_next_seen(world: Stores) -> None:
    world.graph.write(
        "CREATE (:Experiment {id: 'dead', state: 'running', lease_owner: $owner, "
        "lease_until: timestamp() / 1000.0 + 300})",
        {"owner": dead_owner()},
    )
    live = start(world, Setup(), "live")
    assert settle(world) == ["dead"]
    assert held(world, "dead") == {"id": "dead", "state": "interrupted"}
    assert held(world, "live")["state"] == "running"
    end(world, live, "finished")
    end(world, start(world, Setup(), "dead"), "finished")
    assert held(world, "dead")["state"] == "finished"


@pytest.mark.parametrize(
    ("setup", "kind"),
    [
        (Setup(model="vgh"), "model 'vgh'. Did you mean 'vgg'?"),
        (Setup(datasets={"train": "pets@3"}), "data set version 'pets@3'"),
        (Setup(informed_by="ghost"), "experiment 'ghost'"),
    ],
)
def test_unknown_names_are_refused(world: Stores, setup: Setup, kind: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        start(world, setup, "mine")
    assert f"There is no {kind}" in str(caught.value)
    assert world.graph.read("MATCH (e:Experiment) RETURN e.id AS id") == []


def test_parameters_that_json_does_not_hold_are_refused(world: Stores) -> None:
    with pytest.raises(DataError, match="The parameter 'loss' is <function"):
        start(world, Setup(parameters={"loss": lambda: 0}), "mine")


@pytest.mark.parametrize("seed", ["x", 1.5, True, 2**63])
def test_a_seed_is_a_whole_number(world: Stores, seed: Any) -> None:
    with pytest.raises(DataError, match="The seed is"):
        start(world, Setup(seed=seed), "mine")
    assert world.graph.read("MATCH (e:Experiment) RETURN e.id AS id") == []


def test_metrics_are_kept_in_order(world: Stores) -> None:
    lease = start(world, Setup(), "mine")
    log = MetricLog(world, lease)
    log.add({"loss": 0.5, "accuracy": 1}, step=1)
    log.flush()
    log.add({"loss": 0.25}, step=2)
    log.flush()
    end(world, lease, "interrupted")
    lease = start(world, Setup(), "mine")
    again = MetricLog(world, lease)
    again.add({"final": float("nan")}, None)
    again.flush()
    rows = read_log(world, "mine").select(["step", "name", "value"]).to_pylist()
    assert rows[:3] == [
        {"step": 1, "name": "loss", "value": 0.5},
        {"step": 1, "name": "accuracy", "value": 1.0},
        {"step": 2, "name": "loss", "value": 0.25},
    ]
    assert rows[3]["name"] == "final"
    assert rows[3]["value"] != rows[3]["value"]
    before = read_log(world, "mine")
    again.compact()
    assert len(segments_of(world, log_array("mine"))) == 1
    assert read_log(world, "mine").drop_columns(["value"]).equals(before.drop_columns(["value"]))
    end(world, lease, "finished")


@pytest.mark.parametrize("value", ["high", [1.0, 2.0], None, 10**400])
def test_metrics_are_numbers(world: Stores, value: Any) -> None:
    lease = start(world, Setup(), "mine")
    with pytest.raises(DataError, match="The metric 'loss'"):
        MetricLog(world, lease).add({"loss": value}, 1)
    end(world, lease, "finished")


@pytest.mark.parametrize("step", ["a", 1.5, 2**70, True, float("nan")])
def test_steps_are_whole_numbers(world: Stores, step: Any) -> None:
    """One that is none is refused when it is given: what was logged before it was lost with it."""
    lease = start(world, Setup(), "mine")
    log = MetricLog(world, lease)
    log.add({"loss": 0.5}, np.int64(1))
    with pytest.raises(DataError, match="A step is a whole number"):
        log.add({"loss": 0.25}, step)
    log.flush()
    assert read_log(world, "mine")["step"].to_pylist() == [1]
    end(world, lease, "finished")


def test_commit_says_when_files_differ(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        said = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(said, check=True, capture_output=True, text=True).stdout.strip()

    assert commit_of(tmp_path) is None
    git("init", "-q")
    (tmp_path / "train.py").write_text("1")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    head = git("rev-parse", "HEAD")
    assert commit_of(tmp_path) == head
    (tmp_path / "train.py").write_text("2")
    assert commit_of(tmp_path) == f"{head}-dirty"
