"""Where a workspace is: queries pickle the address instead of a driver."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import get_spawning_popen
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from odin_graph.arguments import read_path
from odin_graph.errors import WorkspaceError

STORES = ("s3", "gs", "azure")
"""Object stores, by the schemes of their addresses."""
SCHEMES = ("bolt", "bolt+s", "bolt+ssc", "neo4j", "neo4j+s", "neo4j+ssc")


@dataclass(frozen=True, slots=True)
class Address:
    """A workspace folder with its embedded engine, or a Neo4j server and an arrays root.

    Two addresses are equal when they name the same workspace; who logs in makes no difference.
    """

    arrays: str
    """The arrays' root: a local folder, or ``s3://``, ``gs://``, ``azure://``."""
    folder: str | None = None
    """The workspace folder, when the engine is the embedded one."""
    graph: str | None = None
    """The server's Bolt address, when it is not."""
    database: str | None = None
    user: str | None = field(default=None, compare=False)
    password: str | None = field(default=None, compare=False, repr=False)

    def leads_to_same(self, other: object) -> bool:
        """Whether another address is of the same workspace, also where it names the folder by another path."""
        if self == other or not isinstance(other, Address) or self.folder is None or other.folder is None:
            return self == other
        with suppress(OSError):
            return Path(self.folder).samefile(other.folder)
        return self == other

    @classmethod
    def of(
        cls,
        path: str | os.PathLike[str] | None,
        *,
        graph: str | None = None,
        arrays: str | os.PathLike[str] | None = None,
        user: str | None = None,
        password: str | None = None,
        database: str | None = None,
    ) -> Address:
        """Read what a user gave to `connect`.

        Raises:
            WorkspaceError: Neither or both of a folder and a server, an unknown scheme, a secret in an address.
        """
        if (path is None) == (graph is None) or path == "":
            raise WorkspaceError(
                'Give a folder, connect("retina.odin"), for the embedded engine, '
                'or a server, connect(graph="neo4j://host", arrays="retina-arrays"); not both.'
            )
        if graph is None:
            if user or password or database:
                raise WorkspaceError("user=, password= and database= are for a server given with graph=.")
            if not isinstance(path, str | os.PathLike):
                raise WorkspaceError(f'{path!r:.80} is not a folder: give a path, connect("retina.odin").')
            folder = read_path("path", path).expanduser().resolve()
            return cls(arrays=_root(arrays) if arrays else str(folder / "arrays"), folder=str(folder))
        if not _is_bolt(graph):
            raise WorkspaceError(
                f"{_without_secret(graph)!r} is not a graph address: write neo4j://host:7687 ({', '.join(SCHEMES)})."
            )
        if "@" in graph:
            raise WorkspaceError(
                "A password in the address ends up in logs: give user= and password=, or ODIN_GRAPH_PASSWORD."
            )
        if arrays is None:
            raise WorkspaceError(
                f'{graph} stores only the graph: say where to store pixels, arrays="folder" or '
                'arrays="s3://bucket/prefix".'
            )
        return cls(
            arrays=_root(arrays),
            graph=graph,
            database=database or os.environ.get("ODIN_GRAPH_DATABASE"),
            user=user or os.environ.get("ODIN_GRAPH_USER") or "neo4j",
            password=password or os.environ.get("ODIN_GRAPH_PASSWORD"),
        )

    def __str__(self) -> str:
        """The address as a person writes it; never a password."""
        return self.folder or f"{self.graph} + {self.arrays}"

    def __getstate__(self) -> dict[str, Any]:
        """The password is pickled only for a process that multiprocessing spawns, never into a file."""
        state = {name: getattr(self, name) for name in ("arrays", "folder", "graph", "database", "user", "password")}
        if get_spawning_popen() is None:
            state["password"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore; a password that was not pickled comes from the environment."""
        if state["graph"] and state["password"] is None:
            state["password"] = os.environ.get("ODIN_GRAPH_PASSWORD")
        for name, value in state.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Remote:
    """A workspace that another machine serves with ``odin serve``. Two are equal when they name the same server."""

    url: str
    """``http://host:port`` or ``https://host:port``, without a slash at its end."""
    token: str | None = field(default=None, compare=False, repr=False)
    certificate: str | None = field(default=None, compare=False)
    """A file of the authority that vouches for the server, PEM; None for those that the system trusts."""

    @classmethod
    def of(cls, url: str, *, token: str | None = None, certificate: str | os.PathLike[str] | None = None) -> Self:
        """Read what a user gave to `connect`.

        Raises:
            WorkspaceError: It is no address of a server.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise WorkspaceError(f"{_without_secret(url)!r} is not an address of a server: write https://host:8000.")
        if "@" in parts.netloc:
            raise WorkspaceError("A secret in the address ends up in logs: give token=, or ODIN_GRAPH_TOKEN.")
        given = None if certificate is None else str(Path(os.fspath(certificate)).expanduser().resolve())
        return cls(url.rstrip("/"), token or os.environ.get("ODIN_GRAPH_TOKEN"), given)

    def leads_to_same(self, other: object) -> bool:
        """Whether another address is of the same workspace."""
        return self == other

    @staticmethod
    def means(path: object) -> bool:
        """Whether what was given to `connect` is the address of a server."""
        return isinstance(path, str) and path.startswith(("http://", "https://"))

    def __str__(self) -> str:
        return self.url

    def __getstate__(self) -> dict[str, Any]:
        """The token is pickled only for a spawned process, as a password is."""
        token = self.token if get_spawning_popen() is not None else None
        return {"url": self.url, "token": token, "certificate": self.certificate}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore; a token that was not pickled comes from the environment."""
        state["token"] = state["token"] or os.environ.get("ODIN_GRAPH_TOKEN")
        for name, value in state.items():
            object.__setattr__(self, name, value)


def _root(arrays: str | os.PathLike[str]) -> str:
    """The address of an object store unchanged; a folder as absolute path, valid from any working folder."""
    root = os.fspath(arrays)
    if "://" not in root:
        return str(Path(root).expanduser().resolve())
    parts = urlsplit(root)
    if "@" in parts.netloc:
        raise WorkspaceError(
            "Credentials in the address end up in logs: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile."
        )
    if parts.scheme not in STORES or not parts.netloc or parts.query or parts.fragment:
        raise WorkspaceError(
            f'{root!r} is not a place for arrays: write arrays="folder" or arrays="s3://bucket/prefix".'
        )
    return root.rstrip("/")


def _is_bolt(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        return False


def _without_secret(address: str) -> str:
    scheme = address[: address.find("://") + 3] if "://" in address else ""
    return f"{scheme}***@{address.rpartition('@')[2]}" if "@" in address else address
