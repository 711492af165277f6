"""Models and checkpoints as users hold them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import odin_graph as og
from odin_graph.ops import Normalize, Pipeline, ToFloat
from odin_graph.runtime.models import trust
from tests.forking import run
from tests.runtime.networks import Fixed, SmallNet

PREPROCESS = [ToFloat(), Normalize(mean=0.13, std=0.31)]
DIGITS = tuple(range(10))


def add_small(db: og.Workspace, id: str = "small", **other: object) -> og.Model:  # noqa: A002 - as `add` has it
    given = {"kwargs": {"width": 4}, "preprocess": PREPROCESS, "classes": DIGITS, "input_shape": (1, 28, 28)}
    return db.models.add(id, SmallNet, **{**given, **other})


def test_another_definition_is_the_next_version(db: og.Workspace) -> None:
    """Versions are kept, and found by what they are: a script that is run again makes none."""
    first = add_small(db)
    with pytest.raises(og.ConflictError, match="next version with revise=True"):
        add_small(db, kwargs={"width": 8})
    assert add_small(db, revise=True) == first
    second = add_small(db, kwargs={"width": 8}, revise=True, note="wider")
    assert (second.id, add_small(db, kwargs={"width": 8}, revise=True).id) == ("small@2", "small@2")
    db.models.add("small@home", SmallNet, kwargs={"width": 2})  # another model, whose id begins alike
    assert add_small(db, id="small@2", kwargs={"width": 8}, revise=True) == second, "of any version's id"
    third = add_small(db, preprocess=[ToFloat()], revise=True)
    assert add_small(db, revise=True) == first, "an older version again is that version"
    assert [model.id for model in second.versions()] == ["small", "small@2", "small@3"]
    assert third.versions() == first.versions() == second.versions()
    edges = db.cypher("MATCH (a:Model)-[:REVISION_OF]->(b:Model) RETURN a.id AS a, b.id AS b ORDER BY a")
    assert [(row["a"], row["b"]) for row in edges] == [("small@2", "small"), ("small@3", "small@2")]
    third.delete()
    assert add_small(db, kwargs={"width": 5}, revise=True).id == "small@4", "a tombstone keeps its id"
    assert db.models["small"].parameters == first.parameters, "the bare id stays what experiments were made with"
    db.cypher("MATCH (:Model {id: 'small@2'})-[r:REVISION_OF]->() DELETE r", write=True)
    (fault,) = db.doctor().faults
    assert "edge REVISION_OF to model 'small' is missing" in str(fault)
    db.doctor(repair=True)
    assert db.doctor().sound


def test_what_is_added_is_there(db: og.Workspace) -> None:
    added = add_small(db, width_note=4, source="paper")
    held = db.models["small"]
    assert held == added
    assert held.preprocess == Pipeline(tuple(PREPROCESS))
    assert (held.classes, held.task, held.input_shape) == (DIGITS, "multi-class", (1, 28, 28))
    assert held.parameters == sum(p.numel() for p in SmallNet(width=4).parameters())
    assert {row.name: row.shape for row in held.layers()}["second"] == (8, 13, 13)
    assert held.definition["target"] == "tests.runtime.networks:SmallNet"
    assert (db.models.ids(), len(db.models), "small" in db.models) == (["small"], 1, True)
    assert repr(held) == "Model('small': 442 parameters, input 1 x 28 x 28, 10 classes, multi-class)"
    assert "<td>Conv2d</td>" in held._repr_html_()
    assert isinstance(held.build(), SmallNet)
    assert db.cypher("MATCH (m:Model {source: 'paper'}) RETURN m.width_note AS n")[0]["n"] == 4


def test_the_same_model_again_is_the_one_that_is_there(db: og.Workspace) -> None:
    assert add_small(db) == add_small(db, preprocess=Pipeline.of(PREPROCESS).ops, classes=list(DIGITS))


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"kwargs": {"width": 8}}, "definition"),
        ({"preprocess": ["to-float"]}, "preprocess"),
        ({"classes": tuple(map(str, DIGITS))}, "classes"),
        ({"input_shape": (1, 32, 32)}, "input_shape"),
    ],
)
def test_another_model_of_the_id_is_a_conflict(db: og.Workspace, other: dict[str, object], named: str) -> None:
    add_small(db)
    with pytest.raises(og.errors.ConflictError, match=f"a model 'small' already, with other {named}"):
        add_small(db, **other)


def test_outputs_must_fit_the_classes(db: og.Workspace) -> None:
    with pytest.raises(og.errors.ShapeError, match=r"'small' does not fit its task 'multi-class'.*3 classes need"):
        add_small(db, classes=("a", "b", "c"))
    with pytest.raises(og.errors.ShapeError, match="input_shape is"):
        add_small(db, input_shape=(28, 28))
    with pytest.raises(og.errors.UnknownNameError, match=r"no task 'multiclass'. Did you mean 'multi-class'"):
        add_small(db, task="multiclass")
    for classes in (set(DIGITS), {name: place for place, name in enumerate(DIGITS)}, "0123456789"):
        with pytest.raises(og.DataError, match="give the classes in the order of their indexes"):
            add_small(db, classes=classes)
    assert db.models.ids() == []


def test_an_unknown_model_lists_the_models(db: og.Workspace) -> None:
    add_small(db)
    with pytest.raises(og.errors.UnknownNameError, match=r"no model 'smal'. Did you mean 'small'"):
        db.models["smal"]


SCRIPT = """
import sys
import torch
from torch import nn
import odin_graph as og
from odin_graph.address import Address
from odin_graph.client import LocalSession
from odin_graph.stores import Stores
from odin_graph.workspace import Workspace

