"""The quickstart with its arrays in a bucket: the same test, and the second of its two processes reads from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engines.s3 import S3Server, in_s3
from tests.test_quickstart import folders, test_the_main_job

__all__ = ["folders", "test_the_main_job"]
pytestmark = pytest.mark.soak


@pytest.fixture
def arrays(s3: S3Server, tmp_path: Path) -> list[str]:
    """Where pixels go."""
    return ["--arrays", in_s3(tmp_path)]
