"""What a user may give to connect, what is refused, and that no password is ever shown or written."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from pathlib import Path
from typing import Any

import pytest

from odin_graph.address import SCHEMES, Address
from odin_graph.errors import WorkspaceError

SECRET = "corr3ct-horse"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "PASSWORD", "DATABASE"):
        monkeypatch.delenv(f"ODIN_GRAPH_{name}", raising=False)


def test_a_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    address = Address.of("retina.odin")
    assert address == Address.of(Path("retina.odin")) == Address.of(tmp_path / "x" / ".." / "retina.odin")
    assert address.folder == str(tmp_path / "retina.odin")
    assert address.arrays == str(tmp_path / "retina.odin" / "arrays")
    assert str(address) == str(tmp_path / "retina.odin")


def test_a_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Address.of("~/retina.odin").folder == str(tmp_path / "retina.odin")


def test_arrays_of_a_folder_may_stand_elsewhere(tmp_path: Path) -> None:
    address = Address.of(tmp_path / "retina.odin", arrays="s3://bucket/retina")
    assert address.arrays == "s3://bucket/retina"
    assert address.folder == str(tmp_path / "retina.odin")


def test_a_slash_at_the_end_of_an_address_makes_no_difference(tmp_path: Path) -> None:
    one, other = (Address.of(tmp_path / "a.odin", arrays=f"s3://bucket/retina{end}") for end in ("", "/"))
    assert one == other


def test_relative_arrays_of_a_folder_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query that travels to a process with another working folder finds them."""
    monkeypatch.chdir(tmp_path)
    assert Address.of("retina.odin", arrays="pixels").arrays == str(tmp_path / "pixels")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_server(scheme: str, tmp_path: Path) -> None:
    address = Address.of(
        None, graph=f"{scheme}://host:7687", arrays=tmp_path, user="ada", password=SECRET, database="d"
    )
    assert (address.graph, address.user, address.password, address.database) == (
        f"{scheme}://host:7687",
        "ada",
        SECRET,
        "d",
    )
    assert address.folder is None
    assert str(address) == f"{scheme}://host:7687 + {tmp_path}"


def test_the_environment_logs_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ODIN_GRAPH_USER", "ada")
    monkeypatch.setenv("ODIN_GRAPH_PASSWORD", SECRET)
    monkeypatch.setenv("ODIN_GRAPH_DATABASE", "scans")
    address = Address.of(None, graph="neo4j://host", arrays=tmp_path)
    assert (address.user, address.password, address.database) == ("ada", SECRET, "scans")
    said = Address.of(None, graph="neo4j://host", arrays=tmp_path, user="eve", password="other", database="d")
    assert (said.user, said.password, said.database) == ("eve", "other", "d")


def test_the_usual_user_is_neo4j(tmp_path: Path) -> None:
    address = Address.of(None, graph="neo4j://host", arrays=tmp_path)
    assert (address.user, address.password, address.database) == ("neo4j", None, None)