GAIN = 3.0

class Scaled(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.flat = nn.Flatten()
        self.head = nn.Linear(784, classes)

    def forward(self, x):
        return self.head(self.flat(x)) * GAIN

import json
with Workspace(LocalSession(Stores.open(Address(**json.loads(sys.argv[1]))))) as db:
    model = db.models.add("scaled", Scaled, kwargs={"classes": 10}, classes=list(range(10)), input_shape=(1, 28, 28))
    assert type(model.build()) is Scaled  # here it is the live class
    module = model.build()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.5)
    print(model.add_checkpoint(module).id)
"""


def test_a_class_of_a_script_needs_trust_elsewhere(
    db: og.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "_vouched", set())  # as in a process that has vouched for nothing yet
    (tmp_path / "script.py").write_text(SCRIPT)
    address = {
        name: getattr(db._stores.address, name)
        for name in ("arrays", "folder", "graph", "database", "user", "password")
    }
    done = run([tmp_path / "script.py", json.dumps(address)])
    assert done.returncode == 0, done.stderr
    (checkpoint,) = db.models["scaled"].checkpoints()
    assert checkpoint.id == done.stdout.strip()
    with pytest.raises(og.errors.TrustError, match="captured from 'Scaled'"):
        checkpoint.load()
    module = checkpoint.load(trust_source=True)
    torch.testing.assert_close(module(torch.ones(1, 1, 28, 28)), torch.full((1, 10), (784 * 0.5 + 0.5) * 3))
    assert not module.training
    checkpoint.load()  # said once is enough


def test_a_module_is_kept_as_a_program(db: og.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    module = nn.Sequential(Fixed(), nn.Softplus())
    with pytest.raises(og.errors.ModelError, match=r"does not say how it was made.*or input_shape="):
        db.models.add("program", module, classes=DIGITS)
    held = db.models.add("program", module, classes=DIGITS, input_shape=(1, 28, 28))
    assert db.models.add("program", module, classes=DIGITS, input_shape=(1, 28, 28)) == held
    assert {row.name for row in held.layers()} >= {"0.body.1", "0.head"}
    images = torch.rand(3, 1, 28, 28)
    checkpoint = held.add_checkpoint(module)
    torch.testing.assert_close(checkpoint.load()(images), module.eval()(images))
    monkeypatch.setattr(trust, "_vouched", set())  # as in another process
    with pytest.raises(og.errors.TrustError, match="exported program"):
        checkpoint.load()


def test_checkpoints_come_back_and_are_checked(db: og.Workspace, tmp_path: Path) -> None:
    held = add_small(db)
    module = SmallNet(width=4)
    torch.save(module.state_dict(), tmp_path / "w.pth")
    checkpoint = held.add_checkpoint(tmp_path / "w.pth", id="small/imported")
    assert held.checkpoints() == [checkpoint]
    assert (checkpoint.model, checkpoint.experiment, checkpoint.best) == ("small", None, False)
    loaded = checkpoint.load()
    for name, value in module.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert held.add_checkpoint(module, id="small/imported") == checkpoint
    with pytest.raises(og.errors.ConflictError, match="with other weights"):
        held.add_checkpoint(SmallNet(width=4), id="small/imported")
    with pytest.raises(og.errors.ModelError, match="other shapes"):
        held.add_checkpoint(SmallNet(width=8))


def test_a_file_of_weights_that_was_changed_is_refused(db: og.Workspace) -> None:
    checkpoint = add_small(db).add_checkpoint(SmallNet(width=4))
    file = Path(db._stores.arrays.root) / "weights" / f"{checkpoint.digest}.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(og.errors.StoreError, match="is not what was written"):
        checkpoint.load()
    file.unlink()
    with pytest.raises(og.errors.StoreError, match="odin doctor"):
        checkpoint.load()


def test_garbage_collection_spares_weights_and_programs(db: og.Workspace) -> None:
    from odin_graph.catalog.purge.gc import collect_garbage

    module = nn.Sequential(Fixed())
    checkpoint = db.models.add("program", module, classes=DIGITS, input_shape=(1, 28, 28)).add_checkpoint(module)
    collect_garbage(db._stores, grace=0.0)
    checkpoint.load()


class NotSure(nn.Module):
    """Says nothing of one image alone."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).sum(dim=1, keepdim=True)


def test_a_regression_model_has_no_classes(db: og.Workspace) -> None:
    held = db.models.add("area", NotSure, task="regression", input_shape=(1, 28, 28))
    assert (held.task, held.classes, held.parameters) == ("regression", None, 0)
