"""The command `odin`, as a user runs it: in a process of its own, and where that matters by the real command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import neo4j
import py2neo
import pytest

import odin_graph as og
from tests.forking import Program, run
from tests.graph.foreign import py2neo_graph
from tests.workspaces import add_digits

pytestmark = pytest.mark.starts_engine

ODIN = ("-m", "odin_graph.cli")
SECONDS = 120


def odin(*words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end."""
    return run([*ODIN, *words], timeout=SECONDS, env={**os.environ, **environment})


@contextmanager
def holding(*words: str | Path) -> Iterator[Program]:
    """A verb that runs until it is stopped."""
    with Program([*ODIN, *words]) as process:
        try:
            yield process
        finally:
            process.kill()


def assert_one_sentence(ran: subprocess.CompletedProcess[str], *parts: str) -> None:
    """An error of ours: exit 2, nothing on standard output, the message alone on standard error."""
    assert ran.returncode == 2, ran
    assert ran.stdout == ""
    assert ran.stderr.startswith("odin: ")
    assert ran.stderr.count("\n") == 1
    assert "Traceback" not in ran.stderr
    for part in parts:
        assert part in ran.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A workspace folder with images and a data set, whose engine is held up."""
    place = tmp_path_factory.mktemp("cli") / "retina.odin"
    with og.connect(place) as db:
        add_digits(db)
        db.datasets.add("digits", db.images())
        yield place


def test_version() -> None:
    """By a real start of Python, which has imported nothing before."""
    command = [sys.executable, *ODIN, "--version"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{version('odin-graph')}\n", "")


def test_help_lists_the_verbs() -> None:
    ran = odin("--help")
    assert ran.returncode == 0
    for verb in ("quickstart", "info", "doctor", "gc", "storage", "up", "bolt"):
        assert verb in ran.stdout


def test_info(folder: Path) -> None:
    """By a real start of Python too."""
    command = [sys.executable, *ODIN, "info", folder]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert str(folder) in ran.stdout
    assert "20 images, 1 datasets, 0 models, 0 experiments" in ran.stdout


def test_example_makes_the_workspace_of_the_guides(tmp_path: Path) -> None:
    made = odin("example", tmp_path / "retina.odin")
    assert (made.returncode, made.stdout.count("\n")) == (0, 1), made.stderr
    assert "Workspace(" in made.stdout
    assert_one_sentence(odin("example", tmp_path / "retina.odin"), "exists already: give a new folder")
    with og.connect(tmp_path / "retina.odin", create=False) as db:
        assert len(db.images("retina-test")) > 0
        assert "small-cnn/1" in db.experiments


def test_doctor_finds_a_sound_workspace(folder: Path) -> None:
    ran = odin("doctor", folder)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"{folder}: sound" in ran.stdout
    assert odin("doctor", folder, "--deep").returncode == 0


def test_doctor_finds_a_fault(folder: Path) -> None:
    with og.connect(folder, create=False) as db:
        uri = db.cypher("MATCH (s:Segment {array: 'pixels'}) RETURN s.uri AS uri")[0]["uri"]
        there, away = folder / "arrays" / uri, folder / "away"
        there.rename(away)
        try:
            ran = odin("doctor", folder)
        finally:
            away.rename(there)
        assert ran.returncode == 1
        assert ran.stderr == ""
        assert "faults" in ran.stdout
        assert uri in ran.stdout
        assert db.doctor().sound


def test_doctor_cannot_check_what_is_not_there(tmp_path: Path) -> None:
    assert_one_sentence(odin("doctor", tmp_path / "none.odin"), f"There is no workspace at {tmp_path / 'none.odin'}")
    assert not (tmp_path / "none.odin").exists(), "looking makes nothing"


@pytest.mark.parametrize("verb", ["info", "doctor", "gc", "storage", "bolt", "up"])
def test_an_error_is_one_sentence(tmp_path: Path, verb: str) -> None:
    (tmp_path / "beach.png").write_bytes(b"sand")
    assert_one_sentence(odin(verb, tmp_path), f"{tmp_path} exists and is not a workspace", "choose a new name")


def test_gc(folder: Path) -> None:
    assert odin("gc", folder, "--dry-run").returncode == 0
    assert odin("doctor", folder).returncode == 0


def test_storage_tells_and_sets_the_budget(folder: Path) -> None:
    ran = odin("storage", folder)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == '0 sets take 0 B; there is no budget, db.storage.budget = "20 GB" sets one.\n'
    assert odin("storage", folder, "--budget", "20 GB").stdout == "0 sets take 0 B of a budget of 20.0 GB.\n"
    assert odin("storage", folder).stdout == "0 sets take 0 B of a budget of 20.0 GB.\n"
    assert_one_sentence(odin("storage", folder, "--budget", "20 gb"), "'20 gb' is not a size", '"20 GB" or "500 MiB"')
    assert "no budget" in odin("storage", folder, "--budget", "none").stdout


def test_bolt_gives_a_log_in_that_only_reads(folder: Path) -> None:
    with holding("bolt", folder) as process:
        assert process.stdout is not None
        said = {}
        while "password" not in said:
            line = process.stdout.readline()
            assert line, process.stderr.read() if process.stderr else ""
            name, value = line.split(maxsplit=1)
            said[name] = value.strip()
        user, what = said["user"].split(maxsplit=1)
        assert what == "(only reads)"
        with (
            neo4j.GraphDatabase.driver(said["address"], auth=(user, said["password"])) as driver,
            driver.session(database=said["database"]) as session,
        ):
            assert session.run("MATCH (i:Image) RETURN count(i)").single(strict=True).value() == 20
            for statement in ("CREATE (:Image {id: 'x'})", "MATCH (i:Image) SET i.n = 99", "MATCH (i:Image) DELETE i"):
                with pytest.raises(neo4j.exceptions.Neo4jError):
                    session.run(statement).consume()
            assert session.run("MATCH (i:Image) RETURN count(i), max(i.n)").single(strict=True).values() == [20, 19]
        with py2neo_graph(said["address"], user, said["password"], said["database"]) as graph:
            assert graph.nodes.match("Image").count() == 20
            with pytest.raises(py2neo.errors.ClientError, match="not allowed"):
                graph.create(py2neo.Node("Image", id="x"))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0


def test_bolt_writes_where_that_is_asked(folder: Path) -> None:
    with holding("bolt", folder, "--write") as process:
        assert process.stdout is not None
        said = dict(process.stdout.readline().split() for _ in range(4))
        with (
            neo4j.GraphDatabase.driver(said["address"], auth=(said["user"], said["password"])) as driver,
            driver.session(database=said["database"]) as session,
        ):
            session.run("CREATE (n:Note) DELETE n").consume()
        with py2neo_graph(said["address"], said["user"], said["password"], said["database"]) as graph:
            note = py2neo.Node("Note", of="py2neo")
            graph.create(note)
            assert graph.nodes.match("Note").count() == 1
            graph.delete(note)
        process.terminate()
        assert process.wait(timeout=30) == 0


def test_bolt_of_a_server_prints_the_address_alone(db: og.Workspace) -> None:
    given = {"ODIN_GRAPH_USER": db.bolt.user, "ODIN_GRAPH_PASSWORD": db.bolt.password}
    if db.bolt.database:
        given["ODIN_GRAPH_DATABASE"] = db.bolt.database
    ran = odin("bolt", "--graph", db.bolt.address, "--arrays", db._stores.address.arrays, **given)
    assert ran.returncode == 0, ran.stderr
    said = dict(line.split(maxsplit=1) for line in ran.stdout.splitlines())
    assert said["address"] == db.bolt.address
    with py2neo_graph(said["address"], db.bolt.user, db.bolt.password, said.get("database")) as graph:
        assert graph.nodes.match("Workspace").count() == 1
    assert db.bolt.password not in ran.stdout + ran.stderr


def test_bolt_with_a_wrong_password(db: og.Workspace, tmp_path: Path) -> None:
    ran = odin("bolt", "--graph", db.bolt.address, "--arrays", tmp_path, ODIN_GRAPH_PASSWORD="wr0ng")
    assert_one_sentence(ran, f"{db.bolt.address} refuses the user or the password", "ODIN_GRAPH_PASSWORD")


@pytest.mark.parametrize("verb", ["info", "doctor", "gc", "storage", "bolt", "serve"])
def test_a_verb_of_no_workspace_or_of_two(verb: str) -> None:
    assert_one_sentence(odin(verb), "Name one workspace: its folder, or --graph")
    assert_one_sentence(odin(verb, "a.odin", "--graph", "neo4j://host"), "Name one workspace: its folder, or --graph")


@pytest.mark.parametrize("verb", ["info", "doctor", "gc", "storage"])
def test_the_same_verbs_for_a_server(db: og.Workspace, verb: str) -> None:
    add_digits(db)
    at = db.bolt
    given = {"ODIN_GRAPH_USER": at.user, "ODIN_GRAPH_PASSWORD": at.password, "ODIN_GRAPH_DATABASE": at.database or ""}
    ran = odin(verb, "--graph", at.address, "--arrays", db._stores.address.arrays, **given)
    assert (ran.returncode, ran.stderr) == (0, ""), ran


def test_verbs_for_a_folder_with_arrays_elsewhere(tmp_path: Path) -> None:
    """Every verb takes them, and says so when they are not given."""
    folder, arrays = tmp_path / "retina.odin", tmp_path / "large disk"
    with og.connect(folder, arrays=arrays) as db:
        add_digits(db)
    for words in (["info"], ["doctor"], ["gc"], ["storage"]):
        ran = odin(*words, folder, "--arrays", arrays)
        assert (ran.returncode, ran.stderr) == (0, ""), ran
        assert_one_sentence(odin(*words, folder), "give the arrays= that it was made with")
    ran = odin("backup", folder, tmp_path / "copy.odin", "--arrays", arrays)
    assert (ran.returncode, ran.stderr) == (0, ""), ran
    assert odin("doctor", tmp_path / "copy.odin", "--deep").returncode == 0
    with holding("up", folder, "--arrays", arrays) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("The graph engine of")


def test_up_holds_the_engine_up(folder: Path) -> None:
    with holding("up", folder) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        with og.connect(folder, create=False) as db:
            assert db.bolt.address in line
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_a_verb_that_there_is_not() -> None:
    ran = odin("doktor")
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert "doktor" in ran.stderr
