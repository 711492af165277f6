"""Arrays of a graph on a server belong to one database: its other names keep them, and a copy of it is refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import neo4j
import numpy as np
import pytest

import odin_graph as og
from odin_graph.graph import Endpoint
from tests.conftest import Engine
from tests.engines.neo4j import Neo4jServer
from tests.server.serving import cut_after
from tests.workspaces import as_server

ALL = 1 << 40


def arguments(endpoint: Endpoint, arrays: Path, host: str = "127.0.0.1", port: int | None = None) -> dict[str, Any]:
    """Of `og.connect`, for a server at one of its names."""
    return {
        "graph": f"bolt://{host}:{port or port_of(endpoint)}",
        "arrays": arrays,
        "user": endpoint.user,
        "password": endpoint.password,
        "database": endpoint.database,
    }


def port_of(endpoint: Endpoint) -> int:
    port = urlsplit(endpoint.address).port
    assert port
    return port


def add(db: og.Workspace) -> None:
    db.images.add(images=np.zeros((3, 8, 8), np.uint8), ids=["a", "b", "c"], progress=False)


def test_another_name_of_a_server_is_the_same_database(engine: Engine, tmp_path: Path) -> None:
    engine.wipe()
    endpoint = engine.graph.endpoint
    with og.connect(**arguments(endpoint, tmp_path)) as db:
        add(db)
    mark = (tmp_path / "database.json").read_text()
    assert endpoint.password not in mark
    with og.connect(**arguments(endpoint, tmp_path, host="localhost")) as db:
        assert len(db.images) == 3
    assert (tmp_path / "database.json").read_text() == mark
    assert engine.graph.read("MATCH (c:Counter) WHERE c.id STARTS WITH 'sign' RETURN c.id AS id") == []


def test_arrays_of_a_server_that_is_gone_are_taken_over_with_a_warning(engine: Engine, tmp_path: Path) -> None:
    engine.wipe()
    endpoint = engine.graph.endpoint
    with (
        cut_after(port_of(endpoint), ALL) as port,
        og.connect(**arguments(endpoint, tmp_path, port=port)) as db,
    ):
        add(db)
    now = arguments(endpoint, tmp_path)
    with pytest.warns(og.errors.DataWarning, match=f"belonged to bolt://127.0.0.1:{port} .* could not be asked"):
        og.connect(**now).close()
    with og.connect(**now) as db:
        assert len(db.images) == 3


def test_a_copy_of_the_arrays_is_free(engine: Engine, tmp_path: Path) -> None:
    """Its mark is that of the original, whose server is not asked."""
    engine.wipe()
    endpoint, arrays, copy = engine.graph.endpoint, tmp_path / "arrays", tmp_path / "copy"
    with cut_after(port_of(endpoint), ALL) as port, og.connect(**arguments(endpoint, arrays, port=port)) as db:
        add(db)
    copy.mkdir()
    for name in ("workspace.json", "database.json"):
        (copy / name).write_bytes((arrays / name).read_bytes())
    (copy / "keys").mkdir()
    (copy / "keys" / "a").touch()
    og.connect(**arguments(endpoint, copy)).close()


def test_a_mark_of_somebody_who_does_not_know_the_graph_is_not_asked(engine: Engine, tmp_path: Path) -> None:
    """Who can only write to the arrays does not learn the password."""
    engine.wipe()
    how, file = arguments(engine.graph.endpoint, tmp_path), tmp_path / "database.json"
    og.connect(**how).close()
    with socket.create_server(("127.0.0.1", 0)) as trap:
        mark = json.loads(file.read_text())
        file.write_text(json.dumps({**mark, "graph": f"bolt://127.0.0.1:{trap.getsockname()[1]}"}))
        with pytest.warns(og.errors.DataWarning, match="could not be asked"):
            og.connect(**how).close()
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()
    assert json.loads(file.read_text()) == mark
    file.write_text("{}")
    with pytest.raises(og.StoreError, match=r"database.json is damaged"):
        og.connect(**how)


def test_a_copy_of_a_database_is_refused(engine: Engine, another: Callable[[], og.Workspace], tmp_path: Path) -> None:
    """The copy is on Neo4j, with the user and the workspace of another server that still runs."""
    if engine.folder is not None:
        pytest.skip("the embedded engine has no users that another one has too")
    engine.wipe()
    endpoint = engine.graph.endpoint
    with another() as original:
        how = as_server(original, tmp_path / "arrays")
        with og.connect(**how) as one:
            add(one)
            (workspace,) = one._stores.graph.read("MATCH (w:Workspace) RETURN properties(w) AS properties")
        engine.graph.write("MATCH (w:Workspace) SET w = $properties", workspace)
        refusal = f"belong to {how['graph']} .*{endpoint.address} .* is a copy"
        login = {"user": how["user"], "password": how["password"]}
        with (
            neo4j.GraphDatabase.driver(endpoint.address, auth=(endpoint.user, endpoint.password)) as driver,
            driver.session(database="system") as session,
        ):
            session.run("CREATE USER $user SET PASSWORD $password CHANGE NOT REQUIRED", login).consume()
            try:
                with pytest.raises(og.MismatchError, match=refusal):
                    og.connect(**{**how, "graph": endpoint.address, "database": endpoint.database})
            finally:
                session.run("DROP USER $user", login).consume()
        with og.connect(**how) as one:
            assert len(one.images) == 3


@pytest.mark.starts_engine
@pytest.mark.soak
def test_of_two_servers_with_copies_of_one_data_folder_one_has_the_arrays(tmp_path: Path) -> None:
    original = Neo4jServer()
    servers = [original]
    try:
        with og.connect(**arguments(original.endpoint, tmp_path)) as db:
            add(db)
        original.halt()
        servers += [Neo4jServer(copy_of=original) for _ in range(2)]
        first, second = (arguments(server.endpoint, tmp_path) for server in servers[1:])
        with pytest.warns(og.errors.DataWarning, match=r"belonged to bolt://.* could not be asked"):
            og.connect(**first).close()
        with pytest.raises(og.MismatchError, match=f"{second['graph']} .* is a copy"):
            og.connect(**second)
        with og.connect(**first) as db:
            assert len(db.images) == 3
            assert db.doctor().sound
    finally:
        for server in servers:
            server.stop()
