"""docker/: what its two files run, taken from them and run here, without Docker."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser

from tests.conftest import Engine
from tests.engines.neo4j import LATEST

pytestmark = pytest.mark.starts_engine

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())


def stages() -> list[list[tuple[str, str]]]:
    """Of each stage of the Dockerfile, its instructions and their values, in order."""
    found: list[list[tuple[str, str]]] = []
    for step in DockerfileParser(str(ROOT / "docker" / "Dockerfile")).structure:
        if step["instruction"] == "FROM":
            found.append([])
        if found and step["instruction"] != "COMMENT":
            found[-1].append((step["instruction"], step["value"]))
    return found


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the first stage copies and installs, but for what the package depends on."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "source").mkdir()
    let_in = {line.removeprefix("!") for line in (ROOT / "docker" / "Dockerfile.dockerignore").read_text().split()}
    values = dict(value.split("=") for step, value in stages()[0] if step == "ARG")
    for step, value in stages()[0]:
        if step == "COPY":
            *sources, target = value.split()
            assert set(sources) <= let_in
            for name in sources:
                if (ROOT / name).is_dir():  # COPY takes what is in it
                    left_out = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / name, folder / "source" / target, ignore=left_out)
                else:
                    shutil.copy(ROOT / name, folder / "source" / target)
    install = stages()[0][-1][1]
    assert install.startswith("/opt/odin/bin/pip install ")
    command = install.replace("/opt/odin/bin/pip", f"{shlex.quote(sys.executable)} -m pip")
    subprocess.run(
        ["sh", "-c", f"{command} --no-deps --no-build-isolation --target {shlex.quote(str(folder / 'site'))}"],
        cwd=folder / "source",
        env={**os.environ, **values},
        check=True,
        capture_output=True,
    )
    return folder


def test_the_image_holds_a_package_that_runs(image: Path) -> None:
    """By its health check: `odin --version`, of the copied files and not of ours."""
    ((_, health),) = [step for step in stages()[1] if step[0] == "HEALTHCHECK"]
    words = yaml.safe_load(health.partition("CMD ")[2])
    program = [sys.executable, str(image / "site" / "bin" / words[0]), *words[1:]]
    reach = {**os.environ, "PYTHONPATH": str(image / "site")}
    ran = subprocess.run(program, cwd=image, env=reach, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, f"{version('odin-graph')}\n"), ran.stderr
    where = [sys.executable, "-c", "import odin_graph; print(odin_graph.__file__)"]
    found = subprocess.run(where, cwd=image, env=reach, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).is_relative_to(image / "site")
    entry = [yaml.safe_load(value) for step, value in stages()[1] if step in ("ENTRYPOINT", "CMD")]
    assert entry == [[words[0]], ["--help"]]


def test_the_images_python_is_one_of_ours() -> None:
    bases = {value.split()[0] for stage in stages() for step, value in stage if step == "FROM"}
    assert bases == {"python:3.11-slim"}
    assert f"Python :: {bases.pop().partition(':')[2].partition('-')[0]}" in (ROOT / "pyproject.toml").read_text()


def test_the_neo4j_is_the_one_of_the_tests() -> None:
    assert COMPOSE["services"]["neo4j"]["image"] == f"neo4j:{LATEST.version}"


def test_the_neo4j_gets_settings_of_its_server_and_no_default_password() -> None:
    environment: dict[str, str] = COMPOSE["services"]["neo4j"]["environment"]
    assert environment["NEO4J_AUTH"].startswith("neo4j/${NEO4J_PASSWORD:?")
    assert COMPOSE["services"]["odin"]["environment"]["ODIN_GRAPH_PASSWORD"].startswith("${NEO4J_PASSWORD:?")
    assert COMPOSE["services"]["neo4j"]["ports"] == ["127.0.0.1:7687:7687"]


@pytest.mark.parametrize("right", [True, False])
def test_odins_health_check(engine: Engine, right: bool) -> None:
    """The program of compose.yaml, with the address of this engine instead of a host named neo4j."""
    kind, *command = COMPOSE["services"]["odin"]["healthcheck"]["test"]
    assert kind == "CMD"
    reach = engine.graph.endpoint
    there = reach.address if engine.folder else reach.address.replace("bolt://", "neo4j://")
    said: dict[str, Any] = {"ODIN_GRAPH_USER": reach.user, "ODIN_GRAPH_PASSWORD": reach.password if right else "wr0ng"}
    assert set(said) == set(COMPOSE["services"]["odin"]["environment"])
    assert command[-1].count('"neo4j://neo4j"') == 1
    program = [sys.executable, *command[1:-1], command[-1].replace("neo4j://neo4j", there)]
    ran = subprocess.run(program, env={**os.environ, **said}, capture_output=True, text=True, check=False)
    assert (ran.returncode == 0) is right, ran.stderr
    assert right or "AuthError" in ran.stderr
