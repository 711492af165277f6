"""A world that many tests only read stays as long as they do, and is put back after a test that wrote to it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import odin_graph as og
from tests.stored import filled

if TYPE_CHECKING:
    from odin_graph.address import Address
    from odin_graph.graph import Graph
    from odin_graph.stores import Stores

Fill = Callable[[Any], Any]
_fills: dict[tuple[str, str], Fill] = {}


def kept(fill: Fill) -> Any:
    """A fixture that fills the workspace of `db` or `stores`, whichever the function takes, unless it is still so.

    What the function returns is given to every test: nothing that hangs on a workspace, but the workspace itself.
    """
    (source,) = inspect.signature(fill).parameters

    def standing(engine: Any, address: Address, held: Any) -> Any:
        if engine.world is None:
            engine.world = World.of(fill, filled(held, fill), engine.graph, Path(address.arrays))
        return held if isinstance(engine.world.made, type(held)) else engine.world.made

    def of_db(engine: Any, address: Address, db: og.Workspace) -> Any:
        return standing(engine, address, db)

    def of_stores(engine: Any, address: Address, stores: Stores) -> Any:
        return standing(engine, address, stores)

    _fills[fill.__module__, fill.__name__] = fill
    return pytest.fixture({"db": of_db, "stores": of_stores}[source], name=fill.__name__)


def fill_of(request: pytest.FixtureRequest) -> Fill | None:
    """What fills the workspace of the test that asks."""
    module = request.module.__name__
    return next((_fills[module, name] for name in request.fixturenames if (module, name) in _fills), None)


@dataclass(frozen=True)
class World:
    """What is in an engine, and how it looked when it was made."""

    fill: Fill
    made: Any
    arrays: Path
    looks: tuple[Any, ...]

    @classmethod
    def of(cls, fill: Fill, made: Any, graph: Graph, arrays: Path) -> World:
        return cls(fill, made, arrays, _looks(graph, arrays))

    def stands(self, fill: Fill | None, graph: Graph) -> bool:
        """Whether it is that world, and nobody has written since, neither to the graph nor to the arrays."""
        return self.fill is fill and self.looks == _looks(graph, self.arrays)


def _looks(graph: Graph, arrays: Path) -> tuple[Any, ...]:
    files = sorted(
        (entry.path, entry.stat().st_mtime_ns, entry.stat().st_size)
        for folder, _, _ in os.walk(arrays)
        for entry in os.scandir(folder)
        if entry.is_file()
    )
    return graph.change_token(), *files
