"""Who vouched for a model's code does so once a workspace: for every process, until it is taken back or changes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

import odin_graph as og
from odin_graph.runtime.models import trust, trusted
from odin_graph.runtime.models.trusted import trust_file
from tests.forking import run
from tests.kept import kept

ADD = """
import json, sys
from torch import nn
from odin_graph.address import Address
from odin_graph.client import LocalSession
from odin_graph.stores import Stores
from odin_graph.workspace import Workspace

class Scaled(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head = nn.Linear(4, classes)
    def forward(self, x):
        return self.head(x.flatten(1)) * GAIN

GAIN = 2.0
with Workspace(LocalSession(Stores.open(Address(**json.loads(sys.argv[1]))))) as db:
    for id_ in sys.argv[2:]:
        GAIN = GAIN + 1
        db.models.add(id_, Scaled, kwargs={"classes": len(id_)}, input_shape=(1, 2, 2))
"""


@pytest.fixture(autouse=True)
def nothing_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who vouched for nothing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@kept
def world(db: og.Workspace) -> og.Workspace:
    """Two models of a script, from a process that has gone."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.py"
        script.write_text(ADD)
        address = json.dumps(asdict(db._stores.address))
        done = run([script, address, "one", "other"])
    assert done.returncode == 0, done.stderr
    return db


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forget what this process vouched for, as a new one has."""

    def forget() -> None:
        monkeypatch.setattr(trust, "_vouched", set())
        monkeypatch.setattr(trust, "_live", {})

    return forget


def test_it_is_said_once_and_holds_until_it_is_taken_back(world: og.Workspace, new_process: Callable[[], None]) -> None:
    new_process()
    with pytest.raises(og.errors.TrustError, match=r"say so once.*trust_source=True"):
        world.models["one"].build()
    world.models["one"].build(trust_source=True)
    new_process()
    world.models["one"].build()
    with pytest.raises(og.errors.TrustError):
        world.models["other"].build()  # other code: another digest
    assert world.models["one"].distrust()
    assert not world.models["one"].distrust()
    for _ in range(2):
        with pytest.raises(og.errors.TrustError):
            world.models["one"].build()
        new_process()


def test_the_decision_is_the_users_own(world: og.Workspace, new_process: Callable[[], None], tmp_path: Path) -> None:
    """In a file that only its user reads and writes, outside of the workspace, for this workspace alone."""
    world.models["one"].build(trust_source=True)
    file = trust_file()
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(json.loads(file.read_text())) == [world._stores.workspace_id]
    new_process()
    file.chmod(0o666)
    with pytest.warns(UserWarning, match="others may have written it"), pytest.raises(og.errors.TrustError):
        world.models["one"].build()
    file.chmod(0o600)
    file.write_text(json.dumps({"another workspace": json.loads(file.read_text())[world._stores.workspace_id]}))
    with pytest.raises(og.errors.TrustError):
        world.models["one"].build()


def test_where_nothing_can_be_kept_it_holds_for_the_process(
    world: og.Workspace, new_process: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "a file"))
    with pytest.warns(UserWarning, match="valid only in this process"):
        world.models["one"].build(trust_source=True)
    world.models["one"].build()
    assert trusted.trusted(world._stores.workspace_id) == frozenset()
