"""`og.connect` to the workspace of a test, and things in it, as a user would make them."""

from __future__ import annotations

from typing import Any

import numpy as np

import odin_graph as og
from odin_graph.address import Address
from tests.mnist import mnist


def connect(address: Address, **changed: Any) -> og.Workspace:
    """Connect by the public call; `changed` replaces arguments of it."""
    if address.folder is not None:
        return og.connect(**{"path": address.folder, "arrays": address.arrays, **changed})
    held = {name: getattr(address, name) for name in ("graph", "arrays", "user", "password", "database")}
    return og.connect(**{**held, **changed})


def as_server(db: og.Workspace, arrays: object) -> dict[str, Any]:
    """The arguments that reach the engine of a workspace as a server, which the embedded one is too."""
    return {
        "graph": db.bolt.address,
        "arrays": str(arrays),
        "user": db.bolt.user,
        "password": db.bolt.password,
        "database": db.bolt.database,
    }


def add_digits(db: og.Workspace, number: int = 20, prefix: str = "digit") -> None:
    """Real digits, of all ten classes as far as the number goes, labeled."""
    pixels, digits = mnist()
    chosen = np.arange(number) * (len(pixels) // number)
    db.images.add(
        images=pixels[chosen], labels=digits[chosen].tolist(), prefix=prefix, metadata={"n": list(range(number))}
    )
