"""`og.connect` and what it gives: made, opened, refused, two at once, in another process, printed."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import odin_graph as og
from odin_graph import F
from odin_graph.address import Address
from tests.conftest import Engine
from tests.forking import run
from tests.workspaces import add_digits, as_server, connect

pytestmark = pytest.mark.starts_engine

SECRET = "wr0ng-horse"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[og.Workspace]:
    """A workspace folder of its own, made by connect."""
    folder = tmp_path_factory.mktemp("made") / "deep" / "retina.odin"
    with og.connect(folder) as db:
        yield db


def refusal(kind: type[og.OdinError], **given: object) -> str:
    """The message with which connect refuses; it tells no secret and is not that of another library."""
    with pytest.raises(og.OdinError) as caught:
        og.connect(**given)  # type: ignore[arg-type]
    assert type(caught.value) is kind
    assert SECRET not in str(caught.value)
    return str(caught.value)


# Made and opened


def test_connect_makes_a_folder_that_holds_everything(made: og.Workspace) -> None:
    folder = Path(made._stores.address.folder or "")
    assert json.loads((folder / "workspace.json").read_text())["format"] == 1
    assert {held.name for held in folder.iterdir()} >= {"workspace.json", "engine", "arrays"}
    assert made.doctor().sound
    with og.connect(folder, create=False) as again:
        assert again.bolt.address == made.bolt.address, "a second one attaches to the running engine"


def test_connect_opens_what_was_made(address: Address) -> None:
    with connect(address) as db:
        add_digits(db)
        made = db._stores.workspace_id
    with connect(address, create=False) as db:
        assert db._stores.workspace_id == made
        assert len(db.images) == 20
        assert db.image("digit/000003").pixels.shape == (28, 28, 1)


def test_nothing_is_made_where_that_is_not_asked(tmp_path: Path) -> None:
    said = refusal(og.MissingWorkspaceError, path=tmp_path / "retina.odin", create=False)
    assert said == f"There is no workspace at {tmp_path / 'retina.odin'}: open it with create=True to make one."
    assert not (tmp_path / "retina.odin").exists()


def test_an_empty_folder_is_no_workspace_yet(tmp_path: Path) -> None:
    refusal(og.MissingWorkspaceError, path=tmp_path, create=False)
    assert not list(tmp_path.iterdir())


def test_a_server_without_a_workspace(address: Address, engine: Engine) -> None:
    engine.graph.write("MATCH (w:Workspace) DETACH DELETE w")
    with pytest.raises(og.MissingWorkspaceError) as caught:
        connect(address, create=False)
    assert str(caught.value) == f"There is no workspace at {address}: open it with create=True to make one."
    assert engine.graph.read("MATCH (w:Workspace) RETURN w") == []
    with connect(address) as db:
        assert db.doctor().sound


def test_a_closed_workspace_says_so(address: Address) -> None:
    db = connect(address)
    db.close()
    db.close()
    with pytest.raises(og.WorkspaceError, match=r"is closed: open it again with og\.connect"):
        db.images.add(images=[[[0]]])


# Refused


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_something_else_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "holiday"
    if kind == "folder":
        place.mkdir()
    (place / "beach.png" if kind == "folder" else place).write_bytes(b"sand")
    said = refusal(og.WorkspaceError, path=place)
    assert said == f"{place} exists and is not a workspace: choose a new name, or an empty folder."
    assert [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()] == [b"sand"]


def test_a_folder_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refusal(og.WorkspaceError, path=tmp_path / "file" / "retina.odin")
    assert str(tmp_path / "file" / "retina.odin") in said
    assert "Choose a folder you may write to" in said


def test_a_newer_schema_is_refused(address: Address, engine: Engine) -> None:
    newer = og.schema.VERSION + 1
    engine.graph.write("MATCH (w:Workspace) SET w.schema_version = $newer", {"newer": newer})
    before = engine.graph.change_token()
    with pytest.raises(og.SchemaVersionError) as caught:
        connect(address)
    said = str(caught.value)
    assert f"has schema version {newer}, this odin_graph knows {og.schema.VERSION}" in said
    assert "upgrade odin_graph (pip install --upgrade odin-graph)" in said
    assert engine.graph.change_token() == before, "a workspace that is not understood is not touched"
    assert not Path(address.arrays).exists()


def test_a_newer_folder_is_refused_before_its_engine_is_touched(tmp_path: Path) -> None:
    (tmp_path / "workspace.json").write_text('{"format": 2}')
    said = refusal(og.SchemaVersionError, path=tmp_path)
    assert said == (
        f"The workspace {tmp_path} has format 2, this odin_graph knows 1: "
        "upgrade odin_graph (pip install --upgrade odin-graph)."
    )
    assert [held.name for held in tmp_path.iterdir()] == ["workspace.json"]


@pytest.mark.parametrize("mark", ["", "{}", "[]", '{"format": null}', "\x00\xff"])
def test_a_damaged_mark(tmp_path: Path, mark: str) -> None:
    (tmp_path / "workspace.json").write_bytes(mark.encode("latin-1"))
    said = refusal(og.WorkspaceError, path=tmp_path)
    assert f"{tmp_path / 'workspace.json'} is damaged" in said
    (tmp_path / "workspace.json").write_text(said.partition("write ")[2].rpartition(" into")[0])
    assert json.loads((tmp_path / "workspace.json").read_text()) == {"format": 1}, "the remedy that is said works"


def test_arrays_of_another_workspace_are_refused(db: og.Workspace, made: og.Workspace) -> None:
    theirs = made._stores
    with pytest.raises(og.MismatchError) as caught:
        connect(db._stores.address, arrays=theirs.address.arrays)
    said = str(caught.value)
    assert db._stores.workspace_id in said
    assert theirs.workspace_id in said
    assert "Open each graph with the arrays it was made with." in said


def test_a_wrong_password(db: og.Workspace, tmp_path: Path) -> None:
    said = refusal(og.LoginError, **{**as_server(db, tmp_path / "a"), "password": SECRET})
    assert said == (
        f"{db.bolt.address} refuses the user or the password. Give user= and password=, or ODIN_GRAPH_PASSWORD."
    )
    assert not (tmp_path / "a").exists()


def test_a_missing_password(db: og.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ODIN_GRAPH_PASSWORD", raising=False)
    said = refusal(og.LoginError, **{**as_server(db, tmp_path / "a"), "password": None})
    assert said == f"{db.bolt.address} asks for a password: give password=, or set ODIN_GRAPH_PASSWORD."


def test_a_password_in_the_address(tmp_path: Path) -> None:
    said = refusal(og.WorkspaceError, graph=f"neo4j://ada:{SECRET}@host", arrays=tmp_path)
    assert "give user= and password=, or ODIN_GRAPH_PASSWORD" in said


@pytest.mark.parametrize("scheme", ["bolt", "neo4j"])
def test_an_engine_that_is_not_reachable(tmp_path: Path, scheme: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers, and nobody else takes the port
        address = f"{scheme}://127.0.0.1:{free.getsockname()[1]}"
        began = time.monotonic()
        said = refusal(og.UnreachableError, graph=address, arrays=tmp_path / "a", password=SECRET)
    assert said.startswith(f"No graph engine answers at {address}: ")
    assert said.endswith("Is it running, and is the address right?")
    assert time.monotonic() - began < 20, "who mistypes an address learns it at once"
    assert not (tmp_path / "a").exists()


def test_a_host_that_there_is_not(tmp_path: Path) -> None:
    said = refusal(og.UnreachableError, graph="bolt://nowhere.invalid:7687", arrays=tmp_path, password=SECRET)
    assert "nowhere.invalid:7687" in said


def test_a_database_that_there_is_not(db: og.Workspace, tmp_path: Path) -> None:
    given = {**as_server(db, tmp_path / "a"), "database": "nosuchdatabase"}
    with pytest.raises(og.UnreachableError, match="nosuchdatabase") as caught:
        og.connect(**given)
    assert "database=" in str(caught.value)


# Two at once


def test_two_workspaces_are_open_at_once(db: og.Workspace, made: og.Workspace) -> None:
    add_digits(db)
    add_digits(made, 10, prefix="theirs")
    assert (len(db.images), len(made.images)) == (20, 10)
    mine, theirs = (one.images().where(F("n") >= 5) for one in (db, made))
    assert (mine.count(), theirs.count()) == (15, 5)
    assert all(image.id.startswith("digit/") for image in mine)
    assert all(image.id.startswith("theirs/") for image in theirs)
    db.orm()
    assert len(og.schema.Image.nodes) == 20
    made.orm()
    assert len(og.schema.Image.nodes) == 10
    assert db.doctor().sound
    assert made.doctor().sound


# In another process


def _count(query: og.Query, answer: str) -> None:
    Path(answer).write_text(json.dumps([query.count(), [image.id for image in query[:2]]]))


def test_a_query_runs_in_a_spawned_process(db: og.Workspace, tmp_path: Path) -> None:
    add_digits(db)
    query = db.images().where(F("n") > 11).order_by(F("n").desc())
    child = multiprocessing.get_context("spawn").Process(target=_count, args=(query, str(tmp_path / "answer")))
    child.start()
    child.join(timeout=120)
    assert child.exitcode == 0
    assert json.loads((tmp_path / "answer").read_text()) == [8, ["digit/000019", "digit/000018"]]


def test_a_pickled_query_holds_no_password_and_takes_it_from_the_environment(
    db: og.Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_digits(db)
    (tmp_path / "query").write_bytes(pickle.dumps(db.images().where(F("n") > 11)))
    assert db.bolt.password.encode() not in (tmp_path / "query").read_bytes()
    monkeypatch.setenv("ODIN_GRAPH_PASSWORD", db.bolt.password)
    program = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).count())"
    ran = run(["-c", program, tmp_path / "query"], timeout=120)
    assert ran.stdout.strip() == "8", ran.stderr


# Printed


def test_things_print_well_in_a_terminal_and_in_a_notebook(db: og.Workspace) -> None:
    add_digits(db)
    dataset = db.datasets.add("digits<b>", db.images())
    model = db.models.add("small<b>", "tests.runtime.networks:Fixed", classes=list(range(10)), input_shape=(1, 28, 28))
    with db.run(model, id="exp<b>", train=dataset) as run:
        run.log({"loss": 0.3}, step=1)
    experiment = db.experiment("exp<b>")
    query = db.images("digits<b>").where(F("label") == 3)
    said: dict[str, Any] = {
        "Workspace": db,
        "Dataset": dataset,
        "Experiment": experiment,
        "Model": model,
        "Query": query,
    }
    for name, thing in said.items():
        text, page = repr(thing), thing._repr_html_()
        assert text.startswith(name), text
        assert " object at 0x" not in text
        assert "<" in page
        assert "digits<b>" not in page, "what users named is no markup"
        assert "small<b>" not in page
        assert "exp<b>" not in page
        for secret in (db.bolt.password, db.bolt.reader_password):
            assert secret is None or secret not in text + page
    assert "20 images, 1 datasets, 1 models, 1 experiments" in repr(db)
    assert "'digits<b>@1': 20 images" in repr(dataset)
    assert repr(query) == "Query(images(\"digits<b>@1\").where(F('label') == 3))" or 'F("label") == 3' in repr(query)
    assert "exp<b>" in repr(experiment)
    assert "finished" in repr(experiment)
    assert "small<b>" in repr(model)


def test_the_log_in_is_not_shown(db: og.Workspace) -> None:
    assert db.bolt.password not in repr(db.bolt) + repr(db) + str(db._stores.address)


# Cypher


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE (:Image {id: 'x'})",
        "MATCH (i:Image) SET i.n = 99",
        "MATCH (i:Image) DETACH DELETE i",
        "MATCH (i:Image) REMOVE i.n",
        "MERGE (:Image {id: 'digit/000000'}) ON MATCH SET Image = 1",
        "MERGE (i:Image {id: 'new'}) RETURN i",
        "MATCH (i:Image) CALL { WITH i SET i.n = 99 } RETURN count(*)",
        "MATCH (i:Image) WITH collect(i) AS all FOREACH (i IN all | SET i.n = 99)",
        "CREATE INDEX FOR (i:Image) ON (i.n)",
        "LOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
        "load /* */ csv FROM 'file:///etc/passwd' AS line RETURN line",
    ],
)
def test_cypher_only_reads(db: og.Workspace, statement: str) -> None:
    add_digits(db)
    with pytest.raises((og.ReadOnlyError, og.QueryError)) as caught:
        db.cypher(statement)
    assert db.cypher("MATCH (i:Image) RETURN count(i) AS n, max(i.n) AS most")[0] == {"n": 20, "most": 19}
    if not statement.startswith("MERGE (:Image"):
        assert isinstance(caught.value, og.ReadOnlyError), repr(caught.value)
        assert "write=True" in str(caught.value)


def test_cypher_writes_where_that_is_said(db: og.Workspace) -> None:
    db.cypher("CREATE (:Note {text: $text})", write=True, text="it's `mine`")
    records = db.cypher("MATCH (n:Note) RETURN n.text AS text, $more AS more", more=[1, 2])
    assert list(records) == [{"text": "it's `mine`", "more": [1, 2]}]
    assert records.to_arrow().to_pylist() == [{"text": "it's `mine`", "more": [1, 2]}]
    assert records.to_pandas().shape == (1, 2)


def test_images_of_cypher_only_read(db: og.Workspace) -> None:
    """A source of images reads the graph as db.cypher does: no change, no file, nothing of the server."""
    add_digits(db)
    for text in (
        "//\rLOAD CSV FROM 'file:///etc/passwd' AS line RETURN line",
        "SHOW TRANSACTIONS",
        "CALL dbms.killConnections(['bolt-1']) YIELD message MATCH (i:Image) RETURN i",
        "CALL nobody.knows() YIELD i RETURN i",
    ):
        with pytest.raises((og.ReadOnlyError, og.QueryError)):
            db.images(cypher=text).count()
    with pytest.raises(og.ReadOnlyError, match=r"only reads|reading was asked for"):
        db.images(cypher="MATCH (i:Image) SET i.n = 99 RETURN i").count()
    assert db.images().where(F("n") == 99).count() == 0


def test_cypher_that_is_none(db: og.Workspace) -> None:
    with pytest.raises(og.QueryError, match="The graph engine refuses the statement: "):
        db.cypher("MTCH (n) RETURN n")
    with pytest.raises(og.QueryError, match="age"):
        db.cypher("RETURN $age")


def test_an_empty_place_for_arrays_that_there_are_is_refused(address: Address, tmp_path: Path) -> None:
    """The arrays= that was forgotten, or misspelt: nothing is made there, and what is stored stays to be found."""
    with connect(address) as db:
        add_digits(db, 4)
    with pytest.raises(og.errors.MismatchError, match=r"is empty, and the graph of .* names arrays: give the arrays="):
        connect(address, arrays=str(tmp_path / "elsewhere"))
    assert not list((tmp_path / "elsewhere").iterdir())
    with connect(address) as db:
        assert len(db.images()) == 4
