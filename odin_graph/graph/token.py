"""Has the graph changed? A token that is equal only while nobody, we or a foreign client, has written."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Final

from odin_graph.errors import UnreachableError
from odin_graph.graph.endpoint import Endpoint

COUNTERS: Final = ("createRecord", "updateRecord", "deleteRecord")
"""ArcadeDB's counters that change on writes, and only on writes."""


@dataclass(frozen=True, slots=True)
class ChangeToken:
    """Equal tokens: nothing was written in between. Different ones: something may have been."""

    generation: str
    """Names a life of the counters: an unclean stop begins a new one."""
    counters: tuple[int, ...] | str
    """ArcadeDB's record counters, or Neo4j's bookmark."""

    def __str__(self) -> str:
        """A name that can stand in a file name."""
        counters = self.counters if isinstance(self.counters, str) else "-".join(map(str, self.counters))
        return f"{self.generation}.{counters}".replace("/", "_").replace(":", "_").replace("=", "_")


def record_counters(endpoint: Endpoint) -> tuple[int, ...]:
    """What the embedded engine has created, updated and deleted since it started."""
    login = base64.b64encode(f"{endpoint.user}:{endpoint.password}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the address is the keeper's own, on loopback
        f"{endpoint.http}/api/v1/server?mode=default", headers={"Authorization": f"Basic {login}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            profiler = json.load(answer)["metrics"]["profiler"]
    except (urllib.error.URLError, ConnectionError) as error:
        raise UnreachableError(f"The embedded engine at {endpoint.http} does not answer: {error}") from error
    return tuple(int(profiler[name]["count"]) for name in COUNTERS)


def embedded_token(endpoint: Endpoint) -> ChangeToken:
    """The token of the embedded engine, which sends no bookmarks."""
    counted = zip(endpoint.counted, record_counters(endpoint), strict=True)
    return ChangeToken(endpoint.generation, tuple(base + now for base, now in counted))
