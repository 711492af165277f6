"""kill -9 while arrays are written into a bucket: the same promises, by the same tests."""

from __future__ import annotations

import random
import secrets
from pathlib import Path

import pytest

from odin_graph.address import Address
from tests.conftest import Engine
from tests.crash.test_kill_materialize import test_killed_materializing
from tests.crash.test_kill_user import acknowledged, test_killed_ingest
from tests.engines.s3 import S3Server, in_s3

__all__ = ["acknowledged", "test_killed_ingest", "test_killed_materializing"]
pytestmark = pytest.mark.soak


@pytest.fixture
def address(engine: Engine, s3: S3Server, tmp_path: Path) -> Address:
    """Of an empty workspace with its arrays in the bucket, not yet opened."""
    engine.wipe()
    return engine.address(in_s3(tmp_path))


@pytest.fixture(params=range(3))
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Random, and printed, so that a failure can be looked at again."""
    seed = secrets.randbits(32)
    print(f"run {request.param}, seed {seed}")
    return random.Random(seed)
