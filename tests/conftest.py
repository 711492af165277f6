"""Both graph engines, real ones, one server of each a session; every test gets an empty workspace on it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import odin_graph as og
from odin_graph import schema
from odin_graph.address import Address
from odin_graph.client import LocalSession
from odin_graph.folder import prepare_folder
from odin_graph.graph import Graph, Transaction, embedded, install, lend_to_neomodel, open_embedded
from odin_graph.stores import Stores
from tests import shares
from tests.caches import own_cache
from tests.engines.maven import CannotRunError
from tests.engines.neo4j import LTS, Neo4jServer
from tests.engines.s3 import S3Server
from tests.engines.s3 import start as start_s3
from tests.kept import World, fill_of
from tests.scheduling import ByEngine

ENGINES = ("arcadedb", "neo4j")
WIPED = 20_000
"""Nodes that are deleted at once."""
LTS_CRASHES = 5
"""Of each kind in the soak of the older Neo4j."""
_cache = Path(tempfile.mkdtemp(prefix="odin-cache-"))
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
own_cache(_cache)
_config = tempfile.mkdtemp(prefix="odin-config-")
atexit.register(shutil.rmtree, _config, ignore_errors=True)
os.environ["XDG_CONFIG_HOME"] = _config  # what a test trusts, its user does not
_missing: dict[str, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", choices=ENGINES, help="run on one graph engine alone")
    parser.addoption("--soak", action="store_true", help="the long counts, and the older Neo4j too")


def pytest_configure(config: pytest.Config) -> None:
    shares.whole = bool(config.getoption("--soak"))
    settings.register_profile(
        "odin",
        max_examples=shares.share(shares.DEFAULT),
        deadline=None,
        print_blob=True,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
    settings.load_profile("odin")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        only = metafunc.config.getoption("--engine")
        names = [only] if only else [*ENGINES, *(["neo4j-lts"] if metafunc.config.getoption("--soak") else [])]
        metafunc.parametrize("engine", names, indirect=True, scope="session")
    if "s3" in metafunc.fixturenames:
        names = ["moto", pytest.param("s3proxy", marks=pytest.mark.soak)]
        metafunc.parametrize("s3", names, indirect=True)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByEngine:
    """All processes together run the whole suite."""
    return ByEngine(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    whole = config.getoption("--soak") or config.getoption("--engine")
    repeated = [item for item in items if _repeats_on_lts(item) or not (whole or _on_its_engine(item))]
    config.hook.pytest_deselected(items=repeated)
    items[:] = [item for item in items if item not in set(repeated)]
    for item in items:
        needs = {"engine", "s3"} & set(getattr(item, "fixturenames", ()))
        if not needs and "starts_engine" not in item.keywords:
            item.add_marker(pytest.mark.unit)
    if not config.getoption("--soak"):
        for item in items:
            if "soak" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="a long count: make soak"))


def _repeats_on_lts(item: pytest.Item) -> bool:
    """Whether a crash is one too many on the older Neo4j, which shares all that a crash could tear with the newer."""
    runs = (mark.args[0] for mark in item.iter_markers("soak") if mark.args)
    return _engine_of(item) == "neo4j-lts" and any(run >= LTS_CRASHES for run in runs)


def _on_its_engine(item: pytest.Item) -> bool:
    """Whether no other engine runs the test, of those where the engine only keeps what the test is not about."""
    return item.get_closest_marker("one_engine") is None or _engine_of(item) in (None, ENGINES[0])


def _engine_of(item: pytest.Item) -> str | None:
    params = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    return params.get("engine")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """What a worker found missing is said at the end of the whole run."""
    _missing.update(getattr(node, "workeroutput", {}).get("missing", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["missing"] = _missing


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for why in _missing.values():
        terminalreporter.write_line(f"ONE ENGINE DID NOT RUN. {why}", red=True)


@pytest.fixture(autouse=True)
def no_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is marked as a unit, which `make unit` runs, starts no engine."""
    if "unit" in request.node.keywords:
        monkeypatch.setattr(embedded, "_start", lambda *_, **__: pytest.fail("mark it starts_engine"))


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether the long counts are asked for."""
    return bool(request.config.getoption("--soak"))


@dataclass
class Engine:
    """A running engine: its name, and a graph that holds the server up and is wiped between tests."""

    name: str
    graph: Graph
    folder: Path | None
    world: World | None = None
    """What is in it, if that is to be kept as long as tests only read it."""

    def address(self, arrays: Path | str) -> Address:
        """Of a workspace on this engine with its arrays in that folder, or at that address."""
        if self.folder is not None:
            return Address(arrays=str(arrays), folder=str(self.folder))
        held = self.graph.endpoint
        return Address(
            arrays=str(arrays), graph=held.address, database=held.database, user=held.user, password=held.password
        )

    def wipe(self) -> None:
        """Remove all data; the schema stays, and the workspace is a new one."""
        self.world = None

        def begin_anew(tx: Transaction) -> bool:
            """In one transaction, unless there is too much for one; whether all is done."""
            (row,) = tx.run(
                "MATCH (n) WHERE NOT n:Writer WITH n LIMIT $most DETACH DELETE n RETURN count(n) AS n", {"most": WIPED}
            )
            if row["n"] < WIPED:
                made = {"id": uuid.uuid4().hex, "version": schema.VERSION}
                tx.run("CREATE (:Workspace {id: $id, schema_version: $version})", made)
            return bool(row["n"] < WIPED)

        while not self.graph.execute(begin_anew):
            pass


_running: dict[str, Engine] = {}


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Engine:
    """The engine that this run of the test is for."""
    name: str = request.param
    if name in _missing:
        pytest.skip(_missing[name])
    if name not in _running:
        try:
            _running[name] = _start(name, request.config)
        except CannotRunError as why:
            if name in os.environ.get("ODIN_REQUIRE_ENGINES", "").split(","):
                raise
            _missing[name] = str(why)
            pytest.skip(str(why))
    return _running[name]


def _start(name: str, config: pytest.Config) -> Engine:
    if name == "arcadedb":
        folder = Path(tempfile.mkdtemp(prefix="odin-tests-")) / "tests.odin"
        prepare_folder(folder, create=True)
        config.add_cleanup(lambda: shutil.rmtree(folder.parent, ignore_errors=True))
        graph = Graph(*open_embedded(folder / "engine"))
        config.add_cleanup(graph.close)
        install(graph)
        return Engine(name, graph, folder)
    server = Neo4jServer(LTS) if name == "neo4j-lts" else Neo4jServer()
    config.add_cleanup(server.stop)
    graph = Graph(server.endpoint)
    config.add_cleanup(graph.close)
    install(graph)
    return Engine(name, graph, None)


_s3: dict[str, S3Server] = {}


@pytest.fixture(scope="session")
def s3_service(request: pytest.FixtureRequest) -> Callable[[str], S3Server]:
    """Gives a running S3 service by its name."""

    def of(name: str) -> S3Server:
        if name in _missing:
            pytest.skip(_missing[name])
        if name not in _s3:
            try:
                _s3[name] = start_s3(name)
            except CannotRunError as why:
                if os.environ.get("ODIN_REQUIRE_ENGINES"):
                    raise
                _missing[name] = str(why)
                pytest.skip(str(why))
            request.config.add_cleanup(_s3[name].stop)
        return _s3[name]

    return of


@pytest.fixture
def s3(
    request: pytest.FixtureRequest, s3_service: Callable[[str], S3Server], monkeypatch: pytest.MonkeyPatch
) -> S3Server:
    """The S3 service that this run of the test is for, as the environment says it to us and our processes."""
    server = s3_service(request.param)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def graph(engine: Engine) -> Graph:
    """An empty graph with the schema installed."""
    engine.wipe()
    return engine.graph


@pytest.fixture
def address(engine: Engine, request: pytest.FixtureRequest, tmp_path: Path) -> Address:
    """Of an empty workspace on the engine, not yet opened; or of the world that the test reads, if it still stands."""
    if engine.world is not None and engine.world.stands(fill_of(request), engine.graph):
        return engine.address(engine.world.arrays)
    engine.wipe()
    return engine.address(tmp_path / "arrays")


@pytest.fixture
def stores(address: Address) -> Iterator[Stores]:
    """The engines of an empty workspace, opened."""
    held = Stores.open(address)
    held.keep()
    yield held
    held.close()


@pytest.fixture
def db(address: Address) -> Iterator[og.Workspace]:
    """An empty workspace, as a user holds it."""
    from odin_graph.workspace import Workspace

    held = Stores.open(address)
    held.keep()
    lend_to_neomodel(held.graph)
    with Workspace(LocalSession(held)) as workspace:
        yield workspace


@pytest.fixture
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], og.Workspace]:
    """Opens an empty workspace beside that of the test, at each call, on an engine that all such workspaces share."""
    from odin_graph.workspace import Workspace

    if "beside" not in _running:
        _running["beside"] = _start("arcadedb", request.config)
    engine, numbers = _running["beside"], count()

    def open_() -> og.Workspace:
        engine.wipe()
        return Workspace(LocalSession(Stores.open(engine.address(tmp_path / f"arrays beside {next(numbers)}"))))

    return open_