@pytest.mark.parametrize(
    ("path", "given", "message"),
    [
        (None, {}, 'Give a folder, connect("retina.odin")'),
        ("retina.odin", {"graph": "neo4j://host", "arrays": "a"}, "not both"),
        ("retina.odin", {"password": SECRET}, "are for a server given with graph="),
        ("retina.odin", {"user": "ada"}, "are for a server given with graph="),
        ("retina.odin", {"database": "d"}, "are for a server given with graph="),
        (
            None,
            {"graph": "http://host", "arrays": "a"},
            "'http://host' is not a graph address: write neo4j://host:7687",
        ),
        (None, {"graph": "host:7687", "arrays": "a"}, "'host:7687' is not a graph address: write neo4j://host:7687"),
        (None, {"graph": "neo4j://", "arrays": "a"}, "'neo4j://' is not a graph address: write neo4j://host:7687"),
        (None, {"graph": "", "arrays": "a"}, "'' is not a graph address: write neo4j://host:7687"),
        (None, {"graph": "neo4j://host:port", "arrays": "a"}, "'neo4j://host:port' is not a graph address"),
        (None, {"graph": "neo4j://host:99999", "arrays": "a"}, "'neo4j://host:99999' is not a graph address"),
        (None, {"graph": "neo4j://[::1", "arrays": "a"}, "'neo4j://[::1' is not a graph address"),
        (None, {"graph": "neo4j://host"}, "neo4j://host stores only the graph: say where to store pixels, "),
        (None, {"graph": f"neo4j://ada:{SECRET}@host", "arrays": "a"}, "A password in the address ends up in logs"),
        (None, {"graph": f"neo4j://:{SECRET}@host", "arrays": "a"}, "A password in the address ends up in logs"),
        (None, {"graph": f"http://ada:{SECRET}@host", "arrays": "a"}, "is not a graph address"),
        (None, {"graph": f"neo4j://ada:{SECRET}@", "arrays": "a"}, "is not a graph address"),
        (None, {"graph": f"neo4j://ada:{SECRET}@host:99999", "arrays": "a"}, "is not a graph address: write neo4j"),
        (None, {"graph": f"neo4j://ada:p@{SECRET}@@host:x", "arrays": "a"}, "is not a graph address"),
        (None, {"graph": f"neo4j://ada:{SECRET}://x@host:x", "arrays": "a"}, "is not a graph address"),
        (None, {"graph": f"ada:{SECRET}@host", "arrays": "a"}, "'***@host' is not a graph address"),
        (None, {"graph": "neo4j://host:0", "arrays": "a"}, "'neo4j://host:0' is not a graph address"),
        ("a.odin", {"arrays": f"s3://ada:{SECRET}@bucket/a"}, "Credentials in the address end up in logs"),
        (
            "a.odin",
            {"arrays": "http://bucket/a"},
            "'http://bucket/a' is not a place for arrays: write arrays=\"folder\"",
        ),
        ("a.odin", {"arrays": "s3:///a"}, "is not a place for arrays"),
        ("a.odin", {"arrays": "s3://bucket/a?endpoint_override=host"}, "is not a place for arrays"),
        ("", {}, "Give a folder"),
        (3, {}, "3 is not a folder"),
        (["retina.odin"], {}, "['retina.odin'] is not a folder"),
        (b"retina.odin", {}, "b'retina.odin' is not a folder"),
        ("", {"graph": "neo4j://host", "arrays": "a"}, "not both"),
    ],
)
def test_what_is_refused(path: Any, given: dict[str, str], message: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        Address.of(path, **given)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


def test_who_logs_in_makes_no_difference(tmp_path: Path) -> None:
    one, other = (
        Address.of(None, graph="neo4j://host", arrays=tmp_path, user=user, password=user) for user in ("ada", "eve")
    )
    assert one == other
    assert hash(one) == hash(other)
    assert one != Address.of(None, graph="neo4j://host", arrays=tmp_path, user="ada", database="d")


def test_a_password_is_not_shown_and_goes_into_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    address = Address.of(None, graph="neo4j://host", arrays=tmp_path, password=SECRET)
    data = pickle.dumps(address)
    assert SECRET.encode() not in data
    assert SECRET not in repr(address) + str(address)
    assert pickle.loads(data).password is None
    monkeypatch.setenv("ODIN_GRAPH_PASSWORD", "from the environment")
    held = pickle.loads(data)
    assert held == address
    assert held.password == "from the environment"


def _password(address: Address, answer: str) -> None:
    Path(answer).write_text(json.dumps(address.password))


def test_a_password_travels_to_a_process_that_is_spawned(tmp_path: Path) -> None:
    address = Address.of(None, graph="neo4j://host", arrays=tmp_path, password=SECRET)
    child = multiprocessing.get_context("spawn").Process(target=_password, args=(address, str(tmp_path / "answer")))
    child.start()
    child.join(timeout=60)
    assert json.loads((tmp_path / "answer").read_text()) == SECRET
