"""What strangers and users can do to a server, done to a real one over real sockets: it lives and stays small.

Each attack stands while `/health` is asked, and is bounded in number and time. Memory is the peak of the server's
process, as a ratio to what it takes when it has answered the same kinds of requests once.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import Popen

import httpx
import numpy as np
import pytest

import odin_graph as og
from tests.cli.test_cli import holding, odin

RATIO = 1.3
MANY = 300
SECONDS = 8
"""In which `/health` answers whatever goes on: no measure of speed, but far less than one body once kept it waiting."""
ALL = {"odin_query": 5, "source": {"source": "images"}, "steps": []}


@dataclass(frozen=True)
class Served:
    """A server in a process of its own."""

    process: Popen[str]
    port: int
    token: str
    quiet: int
    """Bytes that it takes when it has answered everything once."""

    def peak(self) -> int:
        """Bytes that its process has taken at most."""
        said = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+)", said)
        assert found is not None
        return int(found[1]) << 10

    def forget_peak(self) -> None:
        """Measure from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def line(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def head(self, *more: str, token: bool, path: str = "/v1/query") -> bytes:
        lines = [f"POST {path} HTTP/1.1", "Host: a", "Content-Type: application/json", *more]
        if token:
            lines.append(f"Authorization: Bearer {self.token}")
        return "\r\n".join([*lines, "", ""]).encode()

    def asked(self, data: bytes) -> int:
        """The status of the answer to what is sent, which need not be taken whole."""
        with self.line() as line:
            with suppress(ConnectionError, TimeoutError):
                line.sendall(data)
            return status_of(line)

    def healthy(self) -> bool:
        return httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=SECONDS).status_code == 200


def status_of(line: socket.socket) -> int:
    """0 where the line was closed without an answer."""
    try:
        said = line.recv(64)
    except (ConnectionError, TimeoutError):
        return 0
    found = re.match(rb"HTTP/1.1 (\d+)", said)
    return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("attacked") / "w.odin"
    rng = np.random.default_rng(0)
    with og.connect(folder) as db:
        n = 3000
        db.images.add(
            images=rng.integers(0, 255, (n, 8, 8), np.uint8),
            metadata={"note": ["n" * 200] * n, "age": list(range(n))},
            progress=False,
        )
        db.images.add(images=rng.integers(0, 255, (1, 3000, 3000), np.uint8), ids=["large"], progress=False)
    token = odin("token", "create", folder).stdout.strip()
    with holding("serve", folder, "--port", "0", "--cypher") as process:
        assert process.stderr is not None
        found = re.search(r":(\d+)/docs", process.stderr.readline())
        assert found is not None
        held = Served(process, int(found[1]), token, 0)
        with httpx.Client(
            base_url=f"http://127.0.0.1:{held.port}", headers={"Authorization": f"Bearer {token}"}, timeout=60
        ) as client:
            for _ in range(3):  # what it loads at the first use is no attack
                assert client.post("/v1/query", json={"query": ALL, "limit": 10_000}).status_code == 200
                assert client.get("/v1/images/large/pixels").status_code == 200
                assert client.post(
                    "/v1/cypher", json={"statement": "MATCH (i:Image) RETURN i.note LIMIT 9000"}
                ).is_success
        held.forget_peak()
        yield replace(held, quiet=held.peak())


def json_body(served: Served, body: bytes, *, token: bool) -> Callable[[], int]:
    return lambda: served.asked(served.head(f"Content-Length: {len(body)}", token=token) + body)


