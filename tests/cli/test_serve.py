"""`odin token` and `odin serve`, as a user runs them."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

import odin_graph as og
from odin_graph.cli.app import app
from odin_graph.server import Settings
from tests.cli.test_cli import assert_one_sentence, holding, odin
from tests.workspaces import add_digits

pytestmark = pytest.mark.starts_engine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "digits.odin"
    with og.connect(path) as db:
        add_digits(db, 20)
    return path


@pytest.mark.parametrize("flags", [[], ["--trust-source"], ["--cypher"]], ids=str)
def test_what_a_flag_allows_reaches_the_server(folder: Path, flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Settings] = []

    def create(_: og.Workspace, settings: Settings) -> None:
        made.append(settings)
        raise og.QueryError("enough was seen")

    monkeypatch.setattr("odin_graph.server.create_app", create)
    assert CliRunner().invoke(app, ["serve", str(folder), "--port", "0", *flags]).exit_code
    (settings,) = made
    assert (settings.trust_source, settings.cypher) == ("--trust-source" in flags, "--cypher" in flags)


def test_a_token_serves_until_it_is_revoked(folder: Path) -> None:
    made = odin("token", "create", folder, "--name", "anna")
    token = made.stdout.strip()
    assert (made.returncode, token.startswith("odin_")) == (0, True)
    listed = odin("token", "list", folder).stdout
    assert re.fullmatch(r"anna  read  made \d{4}-\d\d-\d\d \d\d:\d\d UTC\n", listed)
    assert token not in listed
    with holding("serve", folder, "--port", "0") as server:
        assert server.stderr is not None
        said = server.stderr.readline()
        url = said.partition("/docs")[0]
        assert said == f"{url}/docs describes the API. Ctrl-C stops it.\n"
        assert httpx.get(f"{url}/docs").status_code == 200
        with og.connect(url, token=token) as far:
            assert len(far.images) == 20
            assert odin("token", "revoke", "--name", "anna", folder).stdout == "Revoked anna.\n"
            with pytest.raises(og.LoginError):
                len(far.images)
        server.send_signal(signal.SIGINT)
        out, err = server.communicate(timeout=30)
        assert (server.returncode, out, err) == (0, "", "")


def test_what_cannot_be_served(folder: Path, tmp_path: Path) -> None:
    assert_one_sentence(odin("serve", folder, "--host", "0.0.0.0"), "is reached from elsewhere", "--insecure")
    assert_one_sentence(odin("serve", folder, "--certificate", "a.pem"), "TLS takes both")
    assert_one_sentence(odin("serve", folder, "--certificate", "a.pem", "--key", "b.pem"), "no file a.pem")
    assert_one_sentence(odin("serve", tmp_path / "nothing.odin", "--port", "0"), "There is no workspace at")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_one_sentence(
            odin("serve", folder, "--port", str(port)), f"port {port} (Address already in use)", "--port"
        )
    assert_one_sentence(odin("token", "create", folder, "--scope", "all"), "no scope 'all'", "read, write")
    assert_one_sentence(odin("token", "revoke", folder, "--name", "nobody"), "no token 'nobody'")
