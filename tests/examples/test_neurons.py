"""The story of channels runs over a few photographs, and ends in a picture of ten of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.starts_engine

SCRIPT = Path(__file__).parents[2] / "examples" / "neurons.py"


def test_the_story_is_told(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, SCRIPT, tmp_path, "62"], capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    said = ran.stdout
    assert "62 parts of 31 photographs" in said
    assert "ReLU6, 1280 x 7 x 7" in said
    assert "units as u8, 62 images" in said
    assert "channels-mean as f32, 62 images" in said
    assert "1,280 units and 12 classes over 62 images" in said
    assert re.search(r"codes bound 56 images and left \d+, of which the model was run again on \d+", said)
    # The pretrained network knows a dog from a motorcycle: its best channel for dogs puts the two dogs first.
    assert said.splitlines()[-1].strip().startswith(("imagenet_00_243/", "imagenet_16_251/"))
    with Image.open(tmp_path / "channels.png") as picture:
        assert min(picture.size) > 1000
