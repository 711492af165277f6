"""Has the graph changed? A token that is equal only while nobody, we or a foreign client, has written."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass

from odin_graph.errors import UnreachableError
from odin_graph.graph.counting import COUNTERS, PROFILED, CounterClient, Counts
from odin_graph.graph.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class ChangeToken:
    """Equal tokens: nothing was written in between. Different ones: something may have been."""

    generation: str
    """Names a life of the counters: an unclean stop begins a new one."""
    counters: Counts | str
    """ArcadeDB's counters, or Neo4j's bookmark."""

    @property
    def writes(self) -> int | None:
        """Transactions that have written, of anybody; None where the engine does not tell.

        A name of a property that is new is one more on Neo4j.
        """
        if isinstance(self.counters, str):
            return _last_transaction(self.counters)
        if len(self.counters) != len(COUNTERS):
            return None
        return self.counters[COUNTERS.index("writeTx")] - self.counters[COUNTERS.index("names")]

    def __str__(self) -> str:
        """A text that is safe in a file name."""
        counters = self.counters if isinstance(self.counters, str) else "-".join(map(str, self.counters))
        return f"{self.generation}.{counters}".replace("/", "_").replace(":", "_").replace("=", "_")


def _last_transaction(bookmark: str) -> int | None:
    """The number of the last transaction in a bookmark of Neo4j: ``FB:`` and, in PackStream, [[store id, number], []].

    Neo4j numbers the transactions that wrote without a gap. A bookmark of another form gives None.
    """
    try:
        packed = base64.b64decode(bookmark.removeprefix("FB:"), validate=True)
    except ValueError:
        return None
    if not bookmark.startswith("FB:") or packed[:3] != _STORE_ID or packed[-1:] != _NO_MORE:
        return None
    number = packed[3 + _STORE_ID[2] : -1]
    size = _INTEGERS.get(number[:1])
    if size is None:
        return number[0] if len(number) == 1 and number[0] <= _TINY else None
    return int.from_bytes(number[1:], "big", signed=True) if len(number) == 1 + size else None


_STORE_ID = b"\x91\xcc\x10"
"""A list of one, and in it 16 bytes."""
_NO_MORE = b"\x90"
_INTEGERS = {b"\xc8": 1, b"\xc9": 2, b"\xca": 4, b"\xcb": 8}
"""Bytes of an integer, by the byte before it."""
_TINY = 0x7F


def embedded_token(endpoint: Endpoint, client: CounterClient | None) -> ChangeToken:
    """The token of the embedded engine, which sends no bookmarks.

    Args:
        endpoint: The engine's.
        client: Of its keeper's socket; None asks the engine over HTTP.

    Raises:
        UnreachableError: The engine does not answer.
    """
    try:
        now = counters_over_http(endpoint) if client is None else client.read()
    except OSError as error:
        raise UnreachableError(f"The embedded engine at {endpoint.http} does not answer: {error}") from error
    return ChangeToken(
        endpoint.generation, tuple(base + count for base, count in zip(endpoint.counted, now, strict=False))
    )


def counters_over_http(endpoint: Endpoint) -> Counts:
    """The engine's counters since it started, read over HTTP, which has no count of names.

    Raises:
        OSError: It does not answer.
    """
    login = base64.b64encode(f"{endpoint.user}:{endpoint.password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the address is the keeper's own, on loopback
        f"{endpoint.http}/api/v1/server?mode=default", headers={"Authorization": f"Basic {login}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        profiler = json.load(answer)["metrics"]["profiler"]
    return tuple(int(profiler[name]["count"]) for name in PROFILED)
