"""The quickstart as a new user runs it, on class folders of real digits, twice, on both engines."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.conftest import Engine


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders with 300 digits as PNG."""
    root = tmp_path_factory.mktemp("mine") / "digits-8x8"
    digits = load_digits()
    for position in range(300):
        folder = root / f"digit {digits.target[position]}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[position] * 16).clip(0, 255).astype(np.uint8)).save(
            folder / f"{position:03d}.png"
        )
    return root


def test_the_main_job(engine: Engine, folders: Path, tmp_path: Path) -> None:
    engine.wipe()
    reach = engine.graph.endpoint
    command = [sys.executable, "-m", "odin_graph.cli", "quickstart", "--data", str(folders), "--out", str(tmp_path)]
    log_in = {}
    if engine.folder is None:
        command += ["--graph", reach.address]
        log_in = {"ODIN_GRAPH_USER": reach.user, "ODIN_GRAPH_PASSWORD": reach.password}
    first, second = (
        subprocess.run(command, capture_output=True, text=True, env={**os.environ, **log_in}, timeout=300, check=False)
        for _ in range(2)
    )
    assert first.returncode == 0, first.stderr[-3000:]
    assert second.returncode == 0, second.stderr[-3000:]
    assert "300 added" in first.stdout
    assert "300 already there" in second.stdout
    assert reach.password not in first.stdout + first.stderr

    parts = re.findall(r"^(?:both|only) \S+\s+(\d+) +\d", first.stdout, re.MULTILINE)
    assert len(parts) == 4
    assert sum(map(int, parts)) == 120, "every test image is in one part"
    assert re.findall(r"accuracy [\d.]+%", first.stdout) == re.findall(r"accuracy [\d.]+%", second.stdout)
    for name in ("experiment", "checkpoint", "model", "data set", "image"):
        assert re.search(rf"^\s+{name}  \S", first.stdout, re.MULTILINE), name
    for name in ("wrong.png", "neighbours.png"):
        assert np.asarray(Image.open(tmp_path / name).convert("L")).std() > 10, f"{name} is blank"
