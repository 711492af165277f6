"""kill -9 while units are stored: what was named stays, nothing half is seen, the same call goes on and completes."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from odin_graph.address import Address
from odin_graph.catalog.activations.unit_sets import UnitSet, unit_sets
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.purge.gc import collect_garbage
from odin_graph.runtime.passes.rerun import Rerun
from odin_graph.stores import Stores
from tests.crash.jobs import RAN, WANTS, materialize_some, read_acknowledged
from tests.crash.killing import running, wait_for_a_moment
from tests.crash.test_kill_user import acknowledged, assert_sound, chance
from tests.runtime.digits import add_digits, add_trained

__all__ = ["acknowledged", "chance"]

MOMENTS = 22
"""That are acknowledged before the end: the opening, 15 batches, 6 segments."""


def named(stores: Stores) -> set[str]:
    """The segments of units that the graph names."""
    rows = stores.graph.read("MATCH (s:Segment {codec: 'units'}) RETURN s.id AS id")
    return {row["id"] for row in rows}


def assert_right(stores: Stores, set_id: str, layer: str) -> None:
    """What is stored is what the model says when it is run again."""
    held = UnitSet.open(stores, set_id)
    group = np.arange(0, held.record.units, 97)
    again = Rerun.of(stores, held.record, "small/trained", layer, group)
    noise = held.noise(group)[:, None]
    for block in held.blocks(group):
        said = again(block.keys).T
        if held.record.codec == "u8":
            low, high = (np.take_along_axis(table, block.values.astype(np.int64), 1) for table in block.tables())
        else:
            low = high = block.decoded()
        assert (low - noise <= said).all()
        assert (said <= high + noise).all()


def test_killed_materializing(stores: Stores, address: Address, acknowledged: Path, chance: random.Random) -> None:
    keys = add_digits(stores, RAN)
    add_trained(stores)
    with running("materialize", address, acknowledged) as process:
        wait_for_a_moment(process, acknowledged, chance, MOMENTS)
        process.kill()
    told = read_acknowledged(acknowledged)
    segments = {word.partition(":")[2] for word in told if word.startswith("segment:")}
    assert segments <= named(stores), "what was named stays"
    for held in unit_sets(stores):
        assert len(UnitSet.open(stores, held.id).coverage()) == RAN, "a set is seen whole or not at all"
    assert_sound(stores)

    words: list[str] = []
    materialize_some(stores, words.append)
    assert segments <= named(stores), "nothing of it was stored again"
    assert len(named(stores)) == 6
    if told[-1].startswith("rows:") and words[0].startswith("rows:"):
        assert int(words[0][5:]) > int(told[-1][5:]) % 60, "what was run is not run again"
    assert examine(stores).unfinished == ()
    held = unit_sets(stores)
    assert len(held) == len(WANTS)
    for record in held:
        found = UnitSet.open(stores, record.id)
        assert found.coverage().tolist() == np.sort(keys).tolist()
        assert_right(stores, record.id, record.layer)
    assert_sound(stores)
    collect_garbage(stores, grace=0.0)
    assert_sound(stores)
    assert not any(path.is_dir() for path in (stores.cache / "spill").glob("*"))
