"""What is refused, with 4xx and our own words: strangers, nonsense, and what would take all memory or time."""

from __future__ import annotations

import base64
import io
import json
import socket
import struct
import time
import zlib

import pytest
from fastapi.testclient import TestClient

import odin_graph as og
from odin_graph import F
from odin_graph.catalog.records.tokens import create_token, revoke_token, tokens
from odin_graph.cli.serve import check_listening
from odin_graph.errors import ConflictError, QueryError, UnknownNameError
from odin_graph.query.plan import wire
from odin_graph.query.plan.plan import AllImages, Plan
from odin_graph.query.plan.steps.where import Where
from odin_graph.server import Settings, create_app
from tests.server.serving import served

ALL = {"odin_query": 5, "source": {"source": "images"}, "steps": []}


def test_strangers_see_nothing(retina: og.Workspace, secret: str) -> None:
    with TestClient(create_app(retina), raise_server_exceptions=False) as stranger:
        for given in (None, "Bearer odin_wrong", "Bearer ", "Basic YTpi", f"bearer  {secret}x", "Bearer " + "x" * 9000):
            headers = {} if given is None else {"Authorization": given}
            for path in ("/v1/datasets", "/v1/images/scan000.png", "/v1/images/../../etc/passwd"):
                answer = stranger.get(path, headers=headers)
                assert answer.status_code in (401, 404), (given, path)
                assert "scan" not in answer.text
            answer = stranger.post("/v1/query", json={"query": ALL}, headers=headers)
            assert answer.status_code == 401
        assert stranger.get("/health").status_code == 200
        assert stranger.get("/ready").json() == {"status": "ready"}
        for_a_while = {"Authorization": f"Bearer {create_token(retina._stores, 'guest', 'write')}"}
        assert stranger.get("/v1/datasets", headers=for_a_while).status_code == 200
        revoke_token(retina._stores, "guest")
        assert stranger.get("/v1/datasets", headers=for_a_while).status_code == 401


def test_a_secret_is_kept_nowhere(retina: og.Workspace, secret: str) -> None:
    held = retina.cypher("MATCH (t:Token) RETURN properties(t) AS t")
    assert secret not in str(list(held))
    assert [(one.id, one.scope) for one in tokens(retina._stores)] == [("tests", "read")]
    with pytest.raises(ConflictError, match="a token 'tests' already"):
        create_token(retina._stores, "tests")
    with pytest.raises(UnknownNameError, match="no scope 'all'"):
        create_token(retina._stores, "b", "all")  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="no token 'nobody'"):
        revoke_token(retina._stores, "nobody")


def test_cypher_is_off_unless_it_is_allowed(retina: og.Workspace, secret: str) -> None:
    with TestClient(create_app(retina), headers={"Authorization": f"Bearer {secret}"}) as client:
        answer = client.post("/v1/cypher", json={"statement": "RETURN 1"})
        assert answer.status_code == 404
        assert (
            answer.json()["error"]["message"]
            == "This server does not answer Cypher: start it with `odin serve --cypher`."
        )


NAMES = [
    "' OR 1=1 //",
    "i`) DETACH DELETE n //",
    "../../../etc/passwd",
    "a\u0000b",
    "%00",
    "\ud7ff",
    "x" * 5000,
    "$p0",
    "{}",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_and_values_are_data(client: TestClient, retina: og.Workspace, name: str) -> None:
    before = len(retina.images())
    by_name = wire.to_json(Plan(AllImages(), (Where((F(name) == name).node),)))
    for body in (
        {"query": by_name},
        {"query": {**ALL, "source": {"source": "dataset", "dataset": name}}},
        {"query": ALL, "columns": [name]},
    ):
        assert client.post("/v1/query", json=body).status_code == 422
    by_value = retina.images().where(F("label") == name).to_json()
    found = client.post("/v1/query/count", json={"query": by_value})
    assert (found.status_code, found.json()) == (200, {"count": 0})
    for kind in ("images", "datasets", "models", "experiments"):
        path = "".join(f"%{byte:02x}" for byte in name.encode())
        assert client.get(f"/v1/{kind}/{path}").status_code in (404, 422)
    assert client.post("/v1/similar", json={"by": {"vectors": name}, "vector": [1.0]}).status_code == 422
    assert len(retina.images()) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"query": {}}',
        b'{"query": 3}',
        b'{"query": {"odin_query": 99, "source": {"source": "images"}}}',
        b'{"query": {"odin_query": 5, "source": {"source": "images"}, "steps": [{"step": "sample", "k": -1}]}}',
        b'{"query": {"odin_query": 5, "source": {"source": "keys", "keys": [1e999]}}}',
        b'{"vector": [NaN], "by": {"vectors": "a"}}',
        b"[" * 100_000,
        b'{"query":' * 5_000 + b"1" + b"}" * 5_000,
        b'{"query": {"a": "' + b"[" * 5_000 + b'"}}',
    ],
)
@pytest.mark.parametrize("path", ["/v1/query", "/v1/similar", "/v1/experiments/a/representative", "/v1/cypher"])
def test_nonsense_is_a_request_error(client: TestClient, path: str, body: bytes) -> None:
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text
    said = answer.json()["error"]
    assert said["message"]
    assert said["request_id"] == answer.headers["x-request-id"]