SIZE = (16 << 20) - 100
BODIES: dict[str, Callable[[], bytes]] = {
    "one long text": lambda: b'"' + b"a" * SIZE + b'"',
    "a text of wide characters": lambda: ('"' + "\U0001f600" * (SIZE // 4) + '"').encode(),
    "a long text with one wide character": lambda: b'"' + b"a" * SIZE + b'\\ud83d\\ude00"',
    "an open text": lambda: b'"' + b"\\" * SIZE,
    "deep lists": lambda: b"[" * SIZE,
    "deep objects": lambda: b'{"a":' * (SIZE // 5),
    "a wide list": lambda: b"[" + b"1," * (SIZE // 2) + b"1]",
    "empty lists": lambda: b"[" + b"[]," * (SIZE // 3) + b"1]",
    "many keys": lambda: b"{" + b",".join(b'"%d":1' % n for n in range(1_000_000)) + b"}",
    "an integer of many digits": lambda: b'{"limit":' + b"9" * 100_000 + b"}",
    "an integer of all digits": lambda: b'{"limit":' + b"9" * (SIZE - 20) + b"}",
    "huge exponents": lambda: b"[" + b",".join([b"1e999999"] * 200_000) + b"]",
    "many short texts": lambda: b'{"query": {"a": [' + b",".join(b'"%06d"' % n for n in range(240_000)) + b"]}}",
    "a file of zeros in base64": lambda: (
        b'{"by": {"vectors": "a"}, "file": "' + b"A" * (SIZE - 50 - (SIZE - 50) % 4) + b'"}'
    ),
}


@pytest.mark.parametrize("token", [False, True], ids=["stranger", "user"])
@pytest.mark.parametrize("name", BODIES)
def test_bodies(served: Served, name: str, token: bool) -> None:
    """A body is refused or read within bounds, by strangers not at all."""
    path = "/v1/similar" if "file" in name else "/v1/query"
    body = BODIES[name]()
    served.forget_peak()
    data = served.head(f"Content-Length: {len(body)}", token=token, path=path) + body
    for _ in range(3):
        status = served.asked(data)
        assert status in ((400, 413, 422) if token else (401,)), status
        assert served.healthy()
    assert served.peak() <= RATIO * served.quiet


def held_lines(served: Served, data: bytes, many: int = MANY) -> Iterator[socket.socket]:
    for _ in range(many):
        line = served.line()
        with suppress(ConnectionError):
            line.sendall(data)
        yield line


SLOW: dict[str, Callable[[Served, bool], bytes]] = {
    "nothing": lambda served, token: b"",
    "half a first line": lambda served, token: b"GET /hea",
    "half a header": lambda served, token: b"GET / HTTP/1.1\r\nHost:",
    "headers without end": lambda served, token: b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 4000,
    "half a body": lambda served, token: served.head("Content-Length: 100000", token=token) + b"{",
    "most of a large body": lambda served, token: (
        served.head("Content-Length: 16000000", token=token) + b'"' + b"a" * 1_000_000
    ),
    "a chunk": lambda served, token: served.head("Transfer-Encoding: chunked", token=token) + b"5\r\n{",
    "small chunks": lambda served, token: (
        served.head("Transfer-Encoding: chunked", token=token) + b"1\r\n \r\n" * 20_000
    ),
    "requests ahead": lambda served, token: b"GET /v1/datasets HTTP/1.1\r\nHost: a\r\n\r\n" * 5_000,
    "requests ahead of none": lambda served, token: b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 5_000,
}


@pytest.mark.parametrize("token", [False, True], ids=["stranger", "user"])
@pytest.mark.parametrize("name", SLOW)
def test_slow_clients(served: Served, name: str, token: bool) -> None:
    """Those who send a part and wait, many at once, keep nobody from an answer, and are let go."""
    served.forget_peak()
    data = SLOW[name](served, token)
    many = 60 if len(data) > 50_000 else MANY
    with ExitStack() as held:
        lines = []
        for _ in range(many):
            line = held.enter_context(served.line())
            line.settimeout(0.5)
            with suppress(ConnectionError, TimeoutError):
                line.sendall(data)
            lines.append(line)
            if len(lines) % 50 == 0:
                assert served.healthy()
        for _ in range(5):
            assert served.healthy()
        assert served.peak() <= RATIO * served.quiet


def test_half_a_request_is_let_go(served: Served) -> None:
    """Who does not finish the headers in time is closed."""
    with served.line() as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost:")
        line.settimeout(40)
        assert line.recv(10) == b""


def test_more_connections_than_there_may_be(served: Served) -> None:
    """The server closes who has waited longest, and answers who asks."""
    with ExitStack() as held:
        lines = [held.enter_context(served.line()) for _ in range(700)]
        assert served.healthy()
        closed = 0
        for line in lines[:100]:
            line.settimeout(1)
            with suppress(TimeoutError):
                closed += status_of(line) == 0
        assert closed == 100
        assert served.healthy()


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: %s\r\n" % (n, b"v" * 100) for n in range(2000)) + b"\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + b"c" * 1_000_000 + b"\r\n\r\n", {400, 0}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", {400}),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 404, 405}),
        (b"GET /health HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
        (b"POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", {400}),
        (b"POST /v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", {400}),
    ],
)
def test_what_is_no_sane_request(served: Served, data: bytes, statuses: set[int]) -> None:
    """It is refused as such, with the headers of every answer."""
    with served.line() as line:
        with suppress(ConnectionError):
            line.sendall(data)
        try:
            said = line.recv(4096)
        except ConnectionError:
            said = b""
    status = int(said.split(b" ")[1]) if said else 0
    assert status in statuses, said
    assert not said or b"nosniff" in said
    assert served.healthy()


def test_bodies_without_end(served: Served) -> None:
    """A chunked body that never ends is cut off, for a stranger before it is looked at."""
    for token, statuses in ((False, {401}), (True, {413})):
        served.forget_peak()
        with served.line() as line:
            line.sendall(served.head("Transfer-Encoding: chunked", token=token))
            sent = 0
            with suppress(ConnectionError, TimeoutError):
                while sent < 64 << 20:
                    line.sendall(b"10000\r\n" + b"a" * 65536 + b"\r\n")
                    sent += 65536
            assert sent < 64 << 20
            assert status_of(line) in statuses | {0}
        assert served.healthy()
        assert served.peak() <= RATIO * served.quiet


def test_compressed_bodies_are_refused(served: Served) -> None:
    """A body that would unpack to more than it is is not unpacked."""
    import gzip

    body = gzip.compress(b'{"a": "' + b"a" * (64 << 20) + b'"}')
    for encoding in ("gzip", "deflate", "br", "gzip, gzip"):
        head = served.head(f"Content-Length: {len(body)}", f"Content-Encoding: {encoding}", token=True)
        assert served.asked(head + body) == 415


def test_slow_readers_of_large_answers(served: Served) -> None:
    """Answers that nobody takes are not piled up."""
    served.forget_peak()
    body = json.dumps({"query": ALL, "limit": 10_000}).encode()
    page = served.head(f"Content-Length: {len(body)}", token=True) + body
    pixels = f"GET /v1/images/large/pixels HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {served.token}\r\n\r\n".encode()
    with ExitStack() as held:
        for n in range(60):
            line = socket.socket()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.connect(("127.0.0.1", served.port))
            held.enter_context(line)
            line.sendall(pixels if n % 4 == 0 else page)
        for _ in range(10):
            assert served.healthy()
            time.sleep(0.3)
    assert served.peak() <= RATIO * served.quiet


def test_many_large_queries_at_once(served: Served) -> None:
    """As many as the server takes are answered, the others told to come again; it stays small."""
    served.forget_peak()
    body = json.dumps({"query": ALL, "limit": 10_000}).encode()
    rows = json.dumps({"statement": "UNWIND range(1, 9000) AS n RETURN n, toString(n) + 'abcdefghij' AS t"}).encode()
    data = [
        served.head(f"Content-Length: {len(body)}", token=True) + body,
        served.head(f"Content-Length: {len(rows)}", token=True, path="/v1/cypher") + rows,
    ]
    with ExitStack() as held:
        lines = [held.enter_context(served.line()) for _ in range(80)]
        for n, line in enumerate(lines):
            line.sendall(data[n % 2])
        for _ in range(5):
            assert served.healthy()
        statuses = {status_of(line) for line in lines}
    assert statuses <= {200, 429}, statuses
    assert 200 in statuses
    assert served.peak() <= RATIO * served.quiet


def test_rows_of_cypher_are_bounded(served: Served) -> None:
    """An answer of more rows than a page is refused before all of them are here."""
    body = json.dumps({"statement": "UNWIND range(1, 1000000) AS n RETURN n"}).encode()
    with served.line() as line:
        lines = f"Content-Length: {len(body)}", "Connection: close"
        line.sendall(served.head(*lines, token=True, path="/v1/cypher") + body)
        with line.makefile("rb") as answer:  # in as many pieces as it comes
            said = answer.read()
    assert b" 422 " in said.partition(b"\r\n")[0]
    assert b"LIMIT" in said
