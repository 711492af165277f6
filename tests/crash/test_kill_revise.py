"""kill -9 while versions of a data set are made: each is whole or not to be seen, and the same call completes it."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np

from odin_graph.address import Address
from odin_graph.catalog.doctor.doctor import examine
from odin_graph.catalog.images.images import add_images
from odin_graph.catalog.images.pixels import compact_pixels
from odin_graph.client import LocalSession
from odin_graph.objects.things.dataset import Dataset, Datasets
from odin_graph.stores import Stores
from tests.crash.jobs import REVISIONS, VERSION, batch, read_acknowledged, revise_some, version
from tests.crash.killing import running, wait_for_a_moment
from tests.crash.test_kill_user import acknowledged, assert_sound, chance

__all__ = ["acknowledged", "chance"]


def assert_versions(stores: Stores) -> int:
    """Those that can be seen have the members, labels and edges they were made of; how many there are."""
    keys = np.sort(stores.columns.images([]).column("key").to_numpy())
    rows = stores.graph.read("MATCH (d:Dataset {state: 'ready'}) RETURN d.id AS id ORDER BY d.version")
    for number, row in enumerate(rows):
        assert row["id"] == f"set@{number + 1}"
        members, labels = version(number, keys)
        held = Dataset(LocalSession(stores), row["id"])
        assert held.image_keys(deleted=True).tolist() == members.tolist()
        assert list(held.labels) == labels
        for joined in (
            "MATCH (:Dataset {id: $id})-[:HAD_MEMBER]->(i:Image) RETURN i.key AS key ORDER BY key",
            "MATCH (:Dataset {id: $id})<-[:PART_OF]-(c:MemberChunk) UNWIND c.keys AS key RETURN key ORDER BY key",
        ):
            found = [member["key"] for member in stores.graph.read(joined, {"id": row["id"]})]
            assert found == sorted(members.tolist())
    return len(rows)


def test_killed_revise(stores: Stores, address: Address, acknowledged: Path, chance: random.Random) -> None:
    for number in range(8):
        add_images(stores, batch(number))
    compact_pixels(stores)
    with running("revise", address, acknowledged) as process:
        wait_for_a_moment(process, acknowledged, chance, REVISIONS + 3)
        process.kill()
    said = [word for word in read_acknowledged(acknowledged) if word.startswith("set@")]
    assert assert_versions(stores) >= len(said)
    assert_sound(stores)

    revise_some(stores, lambda _: None)
    assert assert_versions(stores) == REVISIONS + 1
    found = Datasets(LocalSession(stores))["set@1"].diff(Datasets(LocalSession(stores))["set@2"])
    # Every image that both have stands one version and ten places on, where the other label is.
    assert (len(found.added), len(found.removed), len(found.relabeled)) == (10, 10, VERSION - 10)
    assert examine(stores).unfinished == ()
    assert_sound(stores)
