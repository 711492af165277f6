"""kill -9 of the embedded engine and of the process that uses it: the next open finds all that was acknowledged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from odin_graph.address import Address
from odin_graph.stores import Stores
from tests.crash.jobs import BATCHES, ingest, read_acknowledged
from tests.crash.killing import kill, running, wait_for_a_moment
from tests.crash.test_kill_user import assert_images_are_whole, assert_sound, chance

pytestmark = pytest.mark.starts_engine

__all__ = ["chance"]


@pytest.fixture
def embedded(tmp_path: Path, request: pytest.FixtureRequest) -> Address:
    """A workspace with an engine of its own, which no other test uses."""
    if request.config.getoption("--engine") == "neo4j":
        pytest.skip("this is about the embedded engine")
    address = Address.of(tmp_path / "own.odin")
    Stores.open(address).close()
    return address


def test_killed_engine(embedded: Address, tmp_path: Path, chance: random.Random) -> None:
    acknowledged = tmp_path / "acknowledged"
    stores = Stores.open(embedded)  # kept open, so that the engine does not stop by itself before the job attaches
    keeper = stores.graph.endpoint.pid
    with running("ingest", embedded, acknowledged) as process:
        wait_for_a_moment(process, acknowledged, chance, BATCHES + 2)
        kill(keeper)
    stores.close()
    told = {int(word) for word in read_acknowledged(acknowledged) if word.isdigit()}

    again = Stores.open(embedded)
    try:
        assert again.graph.endpoint.pid != keeper
        assert_images_are_whole(again, told)
        assert_sound(again)
        ingest(again, lambda _: None)
        assert_images_are_whole(again, set(range(BATCHES)))
        assert_sound(again)
    finally:
        again.close()
