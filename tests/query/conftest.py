"""A workspace with a model whose units are known, on each engine: one for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import odin_graph as og
from odin_graph.client import LocalSession
from odin_graph.stores import Stores
from odin_graph.workspace import Workspace
from tests.conftest import Engine
from tests.stored import filled

from . import unit_world
from .unit_world import Captured


@pytest.fixture(scope="module")
def quarters(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[og.Workspace, Captured]]:
    engine.wipe()
    stores = Stores.open(engine.address(tmp_path_factory.mktemp("units") / "arrays"))
    stores.keep()
    with Workspace(LocalSession(stores)) as workspace:
        yield workspace, filled(workspace, unit_world.build)
