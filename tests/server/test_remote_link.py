"""A server from far away: tokens, TLS, time limits, and what happens if it is busy, gone, or another one."""

from __future__ import annotations

import pickle
import socket
import threading
from collections import deque
from pathlib import Path
from typing import Any

import pytest
import trustme

import odin_graph as og
from odin_graph import F
from odin_graph.address import Remote
from odin_graph.catalog.records.tokens import create_token, revoke_token
from odin_graph.objects.query.query import Query
from odin_graph.query.plan.plan import AllImages, Members, Plan
from odin_graph.server import Settings
from tests.server.serving import cut_after, served

pytestmark = pytest.mark.one_engine  # a connection to a server, whatever its graph is in


def test_a_query_pickles_without_the_token(far: og.Workspace, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    query = far.images().where(F("age") > 40)
    data = pickle.dumps(query)
    assert secret.encode() not in data
    assert secret not in repr(query.address)
    lonely = pickle.loads(data)
    with pytest.raises(og.LoginError, match="refuses the token"):
        lonely.count()
    monkeypatch.setenv("ODIN_GRAPH_TOKEN", secret)
    assert pickle.loads(data).count() == query.count()


def test_a_token_that_reads_computes_nothing(retina: og.Workspace, port: int, secret: str) -> None:
    writer = create_token(retina._stores, "writer", "write")
    url = f"http://127.0.0.1:{port}"
    before = len(retina.activations)

    def near(db: og.Workspace) -> Any:
        layer = db.experiment("small-cnn/1").layer("features", pooling="max")
        return db.images("retina-test").nearest("scan003.png", by=layer, k=3).to_arrow("id")

    with og.connect(url, token=secret) as reading, pytest.raises(og.ReadOnlyError, match="not stored yet"):
        near(reading)
    assert len(retina.activations) == before
    with og.connect(url, token=writer) as writing:
        found = near(writing)
    assert len(retina.activations) == before + 1
    with og.connect(url, token=secret) as reading:
        assert near(reading).equals(found)
    revoke_token(retina._stores, "writer")


def test_cypher_as_a_source_is_off_where_cypher_is(retina: og.Workspace, secret: str) -> None:
    with served(retina, Settings()) as port, og.connect(f"http://127.0.0.1:{port}", token=secret) as far:
        hidden = far.images(cypher="MATCH (i:Image) RETURN i")
        for query in (hidden, far.images().intersection, far.models().using):
            with pytest.raises(og.ReadOnlyError, match="odin serve --cypher"):
                query(hidden) if callable(query) else query.count()
        with pytest.raises(og.ReadOnlyError, match="odin serve --cypher"):
            far.cypher("RETURN 1")


def test_a_server_that_goes_away_in_mid_stream(retina: og.Workspace, port: int, secret: str) -> None:
    whole = len(retina.images())
    batches: list[Any] = []
    with cut_after(port, 8_000) as cut:
        far = Query(Remote.of(f"http://127.0.0.1:{cut}", token=secret), Plan(AllImages()))
        with pytest.raises(og.UnreachableError) as caught:
            deque(map(batches.append, far.to_batches(batch_size=10)))
    assert 0 < sum(batch.num_rows for batch in batches) < whole
    assert "stopped before" in str(caught.value) or "cut short" in str(caught.value)
    with pytest.raises(og.UnreachableError, match="is `odin serve` running there"):
        far.count()  # nobody listens any more


@pytest.mark.parametrize("limit", [1, 200, 400, 900, 2_000, 5_000])
def test_no_cut_gives_a_part_of_an_answer(port: int, secret: str, limit: int) -> None:
    with cut_after(port, limit) as cut:
        far = Query(Remote.of(f"http://127.0.0.1:{cut}", token=secret), Plan(Members("retina-test@1")))
        with pytest.raises(og.UnreachableError):
            far.to_arrow()


def test_a_busy_server_is_asked_again(retina: og.Workspace, secret: str) -> None:
    settings = Settings(concurrency=1, body_seconds=1.5)
    with served(retina, settings) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        head = f"POST /v1/query HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {secret}\r\nContent-Length: 90\r\n\r\n"
        slow.sendall(head.encode())
        with og.connect(f"http://127.0.0.1:{port}", token=secret) as far:
            assert far.images().count() == len(retina.images())


def test_time_limits_travel(far: og.Workspace) -> None:
    long = "UNWIND range(1, 30000) AS a UNWIND range(1, 30000) AS b WITH a, b WHERE a * b % 7919 = 3 RETURN count(*)"
    with pytest.raises(og.TimeLimitError, match="takes longer than 1 s"):
        far.cypher(long, timeout=1)


def test_addresses_and_servers_that_are_none(port: int, secret: str, retina: og.Workspace) -> None:
    for url, message in (
        ("http://", "is not an address of a server"),
        ("http://a:hunter2@b", "ends up in logs"),
        ("https://host/?x=1", "is not an address of a server"),
    ):
        with pytest.raises(og.WorkspaceError, match=message) as caught:
            og.connect(url, token="odin_x")
        assert "hunter2" not in str(caught.value)
    with pytest.raises(og.LoginError, match="refuses the token"):
        og.connect(f"http://127.0.0.1:{port}", token="odin_wrong")
    with pytest.raises(og.UnreachableError, match="is `odin serve` running there"):
        og.connect("http://127.0.0.1:9", token=secret)
    with pytest.raises(og.WorkspaceError, match="pass only token="):
        og.connect(f"http://127.0.0.1:{port}", arrays="there")
    with pytest.raises(og.WorkspaceError, match="are for a server"):
        og.connect("folder.odin", token=secret)
    with OtherServer() as other, pytest.raises(og.UnreachableError, match="not as `odin serve` does"):
        og.connect(f"http://127.0.0.1:{other}", token=secret)


def test_tls(retina: og.Workspace, secret: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    held = authority.issue_cert("localhost", "127.0.0.1")
    chain, key, ca = tmp_path / "chain.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    held.private_key_pem.write_to_path(str(key))
    for number, blob in enumerate(held.cert_chain_pems):
        blob.write_to_path(str(chain), append=number > 0)
    authority.cert_pem.write_to_path(str(ca))
    with served(retina, Settings(), ssl_certfile=str(chain), ssl_keyfile=str(key)) as port:
        url = f"https://localhost:{port}"
        with og.connect(url, token=secret, certificate=ca) as far:
            assert far.images().count() == len(retina.images())
        with pytest.raises(og.UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            og.connect(url, token=secret)


class OtherServer:
    """Something that speaks HTTP, and is not ours."""

    def __enter__(self) -> int:
        from http.server import BaseHTTPRequestHandler, HTTPServer

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = b"<html>hello</html>"
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Page)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return int(self._server.server_address[1])

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
