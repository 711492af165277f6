"""A served workspace of real images with a model, on each engine: one for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

import odin_graph as og
from odin_graph import example
from odin_graph.catalog.records.tokens import create_token
from odin_graph.client import LocalSession
from odin_graph.server import Settings, create_app
from odin_graph.stores import Stores
from odin_graph.workspace import Workspace
from tests.conftest import Engine
from tests.server.serving import served
from tests.stored import filled


@pytest.fixture(scope="module")
def retina(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[og.Workspace]:
    engine.wipe()
    stores = Stores.open(engine.address(tmp_path_factory.mktemp("served") / "arrays"))
    stores.keep()
    with Workspace(LocalSession(stores)) as workspace:
        filled(workspace, world)
        yield workspace


def world(db: og.Workspace) -> None:
    """What those who may only read ask for is there, in whatever order the tests run."""
    filled(db, example.build, experiments=1)
    db.experiment("small-cnn/1").layer("features").embeddings(db.images())


@pytest.fixture(scope="module")
def secret(retina: og.Workspace) -> str:
    return create_token(retina._stores, "tests")


@pytest.fixture(scope="module")
def client(retina: og.Workspace, secret: str) -> Iterator[TestClient]:
    app = create_app(retina, Settings(cypher=True))
    with TestClient(app, headers={"Authorization": f"Bearer {secret}"}, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def port(retina: og.Workspace) -> Iterator[int]:
    """A server of it, with vectors of its own."""
    retina.vectors.add("line", retina.images(), [[float(n), 1.0] for n in range(len(retina.images()))])
    with served(retina, Settings(cypher=True)) as number:
        yield number


@pytest.fixture(scope="module")
def far(port: int, secret: str) -> Iterator[og.Workspace]:
    """The workspace from far away, for who may only read."""
    with og.connect(f"http://127.0.0.1:{port}", token=secret) as workspace:
        yield workspace
