"""Counters: each goes on above every number that was given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from odin_graph.catalog.doctor.checks.fault import Fault, shown
from odin_graph.stores import Stores

ONE: Final = {
    "image": "MATCH (i:Image) RETURN max(i.key) AS most",
    "label change": "MATCH (c:LabelChange) RETURN max(c.number) AS most",
}
"""The counters of the whole workspace, with the highest number in use."""
MANY: Final = {
    "checkpoints of ": ("Checkpoint", "/"),
    "predictions of ": ("PredictionSet", "/predictions/"),
    "experiment ": ("Experiment", "/"),
}
"""The counters of one owner each, by the beginning of their names: what they number, and what its id has between the
owner and the number."""
_SKIPPING: Final = "experiment "
"""A number that is taken is skipped: users give such ids too, so that the counter may be behind them."""
_INSTALLATION: Final = "workspace"
"""No counter: where processes meet that install the schema at once."""
_IDS: Final = "MATCH (n:{label}) RETURN n.id AS id"


def check_counters(stores: Stores) -> Iterator[Fault]:
    """Check that no counter can return a used number."""
    before = _counters(stores)
    owners = {row["id"] for label in ("Experiment", "Model") for row in stores.graph.read(_IDS.format(label=label))}
    counted = {name.removeprefix(prefix) for prefix in MANY for name in before if name.startswith(prefix)}
    if lost := sorted(counted - owners - {"run", "weights"}):
        yield Fault(
            "Experiment and Model nodes",
            f"{len(lost)} are gone from the graph, and what they made was counted: {shown(map(repr, lost))}.",
            "Restore the graph from a backup, and look for a client that changes nodes of ours.",
        )
    highest_used = _highest_used(stores, owners)
    counters = _counters(stores)  # after the numbers, which others take meanwhile
    for name in sorted({*highest_used, *counters} - {_INSTALLATION}):
        next_number, used = counters.get(name), highest_used.get(name, 0)
        if name.startswith(_SKIPPING):
            faulty = name in counters and (not isinstance(next_number, int) or next_number < 1)
        else:
            faulty = not isinstance(next_number, int) or next_number <= used
        if faulty:
            yield _late(stores, name, next_number, used + 1)


def _counters(stores: Stores) -> dict[str, Any]:
    rows = stores.graph.read("MATCH (c:Counter) WHERE c.id IS NOT NULL RETURN c.id AS id, c.next AS next")
    return {str(row["id"]): row["next"] for row in rows}


def _highest_used(stores: Stores, owners: set[Any]) -> dict[str, int]:
    """The highest number in use, by counter."""
    highest_used: dict[str, int] = {}
    for name, statement in ONE.items():
        (row,) = stores.graph.read(statement)
        if isinstance(row["most"], int):
            highest_used[name] = row["most"]
    for prefix, (label, between) in MANY.items():
        for row in stores.graph.read(_IDS.format(label=label)):
            owner, found, number = str(row["id"]).rpartition(between)
            if found and number.isdecimal() and (owner in owners or prefix == _SKIPPING):
                highest_used[prefix + owner] = max(highest_used.get(prefix + owner, 0), int(number))
    return highest_used


def _late(stores: Stores, name: str, next_number: object, least: int) -> Fault:
    def mend() -> str:
        stores.graph.write("MERGE (c:Counter {id: $id}) SET c.next = $next", {"id": name, "next": least})
        return f"The counter {name!r} goes on at {least}."

    found = "is missing" if next_number is None else f"goes on at {next_number}"
    return Fault(
        f"counter {name!r}",
        f"It {found}, and numbers up to {least - 1} were given.",
        "`odin doctor --repair` sets it above them.",
        mend,
    )
