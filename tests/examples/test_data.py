"""The story of a data set runs from beginning to end, and ends in pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.starts_engine

SCRIPT = Path(__file__).parents[2] / "examples" / "data.py"


def test_the_story_is_told(tmp_path: Path) -> None:
    ran = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout
    assert "by lineage: 21 pairs of 21 training and 21 test images" in said
    assert "no leak by lineage, patient" in said
    assert "crops@1 -> crops@2: 0 added, 0 removed, 2 relabeled" in said
    assert "small/2, descends from small/1, which had seen it" in said
    for name in ("scans", "leaks", "impact"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 100