def test_vectors_that_are_none(client: TestClient, retina: og.Workspace) -> None:
    retina.vectors.add("line", retina.images(), [[float(n), 1.0] for n in range(len(retina.images()))])
    by = {"vectors": "line"}
    for vector in ("[1, NaN]", "[1, Infinity]", "[1e400, 1]", "[1]", "[]", '["a", 1]', "null"):
        content = f'{{"by": {json.dumps(by)}, "vector": {vector}}}'
        answer = client.post("/v1/similar", content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, vector
    for k in (0, -1, 10**9, 1.5):
        assert client.post("/v1/similar", json={"by": by, "vector": [1.0, 2.0], "k": k}).status_code == 422
    assert len(client.post("/v1/similar", json={"by": by, "vector": [1.0, 2.0], "k": 5000}).json()["rows"]) == len(
        retina.images()
    )


def bomb(side: int) -> bytes:
    """A PNG of a few kilobytes that unpacks to side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(side + 1)) for _ in range(64)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_a_picture_that_unpacks_to_gigabytes(client: TestClient) -> None:
    data = bomb(60_000)
    assert len(data) < 1 << 20
    body = {"file": base64.b64encode(data).decode(), "by": {"experiment": "small-cnn/1", "layer": "features"}}
    answer = client.post("/v1/similar", json=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (422, "UnreadableImageError")
    for file in ("", "!!!", base64.b64encode(b"GIF89a").decode()):
        assert client.post("/v1/similar", json={**body, "file": file}).status_code == 422


def test_an_answer_that_takes_too_long(retina: og.Workspace, secret: str) -> None:
    long = (
        "UNWIND range(1, 30000) AS a UNWIND range(1, 30000) AS b WITH a, b WHERE a * b % 7919 = 3 RETURN count(*) AS n"
    )
    app = create_app(retina, Settings(cypher=True, seconds=1.0))
    with TestClient(app, headers={"Authorization": f"Bearer {secret}"}) as client:
        answer = client.post("/v1/cypher", json={"statement": long})
    assert (answer.status_code, answer.json()["error"]["type"]) == (408, "TimeLimitError")
    running = retina._stores.graph.read("SHOW TRANSACTIONS YIELD currentQuery")
    assert not [row for row in running if "range(1, 30000)" in (row["currentQuery"] or "")]


def talk(port: int, head: str, body: bytes = b"", *, wait: float = 30) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=wait) as line:
        line.sendall(head.replace("\n", "\r\n").encode() + body)
        try:
            return line.recv(65_536)
        except ConnectionResetError:
            return b""


def test_a_body_that_is_huge_or_never_ends(retina: og.Workspace, secret: str) -> None:
    """A user's body is bounded in size and time; a stranger's is not read at all."""
    with served(retina, Settings(body_bytes=10_000, body_seconds=1.0)) as port:
        stranger = f"POST /v1/query HTTP/1.1\nHost: localhost:{port}\nContent-Type: application/json\n"
        assert b" 401 " in talk(port, f"{stranger}Content-Length: 1000000000\n\n")
        assert b" 401 " in talk(port, f"{stranger}Transfer-Encoding: chunked\n\n", b"1\r\n{")
        start = f"{stranger}Authorization: Bearer {secret}\n"
        assert b" 413 " in talk(port, f"{start}Content-Length: 1000000000\n\n")
        assert b" 413 " in talk(port, f"{start}Transfer-Encoding: chunked\n\n", b"2af8\r\n" + bytes(11_000) + b"\r\n")
        assert b" 408 " in talk(port, f"{start}Content-Length: 9000\n\n", b"{")
        assert b" 400 " in talk(port, f"{start}Content-Length: -5\n\n")
        assert b" 401 " in talk(port, f"GET /v1/datasets HTTP/1.1\nHost: localhost:{port}\n\n")


def test_the_server_answers_no_more_than_it_may(retina: og.Workspace, secret: str) -> None:
    """Who comes to a full server is told to come again; its health is told to everybody."""
    user = f"Authorization: Bearer {secret}\n"
    with served(retina, Settings(concurrency=1, body_seconds=5.0)) as port:
        start = f"POST /v1/query HTTP/1.1\nHost: localhost:{port}\nContent-Type: application/json\n{user}"
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(f"{start}Content-Length: 9000\n\n".replace("\n", "\r\n").encode())
            time.sleep(0.3)
            assert b" 200 " in talk(port, f"GET /health HTTP/1.1\nHost: localhost:{port}\n\n")
            busy = talk(port, f"GET /v1/datasets HTTP/1.1\nHost: localhost:{port}\n{user}\n")
            assert b" 429 " in busy
            assert b"retry-after: 1" in busy.lower()
        deadline = time.monotonic() + 10
        while b" 200 " not in talk(port, f"GET /v1/datasets HTTP/1.1\nHost: localhost:{port}\n{user}\n"):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_request_ids_are_the_clients_where_they_are_sane(client: TestClient) -> None:
    assert client.get("/health", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    for given in ("a b", "x" * 65, "a\tb", ""):
        assert len(client.get("/health", headers={"X-Request-ID": given}).headers["x-request-id"]) == 32


def test_listening_elsewhere_needs_tls_or_a_word() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.9"):
        check_listening(host, tls=False, insecure=False)
    for host in ("0.0.0.0", "::", "10.0.0.4", "example.org"):
        with pytest.raises(QueryError, match=r"give --certificate and --key, or say --insecure"):
            check_listening(host, tls=False, insecure=False)
        check_listening(host, tls=True, insecure=False)
        check_listening(host, tls=False, insecure=True)


def test_bodies_with_brackets_in_texts_are_not_deep(client: TestClient) -> None:
    out = io.StringIO()
    json.dump({"query": wire.to_json(Plan(AllImages(), (Where((F("label") == "[" * 500).node),)))}, out)
    answer = client.post("/v1/query", content=out.getvalue(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 200
